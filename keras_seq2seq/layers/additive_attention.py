"""Additive attention and its relatives for speech."""

import math
from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers.attention import HIDDEN, MemoryAttention, additive_scores
from keras_seq2seq.layers.dense import Dense
from keras_seq2seq.layers.sizes import size_of


@keras.saving.register_keras_serializable("keras_seq2seq")
class BahdanauAttention(MemoryAttention):
    """Additive attention: `score(h_t, h_s) = v_a . tanh(W_a h_t + U_a h_s)`.

    With `normalized=True` the score is `g v_a / |v_a| . tanh(W_a h_t + U_a h_s + b)`, weight
    normalization with a learned length `g` that begins at `sqrt(1 / score_units)`.

    Args:
        units: int. Size of the output.
        score_units: int. Size of `v_a`. Defaults to `units`.
        normalized: bool. Defaults to `False`.
        **kwargs: Other arguments of `keras.layers.Layer`.

    Call arguments and returns: as `MemoryAttention`.

    Raises:
        InputError: If a size is below 1.

    Reference:
        [Bahdanau et al., 2014](https://arxiv.org/abs/1409.0473), appendix A.1.2;
        [Salimans & Kingma, 2016](https://arxiv.org/abs/1602.07868) (`normalized`).
    """

    @checked
    def __init__(
        self,
        units: int,
        score_units: int | None = None,
        normalized: bool = False,
        **kwargs: Any,
    ):
        super().__init__(units, **kwargs)
        score_units = units if score_units is None else score_units
        if score_units < 1:
            raise InputError(
                f"`score_units` must be at least 1. Received: score_units={score_units}."
            )
        self.score_units = score_units
        self.normalized = normalized
        self.query_dense = self._dense("query")
        self.key_layer = self._dense(f"{self.name}_keys")

    def _dense(self, name: str) -> Dense:
        return Dense(self.score_units, use_bias=False, dtype=self.dtype_policy, name=name)

    def build_scores(self, query_dim, memory_dim):
        self.query_dense.build((None, None, query_dim))
        self.vector = self.add_weight((self.score_units,), "glorot_uniform", name="vector")
        if self.normalized:
            length = keras.initializers.Constant(math.sqrt(1 / self.score_units))
            self.length = self.add_weight((), length, name="length")
            self.bias = self.add_weight((self.score_units,), "zeros", name="bias")

    def scores(self, query, keys, alignment):
        return self._energies(self.query_dense(query), keys)

    def _energies(self, query, keys):
        """`query` `(B, T, U)` is projected already, and may carry more than the query."""
        if not self.normalized:
            return additive_scores(query, keys, self.vector)
        vector = self.vector * self.length
        vector = vector * keras.ops.rsqrt(keras.ops.sum(keras.ops.square(self.vector)))
        return additive_scores(query + self.bias, keys, vector)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "score_units": self.score_units,
            "normalized": self.normalized,
        }


@keras.saving.register_keras_serializable("keras_seq2seq")
class LocationSensitiveAttention(BahdanauAttention):
    """Additive attention that knows where it looked in the step before.

    `score = v . tanh(W h_t + V h_s + U f_t(s) + b)` with `f_t = F * a_{t-1}`, a convolution
    of the previous weights over the source (equations 8 and 9).

    Args:
        units: int. Size of the output.
        score_units: int. Size of `v`. Defaults to `units`.
        filters: int. Channels of the convolution. Defaults to 10.
        kernel_size: int, odd. Source positions that it sees. Defaults to 31; the paper has
            201 for frames of 10 ms.
        **kwargs: Other arguments of `BahdanauAttention`.

    Raises:
        InputError: If a size is below 1 or `kernel_size` is even.

    Reference:
        [Chorowski et al., 2015](https://arxiv.org/abs/1506.07503), section 2.1.
    """

    uses_alignment = True

    @checked
    def __init__(
        self,
        units: int,
        score_units: int | None = None,
        filters: int = 10,
        kernel_size: int = 31,
        **kwargs: Any,
    ):
        super().__init__(units, score_units, **kwargs)
        if filters < 1 or kernel_size < 1 or kernel_size % 2 == 0:
            raise InputError(
                "`filters` must be at least 1 and `kernel_size` odd. Received: "
                f"filters={filters}, kernel_size={kernel_size}."
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.location_dense = Dense(
            self.score_units, dtype=self.dtype_policy, name="location_projection"
        )

    def build_scores(self, query_dim, memory_dim):
        super().build_scores(query_dim, memory_dim)
        self.kernel = self.add_weight(
            (self.kernel_size, 1, self.filters), "glorot_uniform", name="location_kernel"
        )
        self.location_dense.build((None, None, self.filters))

    def scores(self, query, keys, alignment):
        location = self.location_dense(self._convolved(alignment))
        return self._energies(self.query_dense(query), keys + location)

    def _convolved(self, alignment):
        """`(batch, length, filters)`: the convolution, zeros beyond both ends.

        As a product with the matrix of all shifts of the kernel: for these lengths as fast as
        a convolution or faster, and right on devices, where the XNNPACK delegate of LiteRT
        has now and then given a convolution inside a loop the length of the call before.
        """
        ops = keras.ops
        length = size_of(alignment, 1)
        place = ops.cumsum(ops.ones_like(alignment[0], dtype="int32"))
        offset = place[:, None] - place[None, :] + self.kernel_size // 2
        inside = ops.logical_and(offset >= 0, offset < self.kernel_size)
        # Row 0 is for what the kernel does not reach.
        kernel = ops.pad(self.kernel[:, 0], [(1, 0), (0, 0)])
        shifts = ops.take(kernel, ops.where(inside, offset + 1, 0), axis=0)
        product = ops.matmul(alignment, ops.reshape(shifts, (length, -1)))
        return ops.reshape(product, (-1, length, self.filters))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
        }


@keras.saving.register_keras_serializable("keras_seq2seq")
class MonotonicAttention(BahdanauAttention):
    """Attention that moves forward only, by the probability of stopping at each position.

    `p_t(s) = sigmoid(score + r)` is the probability of stopping at position `s`; scanning
    from where the step before stopped, the expected weights are

    `a_t(s) = p_t(s) q_t(s)`, `q_t(s) = (1 - p_t(s-1)) q_t(s-1) + a_{t-1}(s)`

    (equation 10), computed for all positions at once (equation 11). What passes the end of
    the source attends to nothing, so weights sum to at most 1. Training and generation use
    the same expected weights; the paper's hard decisions and noise are left out.

    Args:
        units: int. Size of the output.
        score_units: int. Size of `v`. Defaults to `units`.
        score_bias: float. Initial `r`. Defaults to -1: moving on is likely at first.
        **kwargs: Other arguments of `BahdanauAttention`.

    Reference:
        [Raffel et al., 2017](https://arxiv.org/abs/1704.00784), section 2.2, appendix C.
    """

    uses_alignment = True

    @checked
    def __init__(
        self,
        units: int,
        score_units: int | None = None,
        score_bias: float = -1.0,
        **kwargs: Any,
    ):
        super().__init__(units, score_units, **kwargs)
        self.score_bias = score_bias

    def build_scores(self, query_dim, memory_dim):
        super().build_scores(query_dim, memory_dim)
        start = keras.initializers.Constant(self.score_bias)
        self.stop_bias = self.add_weight((), start, name="stop_bias")

    def first_alignment(self, memory_mask):
        """All weight on the first position, where the first scan begins."""
        counts = keras.ops.cumsum(keras.ops.ones_like(memory_mask, dtype="int32"), axis=1)
        return keras.ops.cast(keras.ops.equal(counts, 1), self.compute_dtype)

    def weigh(self, scores, memory_mask, alignment):
        scores = keras.ops.cast(scores + self.stop_bias, "float32")
        if memory_mask is not None:
            scores = keras.ops.where(memory_mask[:, None], scores, HIDDEN)
        stop = keras.ops.sigmoid(scores)
        # Product of (1 - p) before each position, as a sum of logarithms; clipped, so that
        # the quotient below stays finite.
        passing = keras.ops.log(keras.ops.clip(1 - stop, 1e-10, 1.0))
        passed = keras.ops.exp(keras.ops.cumsum(passing, axis=-1) - passing)
        previous = keras.ops.cast(alignment, "float32")[:, None]
        arrived = keras.ops.cumsum(previous / keras.ops.clip(passed, 1e-10, 1.0), axis=-1)
        return stop * passed * arrived

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "score_bias": self.score_bias}
