"""Attention of a recurrent decoder over the encoder's outputs."""

from typing import Any

import keras

SCORES = ("dot", "general")


@keras.saving.register_keras_serializable("keras_seq2seq")
class LuongAttention(keras.layers.Layer):
    """Global attention of Luong et al. (2015) and its attentional hidden state.

    With decoder state `h_t` (the query) and encoder outputs `h_s` (the memory):

    1. `score(h_t, h_s)` is `h_t . h_s` (`"dot"`) or `h_t . W_a h_s` (`"general"`), eq. 8
    2. `a_t = softmax_s(score(h_t, h_s))` over the positions that the mask allows, eq. 7
    3. `c_t = sum_s a_t(s) h_s`
    4. output `tanh(W_c [c_t; h_t])`, eq. 5

    The softmax runs in `keras.layers.Attention`. A row whose mask allows nothing gets equal
    weights: finite numbers, no NaN.

    Args:
        units: int. Size of the output (rows of `W_c`).
        score: string. `"dot"` or `"general"`. Defaults to `"general"`.
        **kwargs: Other arguments of `keras.layers.Layer`.

    Call arguments:
        query: `(batch, target_length, query_dim)`, or `(batch, query_dim)` for one step.
        memory: `(batch, source_length, memory_dim)`.
        memory_mask: `(batch, source_length)`, bool, `True` means attend.

    Returns:
        Tuple of the output `(batch, target_length, units)` and the weights
        `(batch, target_length, source_length)`; for one step both without
        `target_length`.

    Raises:
        ValueError: If `score` is unknown, or is `"dot"` and the sizes of query and memory
            differ.

    Reference:
        [Luong et al., 2015](https://arxiv.org/abs/1508.04025), section 3.1.
    """

    def __init__(self, units: int, score: str = "general", **kwargs: Any):
        super().__init__(**kwargs)
        if score not in SCORES:
            raise ValueError(f"`score` must be one of {SCORES}. Received: score={score!r}.")
        if units < 1:
            raise ValueError(f"`units` must be at least 1. Received: units={units}.")
        self.units = units
        self.score = score

    def build(self, query_shape, memory_shape, memory_mask_shape=None):
        query_dim, memory_dim = query_shape[-1], memory_shape[-1]
        if self.score == "dot" and query_dim != memory_dim:
            raise ValueError(
                "Dot attention needs a query and a memory of the same size; use "
                f'score="general" for others. Received: query {query_dim}, memory {memory_dim}.'
            )
        dtype = self.dtype_policy
        self.attention = keras.layers.Attention(dtype=dtype, name="attention")
        self.attention.build([(*query_shape[:-1], memory_dim), memory_shape, memory_shape])
        if self.score == "general":
            # W_a is applied to the query: the same product, and nothing to do per position.
            self.query_dense = keras.layers.Dense(
                memory_dim, use_bias=False, dtype=dtype, name="query"
            )
            self.query_dense.build(query_shape)
        self.output_dense = keras.layers.Dense(
            self.units, activation="tanh", use_bias=False, dtype=dtype, name="output"
        )
        self.output_dense.build((*query_shape[:-1], query_dim + memory_dim))
        self.built = True

    def call(self, query, memory, memory_mask=None):
        is_step = len(query.shape) == 2
        if is_step:
            query = keras.ops.expand_dims(query, 1)
        projected = self.query_dense(query) if self.score == "general" else query
        context, weights = self.attention(
            [projected, memory, memory],
            mask=[None, memory_mask],
            return_attention_scores=True,
        )
        output = self.output_dense(keras.ops.concatenate([context, query], axis=-1))
        if is_step:
            return keras.ops.squeeze(output, 1), keras.ops.squeeze(weights, 1)
        return output, weights

    def compute_output_shape(self, query_shape, memory_shape, memory_mask_shape=None):
        return (*query_shape[:-1], self.units), (*query_shape[:-1], memory_shape[1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "score": self.score}
