"""What a decoder keeps of earlier positions."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_seq2seq")
class KeyValueCache(keras.layers.Layer):
    """Keys or values of earlier positions, with those of one more.

    A cache that has room for all `max_length` positions is written in its place, and keeps its
    size. A shorter one holds the positions before this one alone, and grows: what a step
    reads and copies is then as long as the target is so far. The size in the graph tells them
    apart, so that one step function does both.

    Args:
        max_length: int. Positions at most.

    Call arguments:
        cache: `(batch, heads, max_length, size)`, or `(batch, heads, position, size)` with a
            length that is not `max_length`, or not known, when the graph is made.
        new: `(batch, heads, 1, size)`.
        position: `(batch, 1)`, int: where to write; read of a cache of full size alone.

    Returns:
        Tuple of the cache with the new position, of the same length or one longer, and its
        positions `(1, length)`, int32.
    """

    def __init__(self, max_length: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.max_length = max_length

    def call(self, cache, new, position):
        if cache.shape[2] == self.max_length:
            places = ops.arange(self.max_length)[None]
            is_here = ops.equal(places, position)
            return ops.where(is_here[:, None, :, None], new, cache), places
        cache = ops.concatenate([cache, new], axis=2)
        return cache, ops.arange(ops.shape(cache)[2])[None]

    def compute_output_spec(self, cache, new, position):
        length = cache.shape[2]
        if length is not None and length != self.max_length:
            length += 1
        batch, heads, _, size = cache.shape
        return (
            keras.KerasTensor((batch, heads, length, size), cache.dtype),
            keras.KerasTensor((1, length), "int32"),
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_length": self.max_length}
