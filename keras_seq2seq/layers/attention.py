"""Attention of a recurrent decoder over the encoder's outputs."""

from abc import ABC, abstractmethod
from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers.attention_weights import attention_weights
from keras_seq2seq.layers.dense import Dense

# Score of what must not be attended to: finite, so that a row of nothing else stays finite,
# and within float16.
HIDDEN = -3e4


class MemoryAttention(keras.layers.Layer, ABC):
    """Base of attention layers: scores, weights, context, and the attentional vector.

    With the decoder's state `h_t` (the query) and encoder outputs `h_s` (the memory):

    1. `scores(h_t, keys(h_s))`, which a subclass defines
    2. `a_t = softmax_s(score)` over the positions that the mask allows
    3. `c_t = sum_s a_t(s) h_s`
    4. output `tanh(W_c [c_t; h_t])` (Luong et al., 2015, equation 5)

    A row whose mask allows nothing gets equal weights: finite numbers, no NaN.

    Args:
        units: int. Size of the output (rows of `W_c`).
        **kwargs: Other arguments of `keras.layers.Layer`.

    Call arguments:
        query: `(batch, target_length, query_dim)`, or `(batch, query_dim)` for one step.
        memory: `(batch, source_length, memory_dim)`.
        memory_mask: `(batch, source_length)`, bool, `True` means attend.
        keys: `keys(memory)`, optional: what does not change from step to step.
        alignment: `(batch, source_length)`, the weights of the step before, for layers
            with `uses_alignment`.

    Returns:
        Tuple of the output `(batch, target_length, units)` and the weights
        `(batch, target_length, source_length)`; for one step both without
        `target_length`.

    Raises:
        InputError: If `units` is below 1.
    """

    # Whether the weights of a step enter the next one; then a target is a loop of steps.
    uses_alignment = False

    @checked
    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        if units < 1:
            raise InputError(f"`units` must be at least 1. Received: units={units}.")
        self.units = units
        self.key_layer: keras.layers.Layer | None = None
        # A step needs the name of this layer and that of its model to differ.
        self.output_dense = Dense(
            units,
            activation="tanh",
            use_bias=False,
            dtype=self.dtype_policy,
            name=f"{self.name}_output",
        )

    def build(self, query_shape, memory_shape, *other_shapes):
        query_dim, memory_dim = query_shape[-1], memory_shape[-1]
        self.build_scores(query_dim, memory_dim)
        if self.key_layer is not None and not self.key_layer.built:
            self.key_layer.build(memory_shape)
        self.output_dense.build((*query_shape[:-1], query_dim + memory_dim))
        self.built = True

    def build_scores(self, query_dim: int, memory_dim: int) -> None:
        """Makes the weights of `scores`."""

    def keys(self, memory: Any) -> Any:
        """What `scores` compares a query with, `(batch, source_length, key_dim)`: the memory
        itself, or its projection, which a decoder computes once."""
        return memory if self.key_layer is None else self.key_layer(memory)

    @abstractmethod
    def scores(self, query: Any, keys: Any, alignment: Any) -> Any:
        """`(batch, target_length, source_length)`."""

    def weigh(self, scores: Any, memory_mask: Any, alignment: Any) -> Any:
        """Scores -> weights over the source, float32."""
        if memory_mask is not None:
            hidden = keras.ops.cast(HIDDEN, scores.dtype)
            scores = keras.ops.where(memory_mask[:, None], scores, hidden)
        return attention_weights(scores)

    def first_alignment(self, memory_mask: Any) -> Any:
        """The weights before the first step, `(batch, source_length)`: zeros."""
        return keras.ops.zeros_like(memory_mask, dtype=self.compute_dtype)

    def attend(
        self, query: Any, memory: Any, keys: Any, memory_mask: Any, alignment: Any = None
    ) -> tuple[Any, Any]:
        """Context `(batch, target_length, memory_dim)` and weights."""
        scores = self.scores(query, keys, alignment)
        weights = keras.ops.cast(self.weigh(scores, memory_mask, alignment), self.compute_dtype)
        return keras.ops.matmul(weights, memory), weights

    def combine(self, context: Any, query: Any) -> Any:
        """The attentional vector, `(..., units)`."""
        return self.output_dense(keras.ops.concatenate([context, query], axis=-1))

    def call(self, query, memory, memory_mask=None, keys=None, alignment=None):
        is_step = len(query.shape) == 2
        if is_step:
            query = keras.ops.expand_dims(query, 1)
        keys = self.keys(memory) if keys is None else keys
        context, weights = self.attend(query, memory, keys, memory_mask, alignment)
        output = self.combine(context, query)
        if is_step:
            return keras.ops.squeeze(output, 1), keras.ops.squeeze(weights, 1)
        return output, weights

    def compute_output_shape(self, query_shape, memory_shape, *other_shapes):
        return (*query_shape[:-1], self.units), (*query_shape[:-1], memory_shape[1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


SCORES = ("dot", "general", "concat")


@keras.saving.register_keras_serializable("keras_seq2seq")
class LuongAttention(MemoryAttention):
    """Global attention of Luong et al. (2015).

    `score(h_t, h_s)`, equation 8, is one of

    - `"dot"`: `h_t . h_s`
    - `"general"`: `h_t . W_a h_s`
    - `"concat"`: `v_a . tanh(W_a [h_t; h_s])`

    Args:
        units: int. Size of the output (rows of `W_c`).
        score: string. `"dot"`, `"general"` or `"concat"`. Defaults to `"general"`.
        scaled: bool. Multiply the scores with a learned scalar that begins at 1. Defaults to
            `False`.
        **kwargs: Other arguments of `keras.layers.Layer`.

    Call arguments and returns: as `MemoryAttention`.

    Raises:
        InputError: If `score` is unknown, or is `"dot"` and the sizes of query and memory
            differ.

    Reference:
        [Luong et al., 2015](https://arxiv.org/abs/1508.04025), section 3.1.
    """

    @checked
    def __init__(self, units: int, score: str = "general", scaled: bool = False, **kwargs: Any):
        super().__init__(units, **kwargs)
        if score not in SCORES:
            raise InputError(f"`score` must be one of {SCORES}. Received: score={score!r}.")
        self.score = score
        self.scaled = scaled
        if score == "concat":
            # The two halves of W_a, as wide as the output.
            self.key_layer = Dense(
                units, use_bias=False, dtype=self.dtype_policy, name=f"{self.name}_keys"
            )

    def build_scores(self, query_dim, memory_dim):
        if self.score == "dot" and query_dim != memory_dim:
            raise InputError(
                "Dot attention needs a query and a memory of the same size; use "
                f'score="general" for others. Received: query {query_dim}, memory {memory_dim}.'
            )
        if self.score != "dot":
            # General: W_a on the query gives the same product, with nothing to do for each
            # position of the source.
            self.query_dense = Dense(
                memory_dim if self.score == "general" else self.units,
                use_bias=False,
                dtype=self.dtype_policy,
                name="query",
            )
            self.query_dense.build((None, None, query_dim))
        if self.score == "concat":
            self.vector = self.add_weight((self.units,), "glorot_uniform", name="vector")
        if self.scaled:
            self.scale = self.add_weight((), "ones", name="scale")

    def scores(self, query, keys, alignment):
        projected = query if self.score == "dot" else self.query_dense(query)
        if self.score == "concat":
            scores = additive_scores(projected, keys, self.vector)
        else:
            scores = keras.ops.matmul(projected, keras.ops.transpose(keys, (0, 2, 1)))
        return scores * self.scale if self.scaled else scores

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "score": self.score, "scaled": self.scaled}


def additive_scores(query: Any, keys: Any, vector: Any) -> Any:
    """`v . tanh(q_t + k_s)`: `(B, T, U)` and `(B, S, U)` -> `(B, T, S)`."""
    hidden = keras.ops.tanh(query[:, :, None] + keys[:, None])
    return keras.ops.sum(hidden * vector, axis=-1)
