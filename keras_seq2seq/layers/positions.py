"""Where a token stands, added to what it is."""

import math
from typing import Any

import keras


@keras.saving.register_keras_serializable("keras_seq2seq")
class SinusoidalPositions(keras.layers.Layer):
    """Scales embeddings and adds sines and cosines of their positions.

    `y = sqrt(D) x + PE(position)` with, for `i < D / 2`, `PE(p)[i] = sin(p / 10000^(2i / D))`
    and `PE(p)[D / 2 + i] = cos(p / 10000^(2i / D))`. The paper interleaves sines and cosines;
    in two halves they are the same up to the order of the dimensions, which is learned.

    Call arguments:
        embeddings: `(batch, length, dim)`, `dim` even.
        positions: `(batch, length)`, int, optional. Defaults to 0, 1, 2, ...

    Returns:
        `(batch, length, dim)`.

    Raises:
        ValueError: If `dim` is odd.

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), sections 3.4 and 3.5.
    """

    def build(self, embeddings_shape, positions_shape=None):
        if embeddings_shape[-1] % 2:
            raise ValueError(
                f"Sinusoidal positions need an even size. Received: {embeddings_shape[-1]}."
            )
        self.built = True

    def call(self, embeddings: Any, positions: Any = None) -> Any:
        dim = embeddings.shape[-1]
        if positions is None:
            positions = keras.ops.arange(keras.ops.shape(embeddings)[1])[None]
        # Float32: in half precision positions above 2048 would fall together.
        positions = keras.ops.cast(positions, "float32")[..., None]
        exponents = keras.ops.arange(0, dim, 2, dtype="float32") / dim
        angles = positions * keras.ops.exp(-math.log(10000.0) * exponents)
        encoding = keras.ops.concatenate([keras.ops.sin(angles), keras.ops.cos(angles)], -1)
        return embeddings * math.sqrt(dim) + keras.ops.cast(encoding, embeddings.dtype)

    def compute_output_shape(self, embeddings_shape, positions_shape=None):
        return embeddings_shape
