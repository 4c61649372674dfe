"""Recurrent encoder and decoder, of Keras' own layers."""

from typing import Any

import keras

from keras_seq2seq.models.bridges import Bridge, DenseBridge
from keras_seq2seq.models.parts import (
    ENCODER_TOKEN_IDS,
    Decoder,
    DecoderOutput,
    Encoder,
    EncoderOutput,
    State,
    Tensor,
)

# Name -> (layer, number of state tensors).
CELLS = {"lstm": (keras.layers.LSTM, 2), "gru": (keras.layers.GRU, 1)}


def _check_sizes(cell: str, dropout: float, **sizes: int) -> None:
    if cell not in CELLS:
        raise ValueError(f"`cell` must be one of {sorted(CELLS)}. Received: cell={cell!r}.")
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be in [0, 1). Received: dropout={dropout}.")


@keras.saving.register_keras_serializable("keras_seq2seq")
class RecurrentEncoder(Encoder):
    """Embeds token ids and reads them with stacked LSTM or GRU layers.

    `h_t = RNN(x_t, h_{t-1})`; in a bidirectional layer the states of both directions are
    concatenated at every position ([Schuster & Paliwal, 1997]). Padding (id 0) is masked: it
    changes neither the states nor the final state.

    Args:
        vocabulary_size: int. Number of source tokens, special ones included.
        embedding_dim: int. Size of an embedding.
        hidden_dim: int. Units of a layer **per direction**: the memory of a bidirectional
            encoder is twice as wide.
        num_layers: int. Defaults to 1.
        bidirectional: bool. Defaults to `False`.
        cell: string, `"lstm"` or `"gru"`. Defaults to `"lstm"`.
        dropout: float in [0, 1). Share of the values dropped in training from the embeddings
            and from the output of every layer. Defaults to 0.
        name: string. Start of the names of the layers. Defaults to `"encoder"`.

    Raises:
        ValueError: If a size is below 1, or `cell` or `dropout` is not as above.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        hidden_dim: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        cell: str = "lstm",
        dropout: float = 0.0,
        name: str = "encoder",
    ):
        _check_sizes(
            cell,
            dropout,
            vocabulary_size=vocabulary_size,
            embedding_dim=embedding_dim,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
        )
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.cell = cell
        self.dropout = dropout
        self.name = name
        self._embedding = keras.layers.Embedding(
            vocabulary_size, embedding_dim, name=f"{name}_embedding"
        )
        self._dropouts = [
            keras.layers.Dropout(dropout, name=f"{name}_dropout_{index}")
            for index in range(num_layers + 1)
        ]
        self._layers = [self._recurrent_layer(index) for index in range(num_layers)]

    def _recurrent_layer(self, index: int) -> keras.layers.Layer:
        layer_class, _ = CELLS[self.cell]
        name = f"{self.name}_{self.cell}_{index}"
        layer = layer_class(
            self.hidden_dim, return_sequences=True, return_state=True, name=name
        )
        return keras.layers.Bidirectional(layer, name=name) if self.bidirectional else layer

    def __call__(self, inputs: dict[str, Tensor]) -> EncoderOutput:
        token_ids = inputs[ENCODER_TOKEN_IDS]
        mask = keras.ops.not_equal(token_ids, 0)
        sequence = self._dropouts[0](self._embedding(token_ids))
        states = []
        for layer, dropout in zip(self._layers, self._dropouts[1:], strict=True):
            sequence, *final = layer(sequence, mask=mask)
            sequence = dropout(sequence)
            states.append(self._join_directions(final))
        return EncoderOutput(memory=sequence, mask=mask, states=states)

    def _join_directions(self, final: list[Tensor]) -> list[Tensor]:
        if not self.bidirectional:
            return final
        half = len(final) // 2
        return [
            keras.ops.concatenate([forward, backward], axis=-1)
            for forward, backward in zip(final[:half], final[half:], strict=True)
        ]

    def get_config(self) -> dict[str, Any]:
        return {
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "cell": self.cell,
            "dropout": self.dropout,
            "name": self.name,
        }


@keras.saving.register_keras_serializable("keras_seq2seq")
class RecurrentDecoder(Decoder):
    """Stacked LSTM or GRU layers that write the target, with or without attention.

    `s_t = RNN(y_{t-1}, s_{t-1})`, `p(y_t) = softmax(W o_t + b)` with `o_t = s_t`, or with
    attention `o_t` = the attention layer's output. Without attention the source is known by
    the initial state alone (Sutskever et al., 2014). Attention reads the recurrent outputs
    and is not fed back (no input feeding), so a whole target takes one product.

    Args:
        vocabulary_size: int. Number of target tokens, special ones included.
        embedding_dim: int. Size of an embedding.
        hidden_dim: int. Units of a layer.
        num_layers: int. Defaults to 1.
        attention: Layer called as `(query, memory, memory_mask) -> (output, weights)`, such
            as `keras_seq2seq.layers.LuongAttention`; `None` (default) for no attention.
        bridge: `Bridge` from encoder to initial state. Defaults to `DenseBridge()`.
        cell: string, `"lstm"` or `"gru"`. Defaults to `"lstm"`.
        dropout: float in [0, 1). Share of the values dropped in training from the embeddings
            and from the output of every layer and of the attention. Defaults to 0.
        name: string. Start of the names of the layers. Defaults to `"decoder"`.

    State: `{name}_{layer}_{tensor}` `(batch, hidden_dim)`, and with attention `memory`
    `(batch, source_length, memory_dim)` and `memory_mask` `(batch, source_length)`.

    Raises:
        ValueError: If a size is below 1, or `cell` or `dropout` is not as above.
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        hidden_dim: int,
        num_layers: int = 1,
        attention: keras.layers.Layer | None = None,
        bridge: Bridge | None = None,
        cell: str = "lstm",
        dropout: float = 0.0,
        name: str = "decoder",
    ):
        _check_sizes(
            cell,
            dropout,
            vocabulary_size=vocabulary_size,
            embedding_dim=embedding_dim,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
        )
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.attention = attention
        self.bridge = bridge if bridge is not None else DenseBridge()
        self.cell = cell
        self.dropout = dropout
        self.name = name
        layer_class, num_tensors = CELLS[cell]
        self._state_names = [
            [f"{name}_{layer}_{tensor}" for tensor in ("h", "c")[:num_tensors]]
            for layer in range(num_layers)
        ]
        self.bridge.build(num_layers, hidden_dim, num_tensors, name)
        self._embedding = keras.layers.Embedding(
            vocabulary_size, embedding_dim, name=f"{name}_embedding"
        )
        self._dropouts = [
            keras.layers.Dropout(dropout, name=f"{name}_dropout_{index}")
            for index in range(num_layers + 1)
        ]
        self._output_dropout = keras.layers.Dropout(dropout, name=f"{name}_output_dropout")
        self._layers = [
            layer_class(hidden_dim, return_sequences=True, name=f"{name}_{cell}_{index}")
            for index in range(num_layers)
        ]
        for layer in self._layers:
            # A step uses the cell alone; a model needs different names for its layers.
            layer.cell.name = f"{layer.name}_cell"
        self._logits = keras.layers.Dense(
            vocabulary_size, dtype="float32", name=f"{name}_logits"
        )

    def initial_state(self, encoder_output: EncoderOutput) -> State:
        state: State = {}
        for names, tensors in zip(self._state_names, self.bridge(encoder_output), strict=True):
            state |= dict(zip(names, tensors, strict=True))
        if self.attention is not None:
            state |= {"memory": encoder_output.memory, "memory_mask": encoder_output.mask}
        return state

    def __call__(self, token_ids: Tensor, state: State) -> DecoderOutput:
        sequence = self._dropouts[0](self._embedding(token_ids))
        for layer, dropout, names in zip(
            self._layers, self._dropouts[1:], self._state_names, strict=True
        ):
            # No mask: padding comes after the target, and no later position is asked for.
            sequence = layer(sequence, initial_state=[state[name] for name in names])
            sequence = dropout(sequence)
        return self._output(sequence, state)

    def step(self, token: Tensor, state: State) -> DecoderOutput:
        vector = self._embedding(token)
        changed: State = {}
        for layer, names in zip(self._layers, self._state_names, strict=True):
            vector, tensors = layer.cell(vector, [state[name] for name in names])
            changed |= dict(zip(names, tensors, strict=True))
        return self._output(vector, state, changed)

    def _output(
        self, query: Tensor, state: State, changed: State | None = None
    ) -> DecoderOutput:
        weights = None
        if self.attention is not None:
            query, weights = self.attention(query, state["memory"], state["memory_mask"])
            if changed is None:
                query = self._output_dropout(query)
        return DecoderOutput(self._logits(query), weights, changed or {})

    def get_config(self) -> dict[str, Any]:
        return {
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "attention": keras.saving.serialize_keras_object(self.attention),
            "bridge": keras.saving.serialize_keras_object(self.bridge),
            "cell": self.cell,
            "dropout": self.dropout,
            "name": self.name,
        }
