"""Subwords of a SentencePiece model as it was trained elsewhere."""

import base64
import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import SPECIAL_TOKENS
from keras_seq2seq.tokenizers.sentencepiece_tokenizer import SPACE, load_pieces
from keras_seq2seq.tokenizers.table_tokenizer import TableTokenizer

# Kinds of pieces, and of models, by the numbers in the file.
_NORMAL, _USER_DEFINED = 1, 4
_BPE = 2


@keras.saving.register_keras_serializable("keras_seq2seq")
class SentencePieceFileTokenizer(TableTokenizer):
    """Subwords of a SentencePiece model, its normalization included; ids are those of the
    vocabulary, whatever the model's own are.

    A piece that the vocabulary lacks is unknown. A model that falls back to bytes splits a
    character that it lacks into pieces such as `<0xE2>`; bytes that are no UTF-8 in the end
    are U+FFFD. Needs the operations of tensorflow-text
    where it runs; TensorFlow Serving has them.

    Args:
        vocabulary: As of `TableTokenizer`.
        model: The SentencePiece model: its bytes, or these in base64.
        lowercase, name, begin: As of `TableTokenizer`.

    Raises:
        InputError: If it is no SentencePiece model.
    """

    @checked
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
        self._proto = read_proto(self.model, "The SentencePiece model")
        self._pieces = load_pieces(self.model, tf.string)
        # The operation's own resource, which an exporter must track as well.
        self.tables.append(self._pieces._model_resource)
        self.byte_fallback = self._proto.trainer_spec.byte_fallback
        if self.byte_fallback:
            self._byte_of = tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(
                    tf.constant([f"<0x{byte:02X}>" for byte in range(256)]),
                    tf.constant([bytes([byte]) for byte in range(256)]),
                ),
                default_value="",
            )
            self.tables.append(self._byte_of)

    def split(self, strings: tf.Tensor) -> tf.RaggedTensor:
        return self._pieces.tokenize(tf.strings.unicode_transcode(strings, "UTF-8", "UTF-8"))

    def join(self, pieces: tf.RaggedTensor) -> tf.Tensor:
        tokens = pieces.flat_values
        spaced = tf.strings.regex_replace(tokens, SPACE, " ")
        if self.byte_fallback:
            byte = self._byte_of.lookup(tokens)
            spaced = tf.where(byte == "", spaced, byte)
        text = super().join(pieces.with_flat_values(spaced))
        text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8")
        return tf.strings.regex_replace(text, "^ ", "")

    @property
    def description(self) -> dict[str, Any]:
        """As of every tokenizer, and what the model does before it splits; the pieces that the
        vocabulary lacks with their scores."""
        normalizer = self._proto.normalizer_spec
        known, scores = set(self.vocabulary[len(SPECIAL_TOKENS) :]), self._piece_scores
        return {
            **super().description,
            "space": SPACE,
            "algorithm": "bpe" if self._proto.trainer_spec.model_type == _BPE else "unigram",
            "normalizer": {
                "characters": base64.b64encode(normalizer.precompiled_charsmap).decode(),
                "collapse": normalizer.remove_extra_whitespaces,
                "prefix": normalizer.add_dummy_prefix,
            },
            "byte_fallback": self.byte_fallback,
            "more_pieces": {piece: scores[piece] for piece in scores if piece not in known},
            "worst_score": min(
                (piece.score for piece in self._proto.pieces if piece.type == _NORMAL),
                default=0.0,
            ),
        }

    @property
    def scores(self) -> list[float]:
        """Of each token its score as a piece, NaN if it is none; for programs without
        TensorFlow."""
        pieces = self._piece_scores
        special = [math.nan] * len(SPECIAL_TOKENS)
        return special + [pieces.get(token, math.nan) for token in self.vocabulary[4:]]

    @property
    def _piece_scores(self) -> dict[str, float]:
        """Of the pieces that a text can be split into."""
        best = max(piece.score for piece in self._proto.pieces)
        return {
            # A symbol of the user's wins over all that could stand in its place.
            piece.piece: len(piece.piece) * best - 0.1
            if piece.type == _USER_DEFINED
            else piece.score
            for piece in self._proto.pieces
            if piece.type in (_NORMAL, _USER_DEFINED)
        }

    @property
    def lists(self) -> dict[str, list[Any]]:
        return {**super().lists, "scores": list(self.scores)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "model": base64.b64encode(self.model).decode()}


def read_proto(model: bytes, name: str) -> Any:
    """The model as a message; `InputError` if it is none that can be used."""
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    try:
        proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    except DecodeError as error:
        raise InputError(f"{name} cannot be read as a SentencePiece model.") from error
    if not proto.pieces:
        raise InputError(f"{name} is no SentencePiece model: it has no pieces.")
    return proto
