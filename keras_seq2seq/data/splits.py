"""Honest splits: no source of one part occurs in another."""

import random
from dataclasses import dataclass

from keras_seq2seq.data.readers import Pairs
from keras_seq2seq.errors import InputError


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set; `test` may be missing."""

    train: Pairs
    validation: Pairs
    test: Pairs | None = None


def split_by_source(
    pairs: Pairs, *, validation_sources: int, test_sources: int = 0, seed: int = 0
) -> Splits:
    """Splits at random by source: all targets of a source go to one part.

    Args:
        pairs: All pairs.
        validation_sources: int. Number of different sources of the validation part.
        test_sources: int. Likewise for the test part; 0 (default) for none.
        seed: int. The same seed gives the same split.

    Raises:
        InputError: If fewer than one source would be left to train on.
    """
    sources = sorted(set(pairs.sources), key=str)
    if validation_sources + test_sources >= len(sources):
        raise InputError(
            f"The data has {len(sources)} different sources, too few to hold out "
            f"{validation_sources} for validation and {test_sources} for test. Add data, or "
            "give a validation file."
        )
    random.Random(seed).shuffle(sources)
    test = set(sources[:test_sources])
    validation = set(sources[test_sources : test_sources + validation_sources])
    held_out = validation | test
    return Splits(
        _select(pairs, lambda source: source not in held_out),
        _select(pairs, validation.__contains__),
        _select(pairs, test.__contains__) if test_sources else None,
    )


def _select(pairs: Pairs, keep) -> Pairs:
    kept = [
        (source, target)
        for source, target in zip(pairs.sources, pairs.targets, strict=True)
        if keep(source)
    ]
    return Pairs([source for source, _ in kept], [target for _, target in kept])
