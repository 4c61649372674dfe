"""Honest splits: no source of one part occurs in another."""

import random
from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.different import different_sources
from keras_seq2seq.data.readers import Pairs
from keras_seq2seq.errors import InputError, check_counts

_TRAIN, _VALIDATION, _TEST = range(3)


@dataclass(frozen=True)
class Splits:
    """The three parts of a data set; `test` may be missing."""

    train: Pairs
    validation: Pairs
    test: Pairs | None = None


@checked
def split_by_source(
    pairs: Pairs,
    *,
    validation_sources: int,
    test_sources: int = 0,
    seed: int = 0,
    different: Any = None,
) -> Splits:
    """Splits at random by source: all targets of a source go to one part.

    Args:
        pairs: All pairs.
        validation_sources: int. Number of different sources of the validation part.
        test_sources: int. Likewise for the test part; 0 (default) for none.
        seed: int. The same seed gives the same split.
        different: `different_sources` of the pairs, where they are known already.

    Raises:
        InputError: If fewer than one source would be left to train on.
    """
    check_counts(0, validation_sources=validation_sources, test_sources=test_sources)
    sources = different if different is not None else different_sources(pairs.sources)
    if validation_sources + test_sources >= len(sources):
        raise InputError(
            f"The data has {len(sources)} different sources, too few to hold out "
            f"{validation_sources} for validation and {test_sources} for test. Add data, or "
            "give a validation file."
        )
    places = array("q", range(len(sources)))
    random.Random(seed).shuffle(places)
    held_out = sources.at([*places[: test_sources + validation_sources]])
    parts = dict.fromkeys(held_out[:test_sources], _TEST)
    parts |= dict.fromkeys(held_out[test_sources:], _VALIDATION)
    numbers = (parts.get(source, _TRAIN) for source in pairs.sources)
    part_of = np.fromiter(numbers, np.uint8, len(pairs))
    train, validation, test = (
        pairs.take(np.flatnonzero(part_of == part)) for part in (_TRAIN, _VALIDATION, _TEST)
    )
    return Splits(train, validation, test if test_sources else None)
