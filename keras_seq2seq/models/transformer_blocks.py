"""What Transformer encoders and decoders are made of."""

import math
from typing import Any, NamedTuple

import keras

from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import (
    ByteDropout,
    Dense,
    DotProductAttention,
    LearnedPositions,
    RelativePositions,
    RelativeVectors,
    RotaryPositions,
    SinusoidalPositions,
    SplitHeads,
)
from keras_seq2seq.layers.sizes import size_of
from keras_seq2seq.models.embeddings import SourceEmbedding
from keras_seq2seq.models.parts import Tensor, check_rates, check_sizes
from keras_seq2seq.models.transformer_style import TransformerStyle

POSITIONS = ("sinusoidal", "learned", "rotary", "relative", "relative_vectors", "none")


class Relation(NamedTuple):
    """What a self-attention is told of how far keys stand from queries.

    Attributes:
        bias: `(B, heads, T, S)`, of the scores, optional.
        keys: What is added to keys, optional: of a whole sequence as `key_vectors` of
            `DotProductAttention`, of one step `(B, S, size of a head)`.
        values: The same for values.
    """

    bias: Tensor | None = None
    keys: Tensor | None = None
    values: Tensor | None = None


UNRELATED = Relation()


class AttentionProjections:
    """The projections around a `DotProductAttention`, with positions turned into queries and
    keys where they are rotary.

    Vectors are `(batch, length, dim)`, or `(batch, dim)` for one step; keys and values are
    split into heads. Steps that are `shared` read keys and values of fewer rows.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        dropout: float,
        name: str,
        causal: bool = False,
        rotary: bool = False,
        shared: bool = False,
        style: TransformerStyle | None = None,
    ):
        style = style or TransformerStyle()
        inner = dim if style.head_dim is None else num_heads * style.head_dim

        def dense(units: int, role: str) -> keras.layers.Layer:
            return Dense(units, use_bias=style.use_bias, name=f"{name}_{role}")

        self._query = dense(inner, "query")
        self._key = dense(inner, "key")
        self._value = dense(inner, "value")
        self._output = dense(dim, "output")
        self._key_heads = SplitHeads(num_heads, name=f"{name}_key_heads")
        self._value_heads = SplitHeads(num_heads, name=f"{name}_value_heads")
        cap = style.attention_cap
        self._attention = DotProductAttention(num_heads, causal, dropout, cap=cap, name=name)
        # One step sees the past alone: a mask in place of causality.
        self._one = DotProductAttention(num_heads, shared=shared, cap=cap, name=f"{name}_step")
        self._rotary: RotaryPositions | None = None
        if rotary:
            self._rotary = RotaryPositions(
                num_heads,
                style.rotary_dim,
                style.rotary_base,
                style.rotary_factor,
                name=f"{name}_rotary",
            )

    def key(self, vectors: Tensor, positions: Tensor | None = None) -> Tensor:
        """`(batch, heads, length, size)`."""
        return self._key_heads(self._turned(self._key(vectors), positions))

    def value(self, vectors: Tensor) -> Tensor:
        """`(batch, heads, length, size)`."""
        return self._value_heads(_as_sequence(self._value(vectors)))

    def __call__(
        self,
        vectors: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None = None,
        relation: Relation = UNRELATED,
    ) -> tuple[Tensor, Tensor]:
        """The whole sequence."""
        query = self._turned(self._query(vectors), None)
        output, weights = self._attention(query, key, value, mask, *relation)
        return self._output(output), weights

    def step(
        self,
        vector: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        positions: Tensor | None = None,
        relation: Relation = UNRELATED,
        family: int = 1,
    ) -> tuple[Tensor, Tensor]:
        """One step: output `(batch, dim)`, weights `(batch, source_length)`.

        So many vectors in a run as a `family` has read one row of keys and values; the mask is
        then `(batch / family, family, source_length)`.
        """
        query = self._turned(self._query(vector), positions)
        if family > 1:
            query = keras.ops.reshape(query, (-1, family, query.shape[2]))
        if relation.keys is not None:
            # One query: its distance from a key is the same in all heads and hypotheses.
            key = key + keras.ops.expand_dims(relation.keys, 1)
            value = value + keras.ops.expand_dims(relation.values, 1)
        output, weights = self._one(query, key, value, mask, relation.bias)
        output = self._output(keras.ops.reshape(output, (-1, query.shape[2])))
        if family == 1:
            return output, weights[:, 0]
        return output, keras.ops.reshape(weights, (-1, size_of(weights, 2)))

    def _turned(self, projected: Tensor, positions: Tensor | None) -> Tensor:
        sequence = _as_sequence(projected)
        return sequence if self._rotary is None else self._rotary(sequence, positions)


def side_by_side(heads: Tensor, family: int) -> Tensor:
    """Keys or values of one step, `(batch, heads, 1, size)` -> `(batch / family, heads,
    family, size)`."""
    if family == 1:
        return heads
    _, num_heads, _, size = heads.shape
    rows = keras.ops.reshape(heads, (-1, family, num_heads, size))
    return keras.ops.transpose(rows, (0, 2, 1, 3))


def _as_sequence(vectors: Tensor) -> Tensor:
    return keras.ops.expand_dims(vectors, 1) if len(vectors.shape) == 2 else vectors


class Residual:
    """A residual connection with dropout and normalization around a sublayer.

    `x + f(norm(x))` with the normalization first, or `x + norm(f(norm(x)))`; else
    `norm(x + f(x))`.
    """

    def __init__(
        self, normalize_first: bool, dropout: float, name: str, style: TransformerStyle
    ):
        self._normalize_first = normalize_first
        self._norm = style.normalization(f"{name}_norm")
        self._post_norm: Any = None
        if style.post_norm:
            self._post_norm = style.normalization(f"{name}_post_norm")
        self._dropout = ByteDropout(dropout, name=f"{name}_dropout")

    def enter(self, sequence: Tensor) -> Tensor:
        """What the sublayer reads."""
        return self._norm(sequence) if self._normalize_first else sequence

    def leave(self, sequence: Tensor, output: Tensor) -> Tensor:
        """The sublayer's output joined with what came in."""
        if self._post_norm is not None:
            output = self._post_norm(output)
        sequence = sequence + self._dropout(output)
        return sequence if self._normalize_first else self._norm(sequence)


class FeedForward:
    """`W_2 f(W_1 x + b_1) + b_2` with its residual connection; gated, what `W_2` reads is
    multiplied with `W_3 x + b_3`."""

    def __init__(
        self,
        hidden_dim: int,
        intermediate_dim: int,
        normalize_first: bool,
        dropout: float,
        name: str,
        style: TransformerStyle,
    ):
        use_bias = style.use_bias
        self._inner = Dense(intermediate_dim, style.function, use_bias, name=f"{name}_inner")
        self._gate: keras.layers.Layer | None = None
        if style.gated:
            self._gate = Dense(intermediate_dim, use_bias=use_bias, name=f"{name}_gate")
        self._outer = Dense(hidden_dim, use_bias=use_bias, name=f"{name}_outer")
        self._residual = Residual(normalize_first, dropout, f"{name}_feed_forward", style)

    def __call__(self, sequence: Tensor) -> Tensor:
        read = self._residual.enter(sequence)
        inner = self._inner(read)
        if self._gate is not None:
            inner = inner * self._gate(read)
        return self._residual.leave(sequence, self._outer(inner))


class TransformerSettings:
    """The constructor that encoder and decoder share, and what surrounds their blocks.

    Attributes:
        block: Class of the blocks, made with these settings and the start of layer names.
        causal: bool. Whether a position sees those before it alone.
    """

    block: Any
    causal: bool = False

    def __init__(
        self,
        embedding: SourceEmbedding,
        intermediate_dim: int,
        num_heads: int,
        num_layers: int,
        max_length: int | None,
        dropout: float,
        normalize_first: bool,
        positions: str,
        attention_dropout: float | None,
        name: str,
        style: TransformerStyle | None = None,
    ):
        style = style or TransformerStyle()
        hidden_dim = embedding.embedding_dim
        check_sizes(
            intermediate_dim=intermediate_dim, num_heads=num_heads, num_layers=num_layers
        )
        if attention_dropout is None:
            attention_dropout = dropout
        check_rates(dropout=dropout, attention_dropout=attention_dropout)
        if style.head_dim is None and hidden_dim % (2 * num_heads):
            raise InputError(
                "The embeddings' size must be a multiple of `2 * num_heads`, so that each head "
                f"has an even size. Received: embedding_dim={hidden_dim}, "
                f"num_heads={num_heads}."
            )
        if style.post_norm and not normalize_first:
            raise ValueError(
                "`post_norm` is for sublayers that are normalized first. Received: "
                "normalize_first=False."
            )
        if positions not in POSITIONS:
            raise InputError(
                f"`positions` must be one of {POSITIONS}. Received: positions={positions!r}."
            )
        if max_length is not None:
            check_sizes(max_length=max_length)
        elif positions == "learned":
            raise InputError(
                "Learned positions need `max_length`, the tokens at most with the end token. "
                "Received: max_length=None."
            )
        self.embedding = embedding
        self.hidden_dim = hidden_dim
        self.intermediate_dim = intermediate_dim
        self.num_heads = num_heads
        self.num_layers = num_layers
        self.max_length = max_length
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.normalize_first = normalize_first
        self.positions = positions
        self.style = style
        self.name = name
        embedding.build(name)
        self._dropout = ByteDropout(dropout, name=f"{name}_dropout")
        self._norm = style.normalization(f"{name}_norm")
        self._embedding_norm = style.normalization(f"{name}_embedding_norm")
        self._positions: Any = None
        if positions == "sinusoidal":
            self._positions = SinusoidalPositions(
                style.interleaved,
                style.inclusive,
                style.first_position,
                name=f"{name}_positions",
            )
        if positions == "learned":
            self._positions = LearnedPositions(max_length or 0, name=f"{name}_positions")
        self._relative: list[RelativePositions] = []
        if positions == "relative":
            names = [f"{name}_relative"]
            if style.relative_in_each:
                names = [f"{name}_{index}_relative" for index in range(num_layers)]
            self._relative = [
                RelativePositions(
                    num_heads, self.causal, style.num_buckets, style.max_distance, name=one
                )
                for one in names
            ]
        self._vectors: list[tuple[RelativeVectors, RelativeVectors]] = []
        if positions == "relative_vectors":
            size = style.head_dim or hidden_dim // num_heads
            self._vectors = [
                (
                    RelativeVectors(size, style.clipped_distance, name=f"{start}_keys"),
                    RelativeVectors(size, style.clipped_distance, name=f"{start}_values"),
                )
                for start in (f"{name}_{index}_relative" for index in range(num_layers))
            ]
        self._blocks = [self.block(self, f"{name}_{index}") for index in range(num_layers)]

    def _begin(self, vectors: Tensor, positions: Tensor | None = None) -> Tensor:
        """Embedded tokens -> what the first block reads."""
        scale = self.style.embedding_scale
        if scale is None:
            scale = math.sqrt(self.hidden_dim)
        if scale != 1:
            vectors = vectors * scale
        if self._positions is not None:
            vectors = self._positions(vectors, positions)
        if self.style.embedding_norm:
            vectors = self._embedding_norm(vectors)
        return self._dropout(vectors)

    def _end(self, sequence: Tensor) -> Tensor:
        """After blocks that normalize first, one normalization is left to do."""
        is_last = self.normalize_first and self.style.final_norm
        return self._norm(sequence) if is_last else sequence

    def _relations(self, sequence: Tensor) -> list[Relation]:
        """What each block is told of the distances in a sequence `(B, T)`."""
        if not self._relative and not self._vectors:
            return [UNRELATED] * self.num_layers
        places = count_positions(sequence)
        if not self._vectors:
            return self._biases(places, places)
        row = keras.ops.max(places, axis=0, keepdims=True)
        before = keras.ops.negative(keras.ops.flip(row[:, 1:], axis=1))
        return self._by_distance(keras.ops.concatenate([before, row], axis=1))

    def _step_relations(self, here: Tensor, positions: Tensor) -> list[Relation]:
        """The same of a query at `here`, `(B, 1)`, and keys at `positions`, `(1, S)`."""
        if self._vectors:
            return self._by_distance(positions - here)
        return self._biases(here, positions)

    def _by_distance(self, distances: Tensor) -> list[Relation]:
        return [Relation(None, *(layer(distances) for layer in pair)) for pair in self._vectors]

    def _biases(self, queries: Tensor, keys: Tensor) -> list[Relation]:
        found = [Relation(layer(queries, keys)) for layer in self._relative] or [UNRELATED]
        return found if len(found) == self.num_layers else found * self.num_layers

    def get_config(self) -> dict[str, Any]:
        return {
            "embedding": keras.saving.serialize_keras_object(self.embedding),
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "num_layers": self.num_layers,
            "max_length": self.max_length,
            "dropout": self.dropout,
            "normalize_first": self.normalize_first,
            "positions": self.positions,
            "attention_dropout": self.attention_dropout,
            "style": keras.saving.serialize_keras_object(self.style),
            "name": self.name,
        }


def count_positions(sequence: Tensor) -> Tensor:
    """`(B, T)` -> 0, 1, 2, ... in every row, int32."""
    return keras.ops.cumsum(keras.ops.ones_like(sequence, dtype="int32"), axis=1) - 1
