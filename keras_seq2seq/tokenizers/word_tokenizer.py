"""Words and punctuation, split in the graph by one set of characters."""

import unicodedata
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from keras_seq2seq.tokenizers.table_tokenizer import TableTokenizer


@cache
def punctuation() -> str:
    """Punctuation and symbols as a character class, `[!-/...]`, of code points and ranges.

    Spelled out, so that TensorFlow's regular expressions, Python's and JavaScript's mean the
    same characters, whatever version of Unicode they know. The categories are those of
    Unicode 3.2, which every Python carries.
    """
    ranges: list[list[int]] = []
    for code in range(0x10000):
        if unicodedata.ucd_3_2_0.category(chr(code))[0] in "PS":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "[" + "".join(_range(first, last) for first, last in ranges) + "]"


def _range(first: int, last: int) -> str:
    # A backslash escapes any ASCII punctuation in all three, and nothing else.
    ends = [f"\\{chr(code)}" if code < 128 else chr(code) for code in (first, last)]
    return ends[0] if first == last else "-".join(ends)


def split_words(strings: tf.Tensor) -> tf.RaggedTensor:
    """`(batch,)` strings -> ragged `(batch, None)`: runs of other characters than ASCII
    whitespace, and every punctuation character or symbol by itself."""
    # An invalid byte becomes U+FFFD, as everywhere else.
    strings = tf.strings.unicode_transcode(strings, "UTF-8", "UTF-8")
    return tf.strings.split(tf.strings.regex_replace(strings, f"({punctuation()})", r" \1 "))


@keras.saving.register_keras_serializable("keras_seq2seq")
class WordTokenizer(TableTokenizer):
    """One token a word or punctuation character; tokens are joined by one space.

    Splits at ASCII whitespace, and before and after every punctuation character or symbol.
    What was split is joined with a space (`"Yes, sir"` -> `"Yes , sir"`): for targets that
    must read well take a `SentencePieceTokenizer`.

    Example:

    >>> tokenizer = WordTokenizer.from_lines(["Yes, sir!"], lowercase=True)
    >>> tokenizer.split_text("Sir, yes")
    ['sir', ',', 'yes']
    """

    grows = True
    separator = " "

    def split(self, strings: tf.Tensor) -> tf.RaggedTensor:
        return split_words(strings)

    @property
    def description(self) -> dict[str, Any]:
        return {**super().description, "punctuation": punctuation()}
