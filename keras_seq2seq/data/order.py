"""The order of an epoch: which pairs make which batch, a function of seed and epoch alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class EpochOrder:
    """The batches of an epoch, in the order in which they come.

    Attributes:
        rows: `(occurrences,)`, int: pairs, batch after batch within a bucket.
        begins: `(batches,)`, int: where each batch begins in `rows`.
        ends: `(batches,)`, int: where it ends.
    """

    rows: np.ndarray
    begins: np.ndarray
    ends: np.ndarray


def batches_of(
    order: np.ndarray, buckets: np.ndarray, sizes: Sequence[int] | np.ndarray
) -> EpochOrder:
    """Pairs in an order, as batches of one bucket each.

    A batch comes when the last of its pairs does; what is left of a bucket in the end is a
    smaller batch, after all others.

    Args:
        order: `(occurrences,)`, int: pairs.
        buckets: `(pairs,)`, int: bucket of each pair.
        sizes: `(buckets,)`, int: pairs a batch.
    """
    of_order = buckets[order]
    rows: list[np.ndarray] = []
    begins: list[np.ndarray] = []
    ends: list[np.ndarray] = []
    done: list[np.ndarray] = []
    offset = 0
    for bucket, size in enumerate(sizes):
        places = np.flatnonzero(of_order == bucket)
        rows.append(order[places])
        starts = np.arange(0, len(places), size)
        stops = np.minimum(starts + size, len(places))
        last = places[stops - 1]
        # Smaller ones after all others, in the order of their buckets.
        last = np.where(stops - starts < size, len(order) + bucket, last)
        begins.append(offset + starts)
        ends.append(offset + stops)
        done.append(last)
        offset += len(places)
    order_of_batches = np.argsort(np.concatenate(done), kind="stable")
    return EpochOrder(
        np.concatenate(rows),
        np.concatenate(begins)[order_of_batches],
        np.concatenate(ends)[order_of_batches],
    )


class Repeats:
    """How often each pair comes in an epoch.

    A pair that comes 2.5 times comes twice in every epoch, and in half of them once more:
    which ones, seed and epoch say. Of every bucket as many come in each epoch.

    Args:
        times: `(pairs,)`, float, above 0.
        buckets: `(pairs,)`, int: bucket of each pair.
    """

    def __init__(self, times: np.ndarray, buckets: np.ndarray):
        self._whole = np.floor(times).astype(np.int64)
        rest = times - self._whole
        # Pairs of one remainder and bucket, and how many of them come once more.
        self._groups: list[tuple[np.ndarray, int]] = []
        for share in np.unique(rest[rest > 0]):
            of_share = rest == share
            for bucket in np.unique(buckets[of_share]):
                rows = np.flatnonzero(of_share & (buckets == bucket))
                self._groups.append((rows, round(float(share) * len(rows))))
        count = int(buckets.max()) + 1
        self.counts = np.bincount(buckets, self._whole, minlength=count).astype(np.int64)
        for rows, number in self._groups:
            self.counts[buckets[rows[0]]] += number

    def rows(self, seed: int, epoch: int) -> np.ndarray:
        """The pairs of an epoch, each as often as it comes, not yet shuffled."""
        draw = np.random.default_rng([seed, epoch])
        more = [draw.choice(rows, number, replace=False) for rows, number in self._groups]
        return np.concatenate([np.repeat(np.arange(len(self._whole)), self._whole), *more])


def steps_of(counts: np.ndarray, sizes: np.ndarray) -> int:
    """Batches of buckets that hold so many pairs: the last of each may be smaller."""
    return int(np.sum(-(-counts // sizes)))
