"""Recurrent encoder, of Keras' own layers."""

from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import ByteDropout, FusedLSTM, TimeReduction
from keras_seq2seq.models.embeddings import SourceEmbedding
from keras_seq2seq.models.parts import (
    Encoder,
    EncoderOutput,
    Tensor,
    check_rates,
    check_sizes,
)

# Name -> (layer, number of state tensors).
CELLS = {
    "lstm": (FusedLSTM, 2),
    "gru": (keras.layers.GRU, 1),
    "simple_rnn": (keras.layers.SimpleRNN, 1),
}


def check_cell(cell: str) -> None:
    """Raises `InputError` for a cell that is none of `CELLS`."""
    if cell not in CELLS:
        raise InputError(f"`cell` must be one of {sorted(CELLS)}. Received: cell={cell!r}.")


@keras.saving.register_keras_serializable("keras_seq2seq")
class RecurrentEncoder(Encoder):
    """Stacked recurrent layers over an embedded source.

    `h_t = RNN(x_t, h_{t-1})`; in a bidirectional layer the states of both directions are
    concatenated at every position. Padding is masked: it changes neither the states nor the
    final state.

    Args:
        embedding: `SourceEmbedding`, such as `TokenEmbedding`.
        hidden_dim: int. Units of a layer **per direction**: the memory of a bidirectional
            encoder is twice as wide.
        num_layers: int. Defaults to 1.
        bidirectional: bool. Defaults to `False`.
        cell: string, `"lstm"`, `"gru"` or `"simple_rnn"`. Defaults to `"lstm"`.
        dropout: float in [0, 1). Share of the values dropped in training from the embeddings
            and from the output of every layer. Defaults to 0.
        recurrent_dropout: float in [0, 1). Share of `h_{t-1}` dropped in training. Defaults
            to 0.
        residual: bool. Add the input of every layer but the first to its output. Defaults to
            `False`.
        time_reduction: int. Every layer but the first reads so many neighbouring outputs of
            the layer below as one (a pyramidal encoder), so that the memory has
            `time_reduction ** (num_layers - 1)` times fewer positions. Defaults to 1.
        name: string. Start of the names of the layers. Defaults to `"encoder"`.

    Raises:
        InputError: If a size is below 1, a rate is not in [0, 1), `cell` is unknown, or
            residual connections and a time reduction are both asked for.

    Reference:
        [Schuster & Paliwal, 1997](https://doi.org/10.1109/78.650093) (both directions);
        [Wu et al., 2016](https://arxiv.org/abs/1609.08144), section 3.1 (residual);
        [Chan et al., 2015](https://arxiv.org/abs/1508.01211), section 3.1 (pyramid).
    """

    @checked
    def __init__(
        self,
        embedding: SourceEmbedding,
        hidden_dim: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        cell: str = "lstm",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        residual: bool = False,
        time_reduction: int = 1,
        name: str = "encoder",
    ):
        check_sizes(hidden_dim=hidden_dim, num_layers=num_layers, time_reduction=time_reduction)
        check_rates(dropout=dropout, recurrent_dropout=recurrent_dropout)
        check_cell(cell)
        if residual and time_reduction > 1:
            raise InputError(
                "A residual connection needs layers of equal length; use either `residual` or "
                f"`time_reduction`. Received: residual=True, time_reduction={time_reduction}."
            )
        self.embedding = embedding
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.cell = cell
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.residual = residual
        self.time_reduction = time_reduction
        self.name = name
        embedding.build(name)
        self._dropouts = [
            ByteDropout(dropout, name=f"{name}_dropout_{index}")
            for index in range(num_layers + 1)
        ]
        self._layers = [self._recurrent_layer(index) for index in range(num_layers)]
        self._reductions = [
            TimeReduction(time_reduction, name=f"{name}_reduction_{index}")
            for index in range(num_layers)
        ]

    def _recurrent_layer(self, index: int) -> keras.layers.Layer:
        layer_class, _ = CELLS[self.cell]
        name = f"{self.name}_{self.cell}_{index}"
        layer = layer_class(
            self.hidden_dim,
            recurrent_dropout=self.recurrent_dropout,
            return_sequences=True,
            return_state=True,
            name=name,
        )
        return keras.layers.Bidirectional(layer, name=name) if self.bidirectional else layer

    def __call__(self, inputs: dict[str, Tensor]) -> EncoderOutput:
        sequence, mask = self.embedding(inputs)
        sequence = self._dropouts[0](sequence)
        states = []
        for index, layer in enumerate(self._layers):
            if index and self.time_reduction > 1:
                sequence, mask = self._reductions[index](sequence, mask)
            below = sequence
            sequence, *final = layer(sequence, mask=mask)
            if index and self.residual:
                sequence = sequence + below
            sequence = self._dropouts[index + 1](sequence)
            states.append(self._join_directions(final))
        token_ids = self.embedding.token_ids(inputs) if self.time_reduction == 1 else None
        return EncoderOutput(sequence, mask, states, token_ids)

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
            "embedding": keras.saving.serialize_keras_object(self.embedding),
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "cell": self.cell,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "residual": self.residual,
            "time_reduction": self.time_reduction,
            "name": self.name,
        }
