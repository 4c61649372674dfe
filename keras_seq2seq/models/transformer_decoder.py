"""Transformer decoder; it keeps keys and values of fixed size."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.decoding import LINEAGE
from keras_seq2seq.layers import KeyValueCache, lineage_mask
from keras_seq2seq.models.embeddings import TokenEmbedding
from keras_seq2seq.models.parts import DecoderOutput, EncoderOutput, State, Tensor
from keras_seq2seq.models.token_logits import TokenDecoder, TokenLogits
from keras_seq2seq.models.transformer_blocks import (
    AttentionProjections,
    FeedForward,
    Relation,
    Residual,
    TransformerSettings,
    side_by_side,
)
from keras_seq2seq.models.transformer_style import TransformerStyle


class _Place:
    """Where one step of a decoder stands, and what it sees of its past.

    Attributes:
        positions: `(B, 1)`, int32: that of each hypothesis.
        here: The same, or a scalar where all hypotheses are at one position.
        room: int. Positions of a cache that is written in place.
        family: int. Hypotheses that share a row of keys and values.
    """

    def __init__(
        self,
        positions: Tensor,
        lineage: Tensor | None,
        max_length: int,
        relations: Callable[[Tensor, Tensor], list[Relation]],
    ):
        self.positions = self.here = positions
        self.family, self.room = 1, max_length
        self._relations = relations
        self._sees_all, self._descent = False, None
        # The first block finds it for all.
        self._found: tuple[Tensor | None, list[Relation]] | None = None
        if lineage is not None:
            self.family = lineage.shape[1]
            self.here = keras.ops.max(positions)
            # What grows holds nothing but the past, and that of one hypothesis is all its own.
            self._sees_all = self.family == 1 and lineage.shape[2] is None
            self.room = min(lineage.shape[2] or max_length, max_length)
            # One that several models share may be longer than the caches of this one.
            self._descent = lineage_mask(lineage[:, :, :max_length])

    @property
    def is_new(self) -> bool:
        """Whether no layer has read its cache yet."""
        return self._found is None

    def seen(self, positions: Tensor) -> tuple[Tensor | None, list[Relation]]:
        """What the step attends to of a cache with entries of these positions `(1, length)`,
        and what each block is told of their distances."""
        if self._found is None:
            here = self.here
            if len(here.shape) == 0:
                here = keras.ops.reshape(here, (1, 1))
            self._found = self._mask(positions), self._relations(here, positions)
        return self._found

    def _mask(self, positions: Tensor) -> Tensor | None:
        if self._sees_all:
            return None
        if self._descent is not None:
            return self._descent
        return keras.ops.less_equal(positions, self.positions)


class _DecoderBlock:
    def __init__(self, of: TransformerSettings, name: str):
        self.name = name
        self._index = int(name.rpartition("_")[2])
        self._own = AttentionProjections(
            of.hidden_dim,
            of.num_heads,
            of.attention_dropout,
            f"{name}_self",
            causal=True,
            rotary=of.positions == "rotary",
            style=of.style,
        )
        self.cross = AttentionProjections(
            of.hidden_dim,
            of.num_heads,
            of.attention_dropout,
            f"{name}_cross",
            shared=True,
            style=of.style,
        )
        most = of.max_length or 0  # A decoder always has it.
        self._keys = KeyValueCache(most, name=f"{name}_keys")
        self._values = KeyValueCache(most, name=f"{name}_values")
        residual = of.normalize_first, of.dropout
        self._own_residual = Residual(*residual, f"{name}_self", of.style)
        self._cross_residual = Residual(*residual, f"{name}_cross", of.style)
        self._feed_forward = FeedForward(
            of.hidden_dim, of.intermediate_dim, of.normalize_first, of.dropout, name, of.style
        )

    def whole(self, sequence: Tensor, relation: Relation) -> Tensor:
        """Self-attention over a whole target."""
        read, own = self._own_residual.enter(sequence), self._own
        output, _ = own(read, own.key(read), own.value(read), None, relation)
        return self._own_residual.leave(sequence, output)

    def step(
        self,
        vector: Tensor,
        keys: Tensor,
        values: Tensor,
        place: "_Place",
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Self-attention of one step `(B, D)`; also the keys and values with it."""
        read, own = self._own_residual.enter(vector), self._own
        key = side_by_side(own.key(read, place.positions), place.family)
        value = side_by_side(own.value(read), place.family)
        keys, positions = self._keys(
            keys, key, place.here, places=place.is_new, room=place.room
        )
        values, _ = self._values(values, value, place.here, places=False, room=place.room)
        seen, relations = place.seen(positions)
        relation = relations[self._index]
        output, _ = own.step(read, keys, values, seen, place.positions, relation, place.family)
        return self._own_residual.leave(vector, output), keys, values

    def attend(
        self, sequence: Tensor, keys: Tensor, values: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Cross-attention and feed-forward of a sequence `(B, T, D)` or of one step `(B, D)`;
        also the weights over the source."""
        attention = self.cross if len(sequence.shape) == 3 else self.cross.step
        output, weights = attention(self._cross_residual.enter(sequence), keys, values, mask)
        return self._feed_forward(self._cross_residual.leave(sequence, output)), weights


@keras.saving.register_keras_serializable("keras_seq2seq")
class TransformerDecoder(TransformerSettings, TokenDecoder):
    """Causal self-attention, attention over the memory, feed-forward.

    A step adds its keys and values to those of the positions before; keys and values of the
    memory are projected once, with the initial state.

    Args:
        embedding: `TokenEmbedding` of the target. Its size is the width of the model; a
            multiple of `2 * num_heads`.
        intermediate_dim: int. Width inside a feed-forward layer.
        num_heads: int.
        num_layers: int.
        max_length: int. Tokens that can be generated at most, the end token included.
        dropout: float in [0, 1), of embeddings and sublayer outputs. Defaults to 0.
        normalize_first: bool. As of `TransformerEncoder`. Defaults to `True`.
        positions: string. As of `TransformerEncoder`. Defaults to `"sinusoidal"`.
        tie_output: bool. The logits are products with the embeddings. Defaults to `False`.
        attention_dropout: float, optional. As of `TransformerEncoder`.
        style: `TransformerStyle`, optional. As of `TransformerEncoder`.
        output_bias: bool. A bias of the logits of a tied output too. Defaults to `False`.
        name: string. Start of the names of the layers. Defaults to `"decoder"`.

    State: `{name}_position` `(batch,)` int32; for each layer `{name}_{layer}_key` and
    `_value`, which a step changes, and `{name}_{layer}_memory_key` and `_memory_value`. Keys
    and values are `(batch, num_heads, length, size of a head)`, the length
    `max_length` or that of the source; `memory_mask` `(batch, source_length)`. Those that a
    step changes may also begin with length 0: they grow then (`KeyValueCache`). With a
    `lineage` `(batch, num_beams, length)` they are shared by the hypotheses of a source.

    Raises:
        InputError: If a size is below 1, the heads do not fit the width, or `positions` is
            unknown.

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762); normalization before the
        sublayers as in [Xiong et al., 2020](https://arxiv.org/abs/2002.04745).
    """

    block = _DecoderBlock
    causal = True
    embedding: TokenEmbedding
    max_length: int

    @checked
    def __init__(
        self,
        embedding: TokenEmbedding,
        intermediate_dim: int,
        num_heads: int,
        num_layers: int,
        max_length: int,
        dropout: float = 0.0,
        normalize_first: bool = True,
        positions: str = "sinusoidal",
        tie_output: bool = False,
        attention_dropout: float | None = None,
        name: str = "decoder",
        style: TransformerStyle | None = None,
        output_bias: bool = False,
    ):
        super().__init__(
            embedding,
            intermediate_dim,
            num_heads,
            num_layers,
            max_length,
            dropout,
            normalize_first,
            positions,
            attention_dropout,
            name,
            style,
        )
        self.tie_output = tie_output
        self.output_bias = output_bias
        cap = self.style.logit_cap
        self._logits = TokenLogits(embedding, name, tie_output, output_bias, cap)

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
            # Zeros of the batch's size and of the dtype of keys. The places first: Keras takes
            # a second summand for a bias where it is as long as the heads or their size.
            places = keras.ops.zeros((self.max_length, 1), keys.dtype)
            add, zeros_like = keras.ops.add, keras.ops.zeros_like
            state |= {
                f"{block.name}_key": add(places, zeros_like(keys[:, :, :1])),
                f"{block.name}_value": add(places, zeros_like(values[:, :, :1])),
                f"{block.name}_memory_key": keys,
                f"{block.name}_memory_value": values,
            }
        return state

    def shared_entries(self, state: State) -> Sequence[str]:
        ends = ("memory_mask", "_memory_key", "_memory_value")
        return [name for name in state if name.endswith(ends)]

    def position_entries(self, state: State) -> dict[str, int]:
        ends = tuple(
            f"{block.name}_{kind}" for block in self._blocks for kind in ("key", "value")
        )
        return {name: 2 for name in state if name in ends}

    def __call__(self, token_ids: Tensor, state: State) -> DecoderOutput:
        sequence = self._begin(self.embedding.embed(token_ids))
        weights = None
        for block, relation in zip(self._blocks, self._relations(token_ids), strict=True):
            sequence, weights = self._attend(block, block.whole(sequence, relation), state)
        sequence = self._end(sequence)
        return DecoderOutput(self.logits(sequence), weights, hidden=sequence)

    def step(self, token: Tensor, state: State) -> DecoderOutput:
        position = state[f"{self.name}_position"]
        here = keras.ops.expand_dims(position, 1)
        embedded = self.embedding.embed(keras.ops.expand_dims(token, 1))
        # Without an axis for the length from here on: products of matrices, not of stacks.
        vector = self._begin(embedded, here)[:, 0]
        place = _Place(here, state.get(LINEAGE), self.max_length, self._step_relations)
        changed: State = {f"{self.name}_position": position + 1}
        weights = None
        for block in self._blocks:
            key, value = f"{block.name}_key", f"{block.name}_value"
            vector, changed[key], changed[value] = block.step(
                vector, state[key], state[value], place
            )
            vector, weights = self._attend(block, vector, state)
        vector = self._end(vector)
        return DecoderOutput(self._logits(vector, state), weights, changed, vector)

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
        return {
            **super().get_config(),
            "tie_output": self.tie_output,
            "output_bias": self.output_bias,
        }
