"""The simplest encoder: what the source is made of, without its order."""

from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.layers import ByteDropout
from keras_seq2seq.models.embeddings import SourceEmbedding
from keras_seq2seq.models.parts import Encoder, EncoderOutput, Tensor, check_rates


@keras.saving.register_keras_serializable("keras_seq2seq")
class MeanEncoder(Encoder):
    """The embeddings are the memory, their mean over the source is the one final state.

    A baseline: it knows no order. A decoder starts from the mean through a `DenseBridge`.

    Args:
        embedding: `SourceEmbedding`, such as `TokenEmbedding`.
        dropout: float in [0, 1), of the embeddings. Defaults to 0.
        name: string. Start of the names of the layers. Defaults to `"encoder"`.

    Raises:
        InputError: If `dropout` is not in [0, 1).
    """

    @checked
    def __init__(self, embedding: SourceEmbedding, dropout: float = 0.0, name: str = "encoder"):
        check_rates(dropout=dropout)
        self.embedding = embedding
        self.dropout = dropout
        self.name = name
        embedding.build(name)
        self._dropout = ByteDropout(dropout, name=f"{name}_dropout")

    def __call__(self, inputs: dict[str, Tensor]) -> EncoderOutput:
        sequence, mask = self.embedding(inputs)
        sequence = self._dropout(sequence)
        weights = keras.ops.cast(mask, sequence.dtype)[:, :, None]
        # At least one, so that a source of padding alone gives zeros.
        count = keras.ops.maximum(keras.ops.sum(weights, axis=1), 1.0)
        mean = keras.ops.sum(sequence * weights, axis=1) / count
        return EncoderOutput(sequence, mask, [[mean]], self.embedding.token_ids(inputs))

    def get_config(self) -> dict[str, Any]:
        return {
            "embedding": keras.saving.serialize_keras_object(self.embedding),
            "dropout": self.dropout,
            "name": self.name,
        }
