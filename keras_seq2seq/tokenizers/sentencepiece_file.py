"""Subwords of a SentencePiece model as it was trained elsewhere."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_seq2seq.errors import InputError
from keras_seq2seq.tokenizers.sentencepiece_tokenizer import SPACE, load_pieces
from keras_seq2seq.tokenizers.table_tokenizer import TableTokenizer


@keras.saving.register_keras_serializable("keras_seq2seq")
class SentencePieceFileTokenizer(TableTokenizer):
    """Subwords of a SentencePiece model, its normalization included; ids are those of the
    vocabulary, whatever the model's own are.

    A piece that the vocabulary lacks is unknown. Needs the operations of tensorflow-text
    where it runs; TensorFlow Serving has them.

    Args:
        vocabulary: As of `TableTokenizer`.
        model: The SentencePiece model: its bytes, or these in base64.
        lowercase, name, begin: As of `TableTokenizer`.

    Raises:
        InputError: If it is no SentencePiece model, or one that falls back to bytes.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        model: bytes | str,
        lowercase: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(vocabulary, lowercase, name, **kwargs)
        self.model = base64.b64decode(model) if isinstance(model, str) else bytes(model)
        check_model(self.model, "The SentencePiece model")
        self._pieces = load_pieces(self.model, tf.string)
        # The operation's own resource, which an exporter must track as well.
        self.tables.append(self._pieces._model_resource)

    def split(self, strings: tf.Tensor) -> tf.RaggedTensor:
        return self._pieces.tokenize(tf.strings.unicode_transcode(strings, "UTF-8", "UTF-8"))

    def join(self, pieces: tf.RaggedTensor) -> tf.Tensor:
        spaced = tf.strings.regex_replace(super().join(pieces), SPACE, " ")
        return tf.strings.regex_replace(spaced, "^ ", "")

    @property
    def description(self) -> dict[str, Any]:
        return {**super().description, "space": SPACE}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "model": base64.b64encode(self.model).decode()}


def check_model(model: bytes, name: str) -> None:
    """`InputError` if this is no SentencePiece model that can be used."""
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    try:
        proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    except DecodeError as error:
        raise InputError(f"{name} cannot be read as a SentencePiece model.") from error
    if not proto.pieces:
        raise InputError(f"{name} is no SentencePiece model: it has no pieces.")
    if proto.trainer_spec.byte_fallback:
        raise InputError(
            f"{name} falls back to bytes (byte_fallback), which is not supported."
        )


def read_sentencepiece(path: str | Path) -> bytes:
    """The bytes of a SentencePiece model.

    Raises:
        InputError: If there is no such file, or it is no such model.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Give the SentencePiece model, such as *.spm.")
    model = path.read_bytes()
    check_model(model, str(path))
    return model
