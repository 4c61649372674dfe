"""Recurrent decoder, of Keras' own layers and cells."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import AttentionalRecurrence, ByteDropout, MemoryAttention
from keras_seq2seq.layers.attentional_recurrence import (
    ALIGNMENT,
    ATTENTION,
    MEMORY,
    MEMORY_KEYS,
    MEMORY_MASK,
)
from keras_seq2seq.models.bridges import Bridge, DenseBridge
from keras_seq2seq.models.embeddings import TokenEmbedding
from keras_seq2seq.models.parts import (
    DecoderOutput,
    EncoderOutput,
    State,
    Tensor,
    check_rates,
    check_sizes,
)
from keras_seq2seq.models.recurrent_encoder import CELLS, check_cell
from keras_seq2seq.models.token_logits import TokenDecoder, TokenLogits


@keras.saving.register_keras_serializable("keras_seq2seq")
class RecurrentDecoder(TokenDecoder):
    """Stacked recurrent layers that write the target, with or without attention.

    `s_t = RNN(y_{t-1}, s_{t-1})`, `p(y_t) = softmax(W o_t + b)` with `o_t = s_t`, or with
    attention `o_t` = the attention layer's output. Without attention the source is known by
    the initial state alone (Sutskever et al., 2014).

    With `input_feeding="none"` and an attention that does not use its previous weights, a
    whole target takes one product for all its positions; else training loops over the
    target as generation does, which is slower.

    Args:
        embedding: `TokenEmbedding` of the target.
        hidden_dim: int. Units of a layer.
        num_layers: int. Defaults to 1.
        attention: `MemoryAttention` such as `keras_seq2seq.layers.LuongAttention`; `None`
            (default) for no attention.
        bridge: `Bridge` from encoder to initial state. Defaults to `DenseBridge()`.
        cell: string, `"lstm"`, `"gru"` or `"simple_rnn"`. Defaults to `"lstm"`.
        dropout: float in [0, 1). Share of the values dropped in training from the embeddings
            and from the output of every layer and of the attention. Defaults to 0.
        recurrent_dropout: float in [0, 1). Share of `h_{t-1}` dropped in training. Defaults
            to 0.
        residual: bool. Add the input of every layer but the first to its output. Defaults to
            `False`.
        input_feeding: string. `"none"` (default), `"attention"`: the attention's last output
            joins the input (Luong et al., 2015), or `"context"`: the attention asks with the
            last state and its context joins the input (Bahdanau et al., 2014).
        tie_output: bool. The logits are products with the embeddings: the output must be
            `embedding.embedding_dim` wide, and there is no bias. Defaults to `False`.
        name: string. Start of the names of the layers. Defaults to `"decoder"`.

    State: `{name}_{layer}_h` and, of an LSTM, `_c` `(batch, hidden_dim)`. With attention
    `memory` `(batch, source_length, memory_dim)`, `memory_mask` `(batch, source_length)` and
    for additive scores `memory_keys`; `{name}_attention` `(batch, units)` if it is fed;
    `{name}_alignment` `(batch, source_length)` if the attention uses its last weights.

    Raises:
        InputError: If a size is below 1, a rate is not in [0, 1), `cell` or `input_feeding`
            is unknown, or sizes do not fit `residual` or `tie_output`.
    """

    embedding: TokenEmbedding

    @checked
    def __init__(
        self,
        embedding: TokenEmbedding,
        hidden_dim: int,
        num_layers: int = 1,
        attention: MemoryAttention | None = None,
        bridge: Bridge | None = None,
        cell: str = "lstm",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        residual: bool = False,
        input_feeding: str = "none",
        tie_output: bool = False,
        name: str = "decoder",
    ):
        check_sizes(hidden_dim=hidden_dim, num_layers=num_layers)
        check_rates(dropout=dropout, recurrent_dropout=recurrent_dropout)
        check_cell(cell)
        output_dim = hidden_dim if attention is None else attention.units
        if tie_output and embedding.embedding_dim != output_dim:
            raise InputError(
                "A tied output needs embeddings as wide as what the decoder puts out "
                "(the attention's `units`, or `hidden_dim` without attention). Received: "
                f"embedding_dim={embedding.embedding_dim}, output {output_dim}."
            )
        self.embedding = embedding
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.attention = attention
        self.bridge = bridge if bridge is not None else DenseBridge()
        self.cell = cell
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.residual = residual
        self.input_feeding = input_feeding
        self.tie_output = tie_output
        self.name = name
        layer_class, num_tensors = CELLS[cell]
        self.bridge.build(num_layers, hidden_dim, num_tensors, name)
        embedding.build(name)
        self._dropouts = [
            ByteDropout(dropout, name=f"{name}_dropout_{index}")
            for index in range(num_layers + 1)
        ]
        self._output_dropout = ByteDropout(dropout, name=f"{name}_output_dropout")
        self._layers = [
            layer_class(
                hidden_dim,
                recurrent_dropout=recurrent_dropout,
                return_sequences=True,
                name=f"{name}_{cell}_{index}",
            )
            for index in range(num_layers)
        ]
        for layer in self._layers:
            # A step uses the cell alone; a model needs different names for its layers.
            layer.cell.name = f"{layer.name}_cell"
        self._recurrence = AttentionalRecurrence(
            [layer.cell for layer in self._layers],
            attention,
            input_feeding,
            residual,
            dropout,
            recurrent_dropout,
            name=f"{name}_recurrence",
        )
        # Name of a state entry -> its name inside the recurrence.
        self._names = {
            f"{name}_{layer}_{tensor}": f"{layer}_{place}"
            for layer in range(num_layers)
            for place, tensor in enumerate(("h", "c")[:num_tensors])
        } | {
            MEMORY: MEMORY,
            MEMORY_MASK: MEMORY_MASK,
            MEMORY_KEYS: MEMORY_KEYS,
            f"{name}_{ATTENTION}": ATTENTION,
            f"{name}_{ALIGNMENT}": ALIGNMENT,
        }
        self._logits = TokenLogits(embedding, name, tie_output)

    def initial_state(self, encoder_output: EncoderOutput) -> State:
        tensors = [tensor for layer in self.bridge(encoder_output) for tensor in layer]
        state: State = dict(zip(self._names, tensors, strict=False))
        attention, memory = self.attention, encoder_output.memory
        if attention is None:
            return state
        state |= {MEMORY: memory, MEMORY_MASK: encoder_output.mask}
        if attention.key_layer is not None:
            state[MEMORY_KEYS] = attention.keys(memory)
        if self.input_feeding == "attention":
            first = keras.ops.zeros_like(tensors[0][:, :1])
            state[f"{self.name}_{ATTENTION}"] = keras.ops.repeat(first, attention.units, -1)
        if attention.uses_alignment:
            state[f"{self.name}_{ALIGNMENT}"] = attention.first_alignment(encoder_output.mask)
        return state

    def shared_entries(self, state: State) -> Sequence[str]:
        # Alignments of several beams would belong to one row of the memory.
        if self.attention is None or self.attention.uses_alignment:
            return ()
        return [name for name in (MEMORY, MEMORY_MASK, MEMORY_KEYS) if name in state]

    def __call__(self, token_ids: Tensor, state: State) -> DecoderOutput:
        sequence = self._dropouts[0](self.embedding.embed(token_ids))
        # No masks: padding comes after the target, and no later position is asked for.
        if self._recurrence.is_sequential:
            output, _, weights = self._recur(sequence, state)
            output = self._output_dropout(output)
            return DecoderOutput(self.logits(output), weights, hidden=output)
        for index, layer in enumerate(self._layers):
            below = sequence
            names = [f"{self.name}_{index}_{tensor}" for tensor in ("h", "c")]
            states = [state[name] for name in names if name in state]
            sequence = layer(sequence, initial_state=states)
            if self.residual and index:
                sequence = sequence + below
            sequence = self._dropouts[index + 1](sequence)
        weights = None
        if self.attention is not None:
            sequence, weights = self.attention(
                sequence, state[MEMORY], state[MEMORY_MASK], state.get(MEMORY_KEYS)
            )
            sequence = self._output_dropout(sequence)
        return DecoderOutput(self.logits(sequence), weights, hidden=sequence)

    def step(self, token: Tensor, state: State) -> DecoderOutput:
        output, changed, weights = self._recur(self.embedding.embed(token), state)
        return DecoderOutput(self._logits(output, state), weights, changed, output)

    def _recur(self, inputs: Tensor, state: State) -> tuple[Tensor, State, Tensor | None]:
        own = {self._names[n]: tensor for n, tensor in state.items() if n in self._names}
        output, changed, *weights = self._recurrence(inputs, own)
        names = {own: name for name, own in self._names.items()}
        changed = {names[own]: tensor for own, tensor in changed.items()}
        return output, changed, weights[0] if weights else None

    def get_config(self) -> dict[str, Any]:
        return {
            "embedding": keras.saving.serialize_keras_object(self.embedding),
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "attention": keras.saving.serialize_keras_object(self.attention),
            "bridge": keras.saving.serialize_keras_object(self.bridge),
            "cell": self.cell,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "residual": self.residual,
            "input_feeding": self.input_feeding,
            "tie_output": self.tie_output,
            "name": self.name,
        }
