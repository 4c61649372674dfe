"""Multi-head attention on queries, keys and values that are projected already."""

import math
from typing import Any

import keras
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError, check_counts
from keras_seq2seq.layers.attention import HIDDEN
from keras_seq2seq.layers.attention_weights import attention_weights
from keras_seq2seq.layers.byte_dropout import ByteDropout
from keras_seq2seq.layers.sizes import rows_of, size_of


def split_heads(tensor: Any, num_heads: int) -> Any:
    """`(batch, length, dim)` -> `(batch, num_heads, length, dim / num_heads)`."""
    length, head_dim = size_of(tensor, 1), tensor.shape[2] // num_heads
    rows = rows_of(tensor)
    if tensor.shape[1] == 1:  # Nothing to move.
        return keras.ops.reshape(tensor, (rows, num_heads, 1, head_dim))
    tensor = keras.ops.reshape(tensor, (rows, length, num_heads, head_dim))
    return keras.ops.transpose(tensor, (0, 2, 1, 3))


def capped(values: Any, cap: float) -> Any:
    """`cap tanh(value / cap)`: near 0 the value, never beyond the cap."""
    return keras.ops.tanh(values * (1 / cap)) * cap


def check_cap(name: str, cap: float | None) -> None:
    """`InputError` for a cap that is not above 0."""
    if cap is not None and not cap > 0:
        raise InputError(f"`{name}` must be above 0. Received: {name}={cap}.")


def _hiding(mask: Any, scores: Any) -> Any:
    """What is added to the scores: 0 where the mask allows, else so little that the score
    beside it is lost."""
    is_half = keras.backend.standardize_dtype(scores.dtype) == "float16"
    hidden = keras.ops.cast(HIDDEN if is_half else -1e9, scores.dtype)
    return keras.ops.where(mask, keras.ops.zeros_like(hidden), hidden)


def _product_with_transposed(left: Any, right: Any) -> Any:
    """`(..., n, d)` and `(..., m, d)` -> `(..., n, m)`."""
    if keras.backend.backend() == "tensorflow":
        # The product reads the right side as it lies; `keras.ops` would copy it first.
        return tf.matmul(left, right, transpose_b=True)
    return keras.ops.matmul(left, keras.ops.swapaxes(right, -1, -2))


def _by_key(scores: Any) -> Any:
    """Scores of distances `(B, H, T, 2T - 1)` -> of keys `(B, H, T, T)`: row `t` begins `t`
    columns earlier than the one before. A row that is one longer does it, read as one line."""
    rows, heads, length = rows_of(scores), scores.shape[1], size_of(scores, 2)
    line = keras.ops.pad(scores, [[0, 0], [0, 0], [0, 0], [0, 1]])
    line = keras.ops.reshape(line, (rows, heads, 2 * length * length))
    line = keras.ops.pad(line, [[0, 0], [0, 0], [0, length - 1]])
    table = keras.ops.reshape(line, (rows, heads, length + 1, 2 * length - 1))
    return table[:, :, :length, length - 1 :]


def _by_distance(weights: Any) -> Any:
    """Weights of keys `(B, H, T, T)` -> of distances `(B, H, T, 2T - 1)`, where there is no
    key 0: the other way round."""
    rows, heads, length = rows_of(weights), weights.shape[1], size_of(weights, 2)
    line = keras.ops.pad(weights, [[0, 0], [0, 0], [0, 0], [0, length - 1]])
    line = keras.ops.reshape(line, (rows, heads, length * (2 * length - 1)))
    line = keras.ops.pad(line, [[0, 0], [0, 0], [length, 0]])
    return keras.ops.reshape(line, (rows, heads, length, 2 * length))[..., 1:]


@keras.saving.register_keras_serializable("keras_seq2seq")
class SplitHeads(keras.layers.Layer):
    """Keys or values in the order in which `DotProductAttention` reads them.

    A decoder does it once with what it keeps, not at every step.

    Args:
        num_heads: int, divides the last axis.

    Call arguments:
        inputs: `(batch, length, dim)`.

    Returns:
        `(batch, num_heads, length, dim / num_heads)`.
    """

    @checked
    def __init__(self, num_heads: int, **kwargs: Any):
        super().__init__(**kwargs)
        check_counts(num_heads=num_heads)
        self.num_heads = num_heads
        self.supports_masking = True

    def compute_mask(self, inputs, mask=None):
        """None: the attention is given its mask."""

    def call(self, inputs):
        return split_heads(inputs, self.num_heads)

    def compute_output_shape(self, input_shape):
        batch, length, dim = input_shape
        return batch, self.num_heads, length, dim // self.num_heads

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_heads": self.num_heads}


@keras.saving.register_keras_serializable("keras_seq2seq")
class DotProductAttention(keras.layers.Layer):
    """`softmax(Q K^T / sqrt(d)) V` in `num_heads` heads of size `d = dim / num_heads`.

    It has no weights: projections are the caller's, so that a decoder can keep projected
    keys and values of earlier steps and of the memory instead of computing them again. A
    row whose mask allows nothing gets equal weights.

    Args:
        num_heads: int, divides `dim`.
        use_causal_mask: bool. Query `t` attends to keys up to `t`. Defaults to `False`.
        dropout: float in [0, 1). Share of the weights dropped in training. Defaults to 0.
        cap: float, optional, above 0. Scores become `cap tanh(score / cap)`, so that none is
            beyond it, before a bias and the mask (Gemma Team, 2024, section 2). Defaults to
            none.
        shared: bool. Queries of length 1 may have more rows than keys, values and mask: each
            row of these is read by as many query rows, which stand in a run. Defaults to
            `False`.

    Call arguments:
        query: `(batch, target_length, dim)`.
        key: `(batch, source_length, dim)`, or from `SplitHeads(num_heads)`.
        value: `(batch, source_length, dim)`, or from `SplitHeads(num_heads)`.
        mask: `(batch, source_length)`, or `(batch, target_length, source_length)`, bool,
            `True` means attend, optional.
        bias: `(batch, num_heads, target_length, source_length)`, optional, added to the
            scores.
        key_vectors: `(1, 2 * length - 1, d)`, optional, of queries and keys of one length:
            what is added to a key that stands `1 - length, ..., length - 1` after the query
            (`RelativeVectors`).
        value_vectors: The same for values.

    Returns:
        Tuple of the output `(batch, target_length, dim)` and the weights, the mean over the
        heads, `(batch, target_length, source_length)`.

    Raises:
        InputError: If `num_heads` does not divide `dim`.

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), section 3.2, equation 1;
        [Gemma Team, 2024](https://arxiv.org/abs/2408.00118).
    """

    @checked
    def __init__(
        self,
        num_heads: int,
        use_causal_mask: bool = False,
        dropout: float = 0.0,
        shared: bool = False,
        cap: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_counts(num_heads=num_heads)
        check_cap("cap", cap)
        self.shared = shared
        self.cap = cap
        self.num_heads = num_heads
        self.use_causal_mask = use_causal_mask
        self.dropout = dropout
        self.dropout_layer = ByteDropout(dropout, dtype=self.dtype_policy)

    def build(self, query_shape, key_shape=None, value_shape=None, *other_shapes):
        if self.num_heads < 1 or query_shape[-1] % self.num_heads:
            raise InputError(
                "`num_heads` must divide the size of the queries. Received: "
                f"num_heads={self.num_heads}, size {query_shape[-1]}."
            )
        self.built = True

    def call(
        self,
        query,
        key,
        value,
        mask=None,
        bias=None,
        key_vectors=None,
        value_vectors=None,
        training=None,
    ):
        scale = 1 / math.sqrt(query.shape[-1] // self.num_heads)
        if len(key.shape) == 3:
            key = split_heads(key, self.num_heads)
            value = split_heads(value, self.num_heads)
        rows, length, dim = rows_of(query), size_of(query, 1), query.shape[2]
        query = query * scale
        if self.shared:
            # The rows that read one key as the positions of one query.
            query = keras.ops.reshape(query, (size_of(key, 0), -1, dim))
        heads = split_heads(query, self.num_heads)  # (B, H, T, d)
        # One query a row, of a batch that is fixed, which is what LiteRT has: its product of
        # matrices first copies the right side into an order of its own. Products of 16 bits
        # would be rounded before they are summed.
        is_fixed = heads.shape[2] == 1 and (heads.shape[0] or 0) > 1
        by_sums = is_fixed and self.compute_dtype == "float32" and value_vectors is None
        if by_sums:
            scores = keras.ops.sum(heads * key, -1)[:, :, None]
        else:
            scores = _product_with_transposed(heads, key)
        if key_vectors is not None:
            scores = scores + _by_key(_product_with_transposed(heads, key_vectors))
        if self.cap is not None:
            scores = capped(scores, self.cap)
        if bias is not None:
            scores = scores + keras.ops.cast(bias, scores.dtype)
        scores = self._hide(scores, mask)
        weights = keras.ops.cast(attention_weights(scores), self.compute_dtype)
        dropped = self.dropout_layer(weights, training=training)
        if by_sums:
            beside = keras.ops.reshape(dropped, (*heads.shape[:2], -1, 1))
            output = keras.ops.sum(beside * value, 2)
        else:
            output = keras.ops.matmul(dropped, value)
        if value_vectors is not None:
            output = output + keras.ops.matmul(_by_distance(dropped), value_vectors)
        if query.shape[1] != 1:
            output = keras.ops.transpose(output, (0, 2, 1, 3))
        weights = keras.ops.mean(weights, 1)
        if self.shared:
            weights = keras.ops.reshape(weights, (rows, length, size_of(weights, 2)))
        return keras.ops.reshape(output, (rows, length, dim)), weights

    def _hide(self, scores, mask):
        """A sum, which has no gradient to choose and which LiteRT does without a break."""
        if mask is not None:
            mask = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]
            scores = scores + _hiding(mask, scores)
        if self.use_causal_mask:
            rows = keras.ops.arange(size_of(scores, 2))[:, None]
            earlier = keras.ops.arange(size_of(scores, 3))[None] <= rows
            scores = scores + _hiding(earlier[None, None], scores)
        return scores

    def compute_output_shape(self, query_shape, key_shape, *other_shapes):
        return query_shape, (*query_shape[:2], key_shape[-2])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "use_causal_mask": self.use_causal_mask,
            "dropout": self.dropout,
            "shared": self.shared,
            **({} if self.cap is None else {"cap": self.cap}),
        }
