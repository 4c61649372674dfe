"""WordPiece subwords in the graph."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import SPECIAL_TOKENS
from keras_seq2seq.tokenizers.sentencepiece_tokenizer import SPACE, learn_pieces
from keras_seq2seq.tokenizers.table_tokenizer import TableTokenizer, lower
from keras_seq2seq.tokenizers.vocabulary import checked_lines, strings_of
from keras_seq2seq.tokenizers.word_tokenizer import punctuation, split_words

# What a token inside a word begins with. Punctuation is split off, so no text has it.
INSIDE = "##"

# A longer word is unknown as a whole.
LONGEST_WORD_BYTES = 400


@keras.saving.register_keras_serializable("keras_seq2seq")
class WordPieceTokenizer(TableTokenizer):
    """Words and punctuation as `WordTokenizer`, each word the longest known pieces.

    From the left the longest token that the vocabulary has, then the longest after it with
    `##` in front, and so on; a word for which that ends nowhere is one unknown token. Pieces
    are joined to words, words by one space.

    Needs the operations of tensorflow-text where it runs; TensorFlow Serving has them.

    Args: as of `TableTokenizer`.

    Reference:
        [Schuster & Nakajima, 2012](https://research.google/pubs/pub37842/);
        [Wu et al., 2016](https://arxiv.org/abs/1609.08144), section 4.1.
    """

    separator = " "

    @checked
    def __init__(
        self,
        vocabulary: Sequence[str],
        lowercase: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ):
        import tensorflow_text

        super().__init__(vocabulary, lowercase, name, **kwargs)
        self._pieces = tensorflow_text.WordpieceTokenizer(
            self._token_to_id,
            suffix_indicator=INSIDE,
            max_bytes_per_word=LONGEST_WORD_BYTES,
            token_out_type=tf.string,
            unknown_token=None,
        )

    @classmethod
    @checked
    def from_lines(
        cls, lines: Iterable[str], *, vocabulary_size: int = 8000, **kwargs: Any
    ) -> "WordPieceTokenizer":
        """Learns the vocabulary from lines of text; the same lines give the same one.

        The merges of byte-pair encoding, from SentencePiece, and every character both at the
        start of a word and inside one.

        Args:
            lines: Strings.
            vocabulary_size: int. Tokens at most, special ones included. Defaults to 8000.
            **kwargs: Arguments of the constructor (`lowercase`, `name`).

        Raises:
            InputError: If the lines have no text, or more characters than there is room for.
        """
        strings = strings_of(list(checked_lines(lines)))
        words = split_words(lower(strings) if kwargs.get("lowercase") else strings)
        joined = tf.strings.reduce_join(words, axis=-1, separator=" ")
        texts = [text.decode("utf-8", "replace") for text in joined.numpy() if text]
        pieces = [piece for piece, _ in learn_pieces(texts, vocabulary_size, "bpe")][4:]
        characters = sorted({piece for piece in pieces if len(piece) == 1} - {SPACE})
        every = [*characters, *(f"{INSIDE}{character}" for character in characters)]
        if len(every) + len(SPECIAL_TOKENS) > vocabulary_size:
            raise InputError(
                f"The lines have {len(characters)} different characters, which take "
                f"{len(every) + len(SPECIAL_TOKENS)} tokens. Received: "
                f"vocabulary_size={vocabulary_size}."
            )
        # A piece of two characters or more, the space before a word not counted.
        merges = [
            piece[1:] if piece.startswith(SPACE) else f"{INSIDE}{piece}"
            for piece in pieces
            if len(piece.removeprefix(SPACE)) > 1
        ]
        room = vocabulary_size - len(SPECIAL_TOKENS) - len(every)
        return cls([*SPECIAL_TOKENS, *merges[:room], *every], **kwargs)

    def split(self, strings: tf.Tensor) -> tf.RaggedTensor:
        return self._pieces.tokenize(split_words(strings)).merge_dims(1, 2)

    def join(self, pieces: tf.RaggedTensor) -> tf.Tensor:
        return tf.strings.regex_replace(super().join(pieces), f" ?{INSIDE}", "")

    @property
    def description(self) -> dict[str, Any]:
        return {
            **super().description,
            "punctuation": punctuation(),
            "inside": INSIDE,
            "longest_word_bytes": LONGEST_WORD_BYTES,
        }
