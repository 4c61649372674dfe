"""Which tokens of sources and targets go together: counts, and IBM model 1."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

# Pairs that are tokenized together.
BATCH = 2048
# Longer pairs say little and cost much: the product of the lengths at most.
MOST_PRODUCT = 40_000
# Pairs of tokens that are kept at most; of more, the rarest go.
MOST_ENTRIES = 16_000_000


class TokenPairs(NamedTuple):
    """Pairs of texts as ids: the tokens of all one after the other, and where each begins.

    Attributes:
        source: `(tokens,)`, int.
        source_splits: `(pairs + 1,)`, int.
        target: Likewise.
        target_splits: Likewise.
    """

    source: np.ndarray
    source_splits: np.ndarray
    target: np.ndarray
    target_splits: np.ndarray

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The number of the pair of each source token, and of each target token."""
        source, target = np.diff(self.source_splits), np.diff(self.target_splits)
        return np.repeat(np.arange(len(source)), source), np.repeat(
            np.arange(len(target)), target
        )

    def different(self) -> "TokenPairs":
        """Each token of a text once, ascending."""
        sides = []
        for row, ids in zip(self.rows(), (self.source, self.target), strict=True):
            size = int(ids.max(initial=0)) + 1
            keys = np.unique(row * size + ids)
            splits = np.searchsorted(keys, np.arange(len(self.source_splits)) * size)
            sides += [keys % size, splits]
        return TokenPairs(*sides)


class Lexicon(NamedTuple):
    """`t(target | source)` of the pairs of tokens that occurred together.

    Attributes:
        source: `(entries,)`, int64, ascending.
        target: `(entries,)`, int64.
        probability: `(entries,)`, float64; those of a source token add up to 1.
    """

    source: np.ndarray
    target: np.ndarray
    probability: np.ndarray


def token_pairs(
    preprocessor: Any, sources: Sequence[str], targets: Sequence[str]
) -> Iterator[TokenPairs]:
    """The ids of pairs, their ends included; of those that are too long nothing.

    Args:
        preprocessor: `TextPreprocessor`.
        sources: Texts.
        targets: As many.
    """
    for begin in range(0, len(sources), BATCH):
        of_batch = slice(begin, begin + BATCH)
        source = preprocessor.tokenize_source(list(sources[of_batch]))
        target = preprocessor.tokenize_target(list(targets[of_batch]))
        sizes = [ids.row_lengths().numpy().astype(np.int64) for ids in (source, target)]
        fits = sizes[0] * sizes[1] <= MOST_PRODUCT
        sides = []
        for ids, lengths in zip((source, target), sizes, strict=True):
            sides.append(ids.values.numpy()[np.repeat(fits, lengths)])
            sides.append(np.concatenate([[0], np.cumsum(lengths[fits])]))
        yield TokenPairs(*sides)


def lexical_translation(
    batches: Callable[[], Iterable[TokenPairs]],
    vocabulary_size: int,
    iterations: int = 5,
    most_entries: int = MOST_ENTRIES,
) -> Lexicon:
    """Learns translation probabilities of tokens by expectation maximization.

    Each target token has been written by one source token of its pair, each as probably as
    `t(target | source)` says. The end of a source, which every source has, takes what none of
    its words explains.

    Args:
        batches: Gives the pairs, a batch at a time; called once for every pass over them.
        vocabulary_size: int. Of the target.
        iterations: int. Passes, after one that counts. Defaults to 5.
        most_entries: int. Pairs of tokens that are kept at most: memory does not grow with
            the pairs of texts.

    Reference:
        [Brown et al., 1993](https://aclanthology.org/J93-2003), section 4.2 (model 1).
    """
    keys, _ = occurring_together(batches(), vocabulary_size, most_entries)
    source = keys // vocabulary_size
    probability = np.ones(len(keys))
    for _ in range(iterations):
        expected = np.zeros(len(keys))
        for batch in batches():
            together, position = _together(batch, vocabulary_size)
            own, place = np.unique(together, return_inverse=True)
            entry = np.minimum(np.searchsorted(keys, own), len(keys) - 1)
            known = keys[entry] == own
            share = np.where(known, probability[entry], 0.0)[place]
            total = np.bincount(position, share, len(batch.target))[position]
            share = np.divide(share, total, out=np.zeros_like(share), where=total > 0)
            # Of what was left out no share is more than 0.
            expected[entry[known]] += np.bincount(place, share, len(own))[known]
        totals = np.bincount(source, expected)[source]
        probability = np.divide(expected, totals, out=np.zeros_like(expected), where=totals > 0)
    return Lexicon(source, keys % vocabulary_size, probability)


def _together(batch: TokenPairs, vocabulary_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Every target token with every source token of its pair: the numbers of both as one, and
    which target token of the batch it is."""
    sizes = np.diff(batch.source_splits)
    _, pair = batch.rows()
    position = np.repeat(np.arange(len(batch.target)), sizes[pair])
    begins = np.cumsum(sizes[pair]) - sizes[pair]
    offset = np.arange(len(position)) - begins[position]
    source = batch.source[batch.source_splits[pair[position]] + offset]
    return source.astype(np.int64) * vocabulary_size + batch.target[position], position


def occurring_together(
    batches: Iterable[TokenPairs], vocabulary_size: int, most_entries: int = MOST_ENTRIES
) -> tuple[np.ndarray, np.ndarray]:
    """Source and target tokens of one pair, `source * vocabulary_size + target`, ascending,
    int64; and how often each two occur together. Of more than `most_entries` the rarest go."""
    keys, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    size = 0
    for batch in batches:
        found = np.unique(_together(batch, vocabulary_size)[0], return_counts=True)
        waiting.append(found)
        size += len(found[0])
        if size >= max(len(keys), 1_000_000):
            keys, counts = _merged([(keys, counts), *waiting], most_entries)
            waiting, size = [], 0
    return _merged([(keys, counts), *waiting], most_entries)


def _merged(
    parts: list[tuple[np.ndarray, np.ndarray]], most_entries: int
) -> tuple[np.ndarray, np.ndarray]:
    every = np.concatenate([keys for keys, _ in parts])
    keys, place = np.unique(every, return_inverse=True)
    weights = np.concatenate([counts for _, counts in parts])
    counts = np.bincount(place, weights, len(keys)).astype(np.int64)
    if len(keys) > most_entries:
        kept = np.sort(np.argsort(-counts, kind="stable")[: most_entries // 2])
        keys, counts = keys[kept], counts[kept]
    return keys, counts
