"""Transformer encoder and decoder; the decoder keeps keys and values of fixed size."""

from typing import Any

import keras

from keras_seq2seq.layers import DotProductAttention, SinusoidalPositions
from keras_seq2seq.models.parts import (
    ENCODER_TOKEN_IDS,
    Decoder,
    DecoderOutput,
    Encoder,
    EncoderOutput,
    State,
    Tensor,
)


def _check_sizes(dropout: float, **sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    if sizes["hidden_dim"] % (2 * sizes["num_heads"]):
        raise ValueError(
            "`hidden_dim` must be even and a multiple of `num_heads`, each head of even size. "
            f"Received: hidden_dim={sizes['hidden_dim']}, num_heads={sizes['num_heads']}."
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout}.")


class _Attention:
    """The projections around a `DotProductAttention`."""

    def __init__(self, dim: int, num_heads: int, dropout: float, causal: bool, name: str):
        self.query = keras.layers.Dense(dim, name=f"{name}_query")
        self.key = keras.layers.Dense(dim, name=f"{name}_key")
        self.value = keras.layers.Dense(dim, name=f"{name}_value")
        self.output = keras.layers.Dense(dim, name=f"{name}_output")
        self.attention = DotProductAttention(num_heads, causal, dropout, name=name)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None):
        output, weights = self.attention(self.query(query), key, value, mask)
        return self.output(output), weights


class _Block:
    """What every block has: a residual connection with normalization around sublayers."""

    def __init__(self, hidden_dim: int, intermediate_dim: int, dropout: float, name: str):
        self.name = name
        self._dropout_rate = dropout
        self._inner = keras.layers.Dense(
            intermediate_dim, activation="relu", name=f"{name}_inner"
        )
        self._outer = keras.layers.Dense(hidden_dim, name=f"{name}_outer")
        self._feed_forward_around = self.around("feed_forward")

    def around(self, sublayer: str) -> tuple[keras.layers.Layer, keras.layers.Layer]:
        """The normalization and the dropout of a sublayer."""
        return (
            keras.layers.LayerNormalization(epsilon=1e-6, name=f"{self.name}_{sublayer}_norm"),
            keras.layers.Dropout(self._dropout_rate, name=f"{self.name}_{sublayer}_dropout"),
        )

    def feed_forward(self, sequence: Tensor) -> Tensor:
        norm, dropout = self._feed_forward_around
        return sequence + dropout(self._outer(self._inner(norm(sequence))))


class _EncoderBlock(_Block):
    def __init__(
        self, hidden_dim: int, intermediate_dim: int, num_heads: int, dropout: float, name: str
    ):
        super().__init__(hidden_dim, intermediate_dim, dropout, name)
        self.attention = _Attention(hidden_dim, num_heads, dropout, False, f"{name}_attention")
        self.norm, self.dropout = self.around("attention")

    def __call__(self, sequence: Tensor, mask: Tensor) -> Tensor:
        normed = self.norm(sequence)
        attention = self.attention
        output, _ = attention(normed, attention.key(normed), attention.value(normed), mask)
        return self.feed_forward(sequence + self.dropout(output))


class _DecoderBlock(_Block):
    def __init__(
        self, hidden_dim: int, intermediate_dim: int, num_heads: int, dropout: float, name: str
    ):
        super().__init__(hidden_dim, intermediate_dim, dropout, name)
        self.causal = _Attention(hidden_dim, num_heads, dropout, True, f"{name}_self")
        # One step sees the past alone: the same projections, and a mask in place of causality.
        self.one = DotProductAttention(num_heads, name=f"{name}_self_step")
        self.cross = _Attention(hidden_dim, num_heads, dropout, False, f"{name}_cross")
        self.self_norm, self.self_dropout = self.around("self")
        self.cross_norm, self.cross_dropout = self.around("cross")

    def whole(self, sequence: Tensor) -> Tensor:
        """Self-attention over a whole target."""
        normed = self.self_norm(sequence)
        causal = self.causal
        output, _ = causal(normed, causal.key(normed), causal.value(normed))
        return sequence + self.self_dropout(output)

    def step(
        self, vector: Tensor, keys: Tensor, values: Tensor, position: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Self-attention of one step `(B, 1, D)`; also the keys and values with it."""
        normed = self.self_norm(vector)
        places = keras.ops.arange(keys.shape[1])[None]
        is_here = keras.ops.equal(places, position[:, None])[:, :, None]
        keys = keras.ops.where(is_here, self.causal.key(normed), keys)
        values = keras.ops.where(is_here, self.causal.value(normed), values)
        seen = keras.ops.less_equal(places, position[:, None])
        output, _ = self.one(self.causal.query(normed), keys, values, seen)
        return vector + self.causal.output(output), keys, values

    def attend(
        self, sequence: Tensor, keys: Tensor, values: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Cross-attention and feed-forward; also the weights over the source."""
        output, weights = self.cross(self.cross_norm(sequence), keys, values, mask)
        return self.feed_forward(sequence + self.cross_dropout(output)), weights


class _Settings:
    """The constructor that encoder and decoder share."""

    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int,
        intermediate_dim: int,
        num_heads: int,
        num_layers: int,
        dropout: float,
        name: str,
    ):
        _check_sizes(
            dropout,
            vocabulary_size=vocabulary_size,
            hidden_dim=hidden_dim,
            intermediate_dim=intermediate_dim,
            num_heads=num_heads,
            num_layers=num_layers,
        )
        self.vocabulary_size = vocabulary_size
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.num_heads = num_heads
        self.num_layers = num_layers
        self.dropout = dropout
        self.name = name
        # Of the size that gives the scaled embedding (times sqrt(D)) unit variance.
        self._embedding = keras.layers.Embedding(
            vocabulary_size,
            hidden_dim,
            keras.initializers.RandomNormal(stddev=hidden_dim**-0.5),
            name=f"{name}_embedding",
        )
        self._positions = SinusoidalPositions(name=f"{name}_positions")
        self._dropout = keras.layers.Dropout(dropout, name=f"{name}_dropout")
        self._norm = keras.layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm")

    def get_config(self) -> dict[str, Any]:
        return {
            "vocabulary_size": self.vocabulary_size,
            "hidden_dim": self.hidden_dim,
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "num_layers": self.num_layers,
            "dropout": self.dropout,
            "name": self.name,
        }


@keras.saving.register_keras_serializable("keras_seq2seq")
class TransformerEncoder(_Settings, Encoder):
    """Embeds token ids, adds positions, and applies blocks of self-attention (pre-norm).

    A block is `x + attention(norm(x))`, then `x + feed_forward(norm(x))`; a last
    normalization follows the last block. Padding (id 0) is masked.

    Args:
        vocabulary_size: int. Number of source tokens, special ones included.
        hidden_dim: int. Width; a multiple of `2 * num_heads`.
        intermediate_dim: int. Width inside a feed-forward layer.
        num_heads: int.
        num_layers: int.
        dropout: float in [0, 1), of embeddings, sublayer outputs and attention weights.
            Defaults to 0.
        name: string. Start of the names of the layers. Defaults to `"encoder"`.

    Raises:
        ValueError: If a size is below 1 or the heads do not fit the width.

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762); normalization before the
        sublayers as in [Xiong et al., 2020](https://arxiv.org/abs/2002.04745).
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int,
        intermediate_dim: int,
        num_heads: int,
        num_layers: int,
        dropout: float = 0.0,
        name: str = "encoder",
    ):
        super().__init__(
            vocabulary_size, hidden_dim, intermediate_dim, num_heads, num_layers, dropout, name
        )
        self._blocks = [
            _EncoderBlock(hidden_dim, intermediate_dim, num_heads, dropout, f"{name}_{index}")
            for index in range(num_layers)
        ]

    def __call__(self, inputs: dict[str, Tensor]) -> EncoderOutput:
        token_ids = inputs[ENCODER_TOKEN_IDS]
        mask = keras.ops.not_equal(token_ids, 0)
        sequence = self._dropout(self._positions(self._embedding(token_ids)))
        for block in self._blocks:
            sequence = block(sequence, mask)
        return EncoderOutput(memory=self._norm(sequence), mask=mask)


@keras.saving.register_keras_serializable("keras_seq2seq")
class TransformerDecoder(_Settings, Decoder):
    """Causal self-attention, attention over the memory, feed-forward (pre-norm blocks).

    A step writes its keys and values into caches of fixed size `max_length` and reads those
    up to its position; keys and values of the memory are projected once, with the initial
    state.

    Args:
        vocabulary_size: int. Number of target tokens, special ones included.
        hidden_dim: int. Width; a multiple of `2 * num_heads`.
        intermediate_dim: int. Width inside a feed-forward layer.
        num_heads: int.
        num_layers: int.
        max_length: int. Tokens that can be generated at most, the end token included.
        dropout: float in [0, 1), of embeddings, sublayer outputs and attention weights.
            Defaults to 0.
        name: string. Start of the names of the layers. Defaults to `"decoder"`.

    State: `{name}_position` `(batch,)` int32; for each layer `{name}_{layer}_key` and
    `_value` `(batch, max_length, hidden_dim)`, which a step changes, and
    `{name}_{layer}_memory_key` and `_memory_value` `(batch, source_length, hidden_dim)`;
    `memory_mask` `(batch, source_length)`.

    Raises:
        ValueError: If a size is below 1 or the heads do not fit the width.

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762); normalization before the
        sublayers as in [Xiong et al., 2020](https://arxiv.org/abs/2002.04745).
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_dim: int,
        intermediate_dim: int,
        num_heads: int,
        num_layers: int,
        max_length: int,
        dropout: float = 0.0,
        name: str = "decoder",
    ):
        super().__init__(
            vocabulary_size, hidden_dim, intermediate_dim, num_heads, num_layers, dropout, name
        )
        if max_length < 1:
            raise ValueError(
                f"`max_length` must be at least 1. Received: max_length={max_length}."
            )
        self.max_length = max_length
        self._blocks = [
            _DecoderBlock(hidden_dim, intermediate_dim, num_heads, dropout, f"{name}_{index}")
            for index in range(num_layers)
        ]
        self._logits = keras.layers.Dense(
            vocabulary_size, dtype="float32", name=f"{name}_logits"
        )

    def initial_state(self, encoder_output: EncoderOutput) -> State:
        memory = encoder_output.memory
        state: State = {
            f"{self.name}_position": keras.ops.cast(
                keras.ops.zeros_like(encoder_output.mask[:, 0]), "int32"
            ),
            "memory_mask": encoder_output.mask,
        }
        for block in self._blocks:
            keys, values = block.cross.key(memory), block.cross.value(memory)
            # Zeros of the batch's size and of the dtype of keys.
            empty = keras.ops.zeros_like(keys[:, :1]) + keras.ops.zeros(
                (1, self.max_length, 1), keys.dtype
            )
            state |= {
                f"{block.name}_key": empty,
                f"{block.name}_value": empty,
                f"{block.name}_memory_key": keys,
                f"{block.name}_memory_value": values,
            }
        return state

    def __call__(self, token_ids: Tensor, state: State) -> DecoderOutput:
        sequence = self._dropout(self._positions(self._embedding(token_ids)))
        weights = None
        for block in self._blocks:
            sequence, weights = self._attend(block, block.whole(sequence), state)
        return DecoderOutput(self._logits(self._norm(sequence)), weights)

    def step(self, token: Tensor, state: State) -> DecoderOutput:
        position = state[f"{self.name}_position"]
        embedded = self._embedding(keras.ops.expand_dims(token, 1))
        vector = self._positions(embedded, keras.ops.expand_dims(position, 1))
        changed: State = {f"{self.name}_position": position + 1}
        weights = None
        for block in self._blocks:
            key, value = f"{block.name}_key", f"{block.name}_value"
            vector, changed[key], changed[value] = block.step(
                vector, state[key], state[value], position
            )
            vector, weights = self._attend(block, vector, state)
        logits = self._logits(self._norm(vector))[:, 0]
        return DecoderOutput(logits, None if weights is None else weights[:, 0], changed)

    def _attend(
        self, block: _DecoderBlock, sequence: Tensor, state: State
    ) -> tuple[Tensor, Tensor]:
        return block.attend(
            sequence,
            state[f"{block.name}_memory_key"],
            state[f"{block.name}_memory_value"],
            state["memory_mask"],
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_length": self.max_length}
