"""What a decoder keeps of earlier positions, of one hypothesis or of several."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import check_counts
from keras_seq2seq.layers.sizes import size_of


@keras.saving.register_keras_serializable("keras_seq2seq")
class KeyValueCache(keras.layers.Layer):
    """Keys or values of earlier positions, with those of one more.

    A cache that has room for all `max_length` positions is written in its place, and keeps its
    size. A shorter one holds the positions before this one alone, and grows: what a step
    reads and copies is then as long as the target is so far. The size in the graph tells them
    apart, so that one step function does both. The room may be less than `max_length`, where
    a search begins with little (`Search.stages`).

    The hypotheses of a source can share a cache: each position then has `family` entries
    side by side, one a hypothesis. The cache is only ever added to; which of its entries a
    hypothesis descends from is for a mask to say (`lineage_mask`).

    Args:
        max_length: int. Positions at most.

    Call arguments:
        cache: `(batch, heads, max_length * family, size)`, or `(batch, heads, position *
            family, size)` with a length that is not the greatest, or not known, when the
            graph is made.
        new: `(batch, heads, family, size)`.
        position: `(batch, 1)`, int: where each row is written, if a position has one entry;
            or a scalar where all rows are written at one position, which is quicker. Read of
            a cache of full size alone.
        places: bool. Whether the positions are asked for. Defaults to `True`.
        room: int, optional. The positions that a cache of full size has. Defaults to
            `max_length`.

    Returns:
        Tuple of the cache with the new position, of the same length or `family` longer,
        and the positions of its entries `(1, length)`, int32; of one that grows `None` where
        they are not asked for.
    """

    @checked
    def __init__(self, max_length: int, **kwargs: Any):
        super().__init__(**kwargs)
        check_counts(max_length=max_length)
        self.max_length = max_length

    def call(self, cache, new, position, places=True, room=None):
        family, room = new.shape[2], room or self.max_length
        if cache.shape[2] == room * family:
            return self._written(cache, new, position), self._places(room, family)
        cache = ops.concatenate([cache, new], axis=2)
        if not places:
            return cache, None
        return cache, self._places(size_of(cache, 2) // family, family)

    def _written(self, cache, new, position):
        if len(position.shape) == 0:
            return self._written_by_all(cache, new, position * new.shape[2])
        is_here = ops.equal(_counted(cache.shape[2])[None], position)
        return ops.where(is_here[:, None, :, None], new, cache)

    def _written_by_all(self, cache, new, begin):
        """XLA writes in place, whatever the length of the cache."""
        if new.shape[0] is not None:
            return ops.slice_update(cache, (0, 0, begin, 0), new)
        # TensorFlow Serving lacks that operation, LiteRT this one.
        _, heads, family, size = new.shape
        axes = ops.arange(size_of(new, 0)), ops.arange(heads), begin + ops.arange(family)
        indices = ops.stack(ops.meshgrid(*axes, indexing="ij"), axis=-1)
        return ops.scatter_update(
            cache, ops.reshape(indices, (-1, 3)), ops.reshape(new, (-1, size))
        )

    def _places(self, count, family):
        if isinstance(count, int):
            return ops.convert_to_tensor(_counted(count).repeat(family)[None])
        places = ops.arange(count)
        return (places if family == 1 else ops.repeat(places, family))[None]

    def compute_output_spec(self, cache, new, position, places=True, room=None):
        length, family = cache.shape[2], new.shape[2]
        if length is not None and length != (room or self.max_length) * family:
            length += family
        batch, heads, _, size = cache.shape
        return (
            keras.KerasTensor((batch, heads, length, size), cache.dtype),
            keras.KerasTensor((1, length), "int32"),
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_length": self.max_length}


def _counted(count: int) -> np.ndarray:
    """0, 1, 2, ...: in a graph one constant."""
    return np.arange(count, dtype="int32")


def lineage_mask(lineage: Any) -> Any:
    """Which entries of a shared `KeyValueCache` each hypothesis descends from.

    Args:
        lineage: `(batch, family, length)`, int32: of each live hypothesis, which of the
            hypotheses of each earlier step it goes on from; -1 where there was none.

    Returns:
        `(batch, family, length * family)`, bool.
    """
    family = lineage.shape[1]
    mask = ops.equal(lineage[..., None], ops.arange(family))
    return ops.reshape(mask, (-1, family, size_of(lineage, 2) * family))
