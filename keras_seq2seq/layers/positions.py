"""Where a token stands, added to what it is, or to how it attends."""

import math
from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError, check_counts
from keras_seq2seq.first_import import import_keras_nlp
from keras_seq2seq.layers.dense_gradient_embedding import with_dense_gradient
from keras_seq2seq.layers.sizes import rows_of, size_of


@keras.saving.register_keras_serializable("keras_seq2seq")
class SinusoidalPositions(keras.layers.Layer):
    """Adds sines and cosines of positions.

    `y = x + PE(position)` with, for `i < D / 2`, `PE(p)[i] = sin(p / 10000^(2i / D))` and
    `PE(p)[D / 2 + i] = cos(p / 10000^(2i / D))`. The paper interleaves sines and cosines; in
    two halves they are the same up to the order of the dimensions, which is learned.

    Args:
        interleaved: bool. Sines and cosines alternate, as in the paper. Defaults to `False`.
        inclusive: bool. Exponents `i / (D / 2 - 1)`, so that the last wave is the longest
            that the formula allows, as in tensor2tensor. Defaults to `False`.
        first: int. Number of the first position. Defaults to 0.

    Call arguments:
        vectors: `(batch, length, dim)`, `dim` even.
        positions: `(batch, length)`, int, optional. Defaults to 0, 1, 2, ...

    Returns:
        `(batch, length, dim)`.

    Raises:
        InputError: If `dim` is odd.

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), section 3.5.
    """

    @checked
    def __init__(
        self, interleaved: bool = False, inclusive: bool = False, first: int = 0, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.interleaved = interleaved
        self.inclusive = inclusive
        self.first = first

    def build(self, vectors_shape, positions_shape=None):
        if vectors_shape[-1] % 2:
            raise InputError(
                f"Sinusoidal positions need an even size. Received: {vectors_shape[-1]}."
            )
        self.built = True

    def call(self, vectors: Any, positions: Any = None) -> Any:
        dim = vectors.shape[-1]
        if positions is None:
            positions = keras.ops.arange(size_of(vectors, 1))[None]
        # Float32: in half precision positions above 2048 would fall together.
        positions = keras.ops.cast(positions, "float32")[..., None]
        if self.first:
            positions = positions + float(self.first)
        last = max(dim - 2, 1) if self.inclusive else dim
        exponents = keras.ops.arange(0, dim, 2, dtype="float32") / last
        angles = positions * keras.ops.exp(-math.log(10000.0) * exponents)
        waves = [keras.ops.sin(angles), keras.ops.cos(angles)]
        if self.interleaved:
            stacked = keras.ops.stack(waves, axis=-1)
            encoding = keras.ops.reshape(stacked, (*keras.ops.shape(angles)[:-1], dim))
        else:
            encoding = keras.ops.concatenate(waves, -1)
        return vectors + keras.ops.cast(encoding, vectors.dtype)

    def compute_output_shape(self, vectors_shape, positions_shape=None):
        return vectors_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "interleaved": self.interleaved,
            "inclusive": self.inclusive,
            "first": self.first,
        }


@keras.saving.register_keras_serializable("keras_seq2seq")
class LearnedPositions(keras.layers.Layer):
    """Adds a learned vector for each position, of KerasHub's `PositionEmbedding`.

    Args:
        max_length: int. Positions at most.

    Call arguments and returns: as `SinusoidalPositions`.
    """

    @checked
    def __init__(self, max_length: int, **kwargs: Any):
        super().__init__(**kwargs)
        check_counts(max_length=max_length)
        self.max_length = max_length
        self.embedding = import_keras_nlp().layers.PositionEmbedding(
            max_length, initializer="normal", dtype=self.dtype_policy, name="positions"
        )

    def build(self, vectors_shape, positions_shape=None):
        self.embedding.build(vectors_shape)
        self.built = True

    def call(self, vectors: Any, positions: Any = None) -> Any:
        return vectors + self.embedding(vectors, positions=positions)

    def compute_output_shape(self, vectors_shape, positions_shape=None):
        return vectors_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_length": self.max_length}


@keras.saving.register_keras_serializable("keras_seq2seq")
class RotaryPositions(keras.layers.Layer):
    """Turns the queries or keys of each head by an angle that grows with the position, so
    that their products know how far apart they are: KerasHub's `RotaryEmbedding`.

    Dimensions `i` and `i + size / 2` turn together, by `position / factor / base^(2i / size)`.

    Args:
        num_heads: int. Heads.
        size: int, even, optional. So many first dimensions of each head are turned. Defaults
            to all.
        base: float. Defaults to 10000.
        factor: float. Positions are divided by it. Defaults to 1.

    Call arguments:
        vectors: `(batch, length, dim)`, the heads side by side.
        positions: `(batch, length)`, int, optional. Defaults to 0, 1, 2, ...

    Returns:
        `(batch, length, dim)`.

    Raises:
        ValueError: If `size` is odd, or more than a head has.

    Reference:
        [Su et al., 2021](https://arxiv.org/abs/2104.09864), section 3.
    """

    @checked
    def __init__(
        self,
        num_heads: int,
        size: int | None = None,
        base: float = 10000.0,
        factor: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_counts(num_heads=num_heads)
        self.num_heads = num_heads
        self.size = size
        self.base = base
        self.factor = factor
        self.rotary = import_keras_nlp().layers.RotaryEmbedding(
            max_wavelength=base,
            scaling_factor=factor,
            dtype=self.dtype_policy,
            name="rotary",
        )

    def build(self, vectors_shape, positions_shape=None):
        head_dim = vectors_shape[-1] // self.num_heads
        size = head_dim if self.size is None else self.size
        if size % 2 or not 0 < size <= head_dim:
            raise ValueError(
                "Rotary positions turn an even number of the dimensions of a head. Received: "
                f"{size} of {head_dim}."
            )
        self.built = True

    def call(self, vectors: Any, positions: Any = None) -> Any:
        rows, length, dim = rows_of(vectors), size_of(vectors, 1), vectors.shape[-1]
        # A static size of the heads: KerasHub asks whether it is even.
        split = (rows, length, self.num_heads, dim // self.num_heads)
        heads = keras.ops.reshape(vectors, split)
        turned = self.rotary(heads[..., : self.size], positions=positions)
        if self.size is not None:
            turned = keras.ops.concatenate([turned, heads[..., self.size :]], -1)
        return keras.ops.reshape(turned, (rows, length, dim))

    def compute_output_spec(self, vectors, positions=None):
        return keras.KerasTensor(vectors.shape, vectors.dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "size": self.size,
            "base": self.base,
            "factor": self.factor,
        }


@keras.saving.register_keras_serializable("keras_seq2seq")
class RelativeVectors(keras.layers.Layer):
    """A learned vector for how far a key stands from a query, to be added to keys or values.

    Args:
        dim: int. Size of a vector.
        max_distance: int. Farther keys have the vector of this distance, of either side.

    Call arguments:
        distances: `(batch, length)`, int: positions of keys, less that of the query.

    Returns:
        `(batch, length, dim)`.

    Reference:
        [Shaw et al., 2018](https://arxiv.org/abs/1803.02155), section 3.
    """

    @checked
    def __init__(self, dim: int, max_distance: int, **kwargs: Any):
        super().__init__(**kwargs)
        check_counts(dim=dim, max_distance=max_distance)
        self.dim = dim
        self.max_distance = max_distance

    def build(self, distances_shape):
        shape = (2 * self.max_distance + 1, self.dim)
        self.vectors = self.add_weight(shape, "glorot_uniform", name="vectors")
        self.built = True

    def call(self, distances: Any, training: bool = False) -> Any:
        clipped = keras.ops.clip(distances, -self.max_distance, self.max_distance)
        vectors = keras.ops.convert_to_tensor(self.vectors)
        if training:
            vectors = with_dense_gradient(vectors)
        return keras.ops.take(vectors, clipped + self.max_distance, axis=0)

    def compute_output_spec(self, distances, training=False):
        return keras.KerasTensor((*distances.shape, self.dim), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dim": self.dim,
            "max_distance": self.max_distance,
        }


@keras.saving.register_keras_serializable("keras_seq2seq")
class RelativePositions(keras.layers.Layer):
    """A learned bias of attention scores for how far a key stands from a query.

    Near distances have a bias each, farther ones share it in buckets that grow with the
    logarithm of the distance. One bias a head.

    Args:
        num_heads: int.
        causal: bool. Keys never stand after the query, so that all buckets are for those
            before it. Defaults to `False`.
        num_buckets: int. Defaults to 32.
        max_distance: int. Greater distances share the last bucket. Defaults to 128.

    Call arguments:
        query_positions: `(batch, target_length)`, int.
        key_positions: `(batch, source_length)`, int.

    Returns:
        `(batch, num_heads, target_length, source_length)`.

    Reference:
        [Raffel et al., 2019](https://arxiv.org/abs/1910.10683), section 2.1.
    """

    @checked
    def __init__(
        self,
        num_heads: int,
        causal: bool = False,
        num_buckets: int = 32,
        max_distance: int = 128,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_counts(num_heads=num_heads, num_buckets=num_buckets, max_distance=max_distance)
        self.num_heads = num_heads
        self.causal = causal
        self.num_buckets = num_buckets
        self.max_distance = max_distance

    def build(self, query_positions_shape, key_positions_shape):
        self.bias = self.add_weight((self.num_buckets, self.num_heads), "normal", name="bias")
        self.built = True

    def call(self, query_positions: Any, key_positions: Any, training: bool = False) -> Any:
        distance = query_positions[:, :, None] - key_positions[:, None]
        table = keras.ops.convert_to_tensor(self.bias)
        if training:
            table = with_dense_gradient(table)
        bias = keras.ops.take(table, self._bucket(distance), axis=0)
        return keras.ops.transpose(bias, (0, 3, 1, 2))

    def _bucket(self, distance: Any) -> Any:
        ops, buckets = keras.ops, self.num_buckets
        distance = ops.cast(distance, "int32")
        first: Any = 0
        if not self.causal:
            # The upper half is for keys after the query.
            buckets //= 2
            first = ops.where(distance < 0, buckets, 0)
        distance = ops.maximum(distance, 0) if self.causal else ops.abs(distance)
        exact = buckets // 2
        ratio = ops.log(ops.cast(ops.maximum(distance, 1), "float32") / exact)
        ratio = ratio / math.log(self.max_distance / exact)
        shared = exact + ops.cast(ratio * (buckets - exact), "int32")
        shared = ops.minimum(shared, buckets - 1)
        return first + ops.where(distance < exact, distance, shared)

    def compute_output_spec(self, query_positions, key_positions, training=False):
        batch, target_length = query_positions.shape
        shape = (batch, self.num_heads, target_length, key_positions.shape[1])
        return keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "causal": self.causal,
            "num_buckets": self.num_buckets,
            "max_distance": self.max_distance,
        }
