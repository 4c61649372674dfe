"""SentencePiece subwords in the graph: unigram language model or byte-pair encoding."""

import hashlib
import io
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError, check_counts
from keras_seq2seq.special_tokens import END_ID, PAD_ID, SPECIAL_TOKENS, START_ID, UNKNOWN_ID
from keras_seq2seq.tokenizers.table_tokenizer import TableTokenizer, lower
from keras_seq2seq.tokenizers.vocabulary import checked_lines, strings_of

ALGORITHMS = ("unigram", "bpe")

# What stands for a space inside a token.
SPACE = "\u2581"


@keras.saving.register_keras_serializable("keras_seq2seq")
class SentencePieceTokenizer(TableTokenizer):
    """Subwords of SentencePiece; text is restored as it was, spaces and all.

    A space is part of the token after it, written `▁`, and every text begins with one. Runs of
    ASCII whitespace are one space, and there is none at the ends; otherwise characters stay
    as they are (no Unicode normalization), so that a program without TensorFlow tokenizes
    the same. A run of characters that the vocabulary lacks is one unknown token.

    - `"unigram"`: of all ways to split a text the one with the greatest sum of the scores of
      its tokens (Kudo, 2018).
    - `"bpe"`: from single characters on, the neighbours whose union has the best score are
      joined, again and again, the leftmost first (Sennrich et al., 2016).

    Needs the operations of tensorflow-text where it runs; TensorFlow Serving has them.

    Args:
        vocabulary: As of `TableTokenizer`.
        scores: Sequence of floats, one a token: log probability, or for `"bpe"` the rank of
            the merge, negated. Those of special tokens do not matter.
        algorithm: string, `"unigram"` (default) or `"bpe"`.
        lowercase: bool. Lower-case (Unicode) before splitting. Defaults to `False`.
        name: string, optional. Names the vocabulary file too.

    Raises:
        InputError: If `algorithm` is unknown, or there are not as many scores as tokens.

    Reference:
        [Kudo & Richardson, 2018](https://arxiv.org/abs/1808.06226);
        [Kudo, 2018](https://arxiv.org/abs/1804.10959);
        [Sennrich et al., 2016](https://arxiv.org/abs/1508.07909).
    """

    @checked
    def __init__(
        self,
        vocabulary: Sequence[str],
        scores: Sequence[float],
        algorithm: str = "unigram",
        lowercase: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ):
        if algorithm not in ALGORITHMS:
            raise InputError(
                f"`algorithm` must be one of {ALGORITHMS}. Received: algorithm={algorithm!r}."
            )
        if len(scores) != len(vocabulary):
            raise InputError(
                "There must be one score a token. Received: "
                f"{len(scores)} scores, {len(vocabulary)} tokens."
            )
        super().__init__(vocabulary, lowercase, name, **kwargs)
        self.scores = [float(score) for score in scores]
        self.algorithm = algorithm
        model = _model_proto(self.vocabulary, self.scores, algorithm)
        self._pieces = load_pieces(model, tf.string)
        # The operation's own resource, which an exporter must track as well.
        self.tables.append(self._pieces._model_resource)

    @classmethod
    @checked
    def from_lines(
        cls,
        lines: Iterable[str],
        *,
        vocabulary_size: int = 8000,
        algorithm: str = "unigram",
        **kwargs: Any,
    ) -> "SentencePieceTokenizer":
        """Learns the vocabulary from lines of text; the same lines give the same one.

        Every character of the lines is in it, however rare.

        Args:
            lines: Strings.
            vocabulary_size: int. Tokens at most, special ones included. Defaults to 8000.
            algorithm: string. Defaults to `"unigram"`.
            **kwargs: Arguments of the constructor (`lowercase`, `name`).

        Raises:
            InputError: If the lines have no text, or more characters than there is room for.
        """
        strings = _spaced(strings_of(list(checked_lines(lines))))
        if kwargs.get("lowercase"):
            strings = lower(strings)
        # A carriage return or line feed became a space: a token has none.
        texts = [text.decode("utf-8") for text in strings.numpy() if text]
        pieces = learn_pieces(texts, vocabulary_size, algorithm)
        return cls(
            [piece for piece, _ in pieces],
            [score for _, score in pieces],
            algorithm,
            **kwargs,
        )

    def split(self, strings: tf.Tensor) -> tf.RaggedTensor:
        return self._pieces.tokenize(_spaced(strings))

    def join(self, pieces: tf.RaggedTensor) -> tf.Tensor:
        spaced = tf.strings.regex_replace(super().join(pieces), SPACE, " ")
        return tf.strings.regex_replace(spaced, "^ ", "")

    @property
    def description(self) -> dict[str, Any]:
        return {**super().description, "algorithm": self.algorithm, "space": SPACE}

    @property
    def lists(self) -> dict[str, list[Any]]:
        return {**super().lists, "scores": list(self.scores)}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scores": list(self.scores),
            "algorithm": self.algorithm,
        }


def load_pieces(model: bytes, out_type: tf.DType) -> Any:
    """A `tensorflow_text.SentencepieceTokenizer` that outlives `keras.utils.clear_session`.

    Args:
        model: The serialized SentencePiece model.
        out_type: `tf.string` or `tf.int32`.
    """
    import tensorflow_text

    pieces = tensorflow_text.SentencepieceTokenizer(model, out_type=out_type)
    pieces._model_resource = _ModelResource(model)
    return pieces


class _ModelResource(tf.saved_model.experimental.TrackableResource):
    """What the operations look a model up by: a resource named after its content.

    The resource that tensorflow-text makes has no name: it goes with TensorFlow's cache of
    kernels, which `keras.utils.clear_session` empties, and the tokenizer of a living model
    would fail. Equal models share this one.
    """

    def __init__(self, model: bytes):
        super().__init__()
        self._model = model
        _ = self.resource_handle  # Makes it.

    def _create_resource(self) -> tf.Tensor:
        from tensorflow_text.python.ops import sentencepiece_tokenizer

        name = f"sentencepiece_{hashlib.sha256(self._model).hexdigest()}"
        operations = sentencepiece_tokenizer.gen_sentencepiece_tokenizer
        return operations.sentencepiece_op(model=self._model, shared_name=name)


def learn_pieces(
    texts: Sequence[str], vocabulary_size: int, algorithm: str
) -> list[tuple[str, float]]:
    """Tokens and scores that SentencePiece learns, the special tokens first.

    Args:
        texts: Strings, none of them empty.
        vocabulary_size: int. Tokens at most, special ones included.
        algorithm: `"unigram"` or `"bpe"`.

    Raises:
        InputError: If there is no text, or more characters than there is room for.
    """
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    check_counts(vocabulary_size=vocabulary_size)
    if algorithm not in ("unigram", "bpe"):
        raise InputError(f"`algorithm` must be unigram or bpe. Received: {algorithm!r:.60}.")
    if not texts:
        raise InputError("The vocabulary is empty: there is no text to learn it from.")
    characters = set().union(*texts) | {SPACE}
    if len(characters) + len(SPECIAL_TOKENS) > vocabulary_size:
        raise InputError(
            f"The text has {len(characters)} different characters; with the special tokens "
            f"the vocabulary needs at least {len(characters) + len(SPECIAL_TOKENS)} tokens. "
            f"Received: {vocabulary_size}."
        )
    special: Any = dict(
        zip(("pad_piece", "unk_piece", "bos_piece", "eos_piece"), SPECIAL_TOKENS, strict=True)
    )
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type=algorithm,
            vocab_size=vocabulary_size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            max_sentence_length=1 << 20,
            # More would make the result depend on their number.
            num_threads=1,
            pad_id=PAD_ID,
            unk_id=UNKNOWN_ID,
            bos_id=START_ID,
            eos_id=END_ID,
            minloglevel=3,
            **special,
        )
    except (RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"SentencePiece cannot learn {vocabulary_size} tokens from these "
            f"{len(texts)} lines: {reason}"
        ) from error
    pieces = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue()).pieces
    return [(piece.piece, piece.score) for piece in pieces]


def _spaced(strings: tf.Tensor) -> tf.Tensor:
    """One space for a run of ASCII whitespace (or of `▁`), none at the ends; U+FFFD for a
    byte that is not UTF-8."""
    strings = tf.strings.unicode_transcode(strings, "UTF-8", "UTF-8")
    runs = tf.strings.regex_replace(strings, f"[ \\t\\n\\v\\f\\r{SPACE}]+", " ")
    return tf.strings.regex_replace(runs, "^ | $", "")


def _model_proto(vocabulary: Sequence[str], scores: Sequence[float], algorithm: str) -> bytes:
    """What the operation reads: the file of a SentencePiece model that normalizes nothing."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    kinds = proto.ModelProto.SentencePiece
    special = {UNKNOWN_ID: kinds.UNKNOWN, PAD_ID: kinds.CONTROL}
    special |= {START_ID: kinds.CONTROL, END_ID: kinds.CONTROL}
    model = proto.ModelProto()
    for index, (piece, score) in enumerate(zip(vocabulary, scores, strict=True)):
        model.pieces.add(piece=piece, score=score, type=special.get(index, kinds.NORMAL))
    trainer = model.trainer_spec
    trainer.model_type = (
        proto.TrainerSpec.BPE if algorithm == "bpe" else proto.TrainerSpec.UNIGRAM
    )
    trainer.pad_id, trainer.unk_id, trainer.bos_id, trainer.eos_id = range(4)
    (trainer.pad_piece, trainer.unk_piece, trainer.bos_piece, trainer.eos_piece) = (
        SPECIAL_TOKENS
    )
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = True
    model.normalizer_spec.remove_extra_whitespaces = False
    return model.SerializeToString()
