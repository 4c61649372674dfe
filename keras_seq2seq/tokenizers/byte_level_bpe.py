"""Byte-level byte-pair encoding, as of GPT-2, BART and Whisper, in the graph."""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.tokenizers.merges import Merges
from keras_seq2seq.tokenizers.table_tokenizer import TableTokenizer

# Unicode's property White_Space.
SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
# Endings that are words of their own after an apostrophe.
CONTRACTIONS = ("s", "t", "re", "ve", "m", "ll", "d")
_NOTHING, _OTHER, _LETTER, _NUMBER, _SPACE = range(5)


def byte_characters() -> list[str]:
    """The character that stands for each of the 256 bytes in a token: itself where it shows
    in Latin-1, else one from U+0100 on."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    places = {byte: byte for byte in shown}
    places |= {byte: 256 + index for index, byte in enumerate(hidden)}
    return [chr(places[byte]) for byte in range(256)]


@keras.saving.register_keras_serializable("keras_seq2seq")
class ByteLevelBPETokenizer(TableTokenizer):
    """Words with the space before them, each split into pieces of bytes.

    Words are runs of letters, of numbers and of other characters, each with one space in
    front if there is one; English contractions; and runs of white space. What letters and
    numbers are is said by the Unicode of the running Python. Every byte is a character (a
    space is `Ġ`), and these are joined by a list of merges. A piece that the vocabulary lacks
    is unknown; bytes that are no UTF-8 in the end are U+FFFD.

    Args:
        vocabulary: As of `TableTokenizer`.
        merges: Lines such as `"Ġ t"`, two pieces with a space between, as of `merges.txt`
            without its first line.
        prefix_space: bool. Whether a text without a space in front gets one. Defaults to
            `False`.
        lowercase, name, begin: As of `TableTokenizer`.

    Raises:
        InputError: If a merge is not two pieces.

    Reference:
        [Radford et al., 2019](https://openai.com/index/better-language-models/), section 2.2.

    Example:

    >>> tokenizer = ByteLevelBPETokenizer(
    ...     ["[PAD]", "[UNK]", "[START]", "[END]", "a", "b", "Ġ", "Ġa", "Ġab"], ["Ġ a", "Ġa b"])
    >>> tokenizer.split_text("ab ab")
    ['a', 'b', 'Ġab']
    """

    @checked
    def __init__(
        self,
        vocabulary: Sequence[str],
        merges: Sequence[str],
        prefix_space: bool = False,
        lowercase: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(vocabulary, lowercase, name, **kwargs)
        self.merges = list(merges)
        self.prefix_space = prefix_space
        self._merges = Merges(self.merges)
        self.tables += self._merges.tables

    def split(self, strings: tf.Tensor) -> tf.RaggedTensor:
        strings = tf.strings.unicode_transcode(strings, "UTF-8", "UTF-8")
        if self.prefix_space:
            strings = tf.strings.regex_replace(strings, "^([^ ])", r" \1")
        words = split_byte_level_words(strings)
        return self._merges.split(words, bytes_of).merge_dims(1, 2)

    def join(self, pieces: tf.RaggedTensor) -> tf.Tensor:
        text = super().join(pieces)
        characters = tf.strings.unicode_split(text, "UTF-8")
        codes = tf.strings.unicode_decode(text, "UTF-8").flat_values
        # What stands for no byte is itself.
        size = len(_BYTE_OF)
        replaced = tf.gather(tf.constant(_BYTE_OF), tf.minimum(codes, size - 1))
        known = (codes < size) & (replaced != b"")
        content = tf.where(known, replaced, characters.flat_values)
        joined = tf.strings.reduce_join(characters.with_flat_values(content), axis=-1)
        return tf.strings.unicode_transcode(joined, "UTF-8", "UTF-8")

    @property
    def description(self) -> dict[str, Any]:
        return {
            **super().description,
            "pattern": word_pattern(),
            "prefix_space": self.prefix_space,
            "characters": "".join(byte_characters()),
        }

    @property
    def lists(self) -> dict[str, list[Any]]:
        return {**super().lists, "merges": list(self.merges)}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "merges": list(self.merges),
            "prefix_space": self.prefix_space,
        }


# By code point the byte that a character stands for, empty for none.
_BYTE_OF = [b""] * (max(map(ord, byte_characters())) + 1)
for _byte, _character in enumerate(byte_characters()):
    _BYTE_OF[ord(_character)] = bytes([_byte])


@cache
def _kinds() -> tuple[np.ndarray, np.ndarray]:
    """Code points at which another kind of character begins, and these kinds."""
    kinds = np.full(0x110000, _OTHER, np.int32)
    for code in range(0x110000):
        category = unicodedata.category(chr(code))[0]
        kinds[code] = {"L": _LETTER, "N": _NUMBER}.get(category, _OTHER)
    kinds[list(map(ord, SPACES))] = _SPACE
    begins = np.flatnonzero(np.diff(kinds, prepend=-1))
    return begins.astype(np.int32), kinds[begins]


def bytes_of(words: tf.Tensor) -> tf.RaggedTensor:
    """`(words,)` strings -> ragged `(words, None)`, the character of each byte."""
    lengths = tf.strings.length(words)
    longest = tf.reduce_max(tf.concat([lengths, [1]], 0))
    padded = tf.io.decode_raw(words, tf.uint8, fixed_length=longest)
    content = tf.RaggedTensor.from_tensor(tf.cast(padded, tf.int32), lengths)
    return content.with_flat_values(
        tf.gather(tf.constant(byte_characters()), content.flat_values)
    )


def _characters_of(kind: int) -> str:
    """The characters of a kind as the inside of a character class."""
    begins, kinds = _kinds()
    ends = [*begins[1:], 0x110000]
    ranges = [
        (chr(a), chr(b - 1)) for a, b, k in zip(begins, ends, kinds, strict=True) if k == kind
    ]
    return "".join(a if a == b else f"{a}-{b}" for a, b in ranges)


@cache
def word_pattern() -> str:
    """A regular expression of the words of a text, for Python and JavaScript."""
    letters, numbers = _characters_of(_LETTER), _characters_of(_NUMBER)
    return (
        f"'(?:{'|'.join(CONTRACTIONS)})| ?[{letters}]+| ?[{numbers}]+"
        f"| ?[^{SPACES}{letters}{numbers}]+|[{SPACES}]+(?![^{SPACES}])|[{SPACES}]+"
    )


def split_byte_level_words(strings: tf.Tensor) -> tf.RaggedTensor:
    """`(batch,)` UTF-8 -> ragged `(batch, None)`: the words of a text, all of it.

    The expression of `word_pattern` looks ahead, which TensorFlow's cannot; where a word
    begins is told by a character, the one before it and the one after it.
    """
    characters = tf.strings.unicode_split(strings, "UTF-8")
    codes = tf.strings.unicode_decode(strings, "UTF-8").flat_values
    begins, kinds = (tf.constant(part) for part in _kinds())
    kind = tf.gather(kinds, tf.searchsorted(begins, codes, side="right") - 1)
    row = characters.value_rowids()
    place = tf.range(tf.size(row))

    def at(values: tf.Tensor, distance: int, nothing: Any) -> tf.Tensor:
        """The values so many characters further on in the same text."""
        there = place + distance
        inside = tf.clip_by_value(there, 0, tf.maximum(tf.size(row) - 1, 0))
        found = (inside == there) & (tf.gather(row, inside) == row)
        return tf.where(found, tf.gather(values, inside), nothing)

    before, after = at(kind, -1, _NOTHING), at(kind, 1, _NOTHING)
    after_blank = at(codes, -1, 0) == ord(" ")
    # Of white space the last is left to what follows.
    last = (after != _SPACE) & (after != _NOTHING)
    begins_word = tf.where(
        kind == _SPACE, (before != _SPACE) | last, ~after_blank & (before != kind)
    )
    # An apostrophe that neither a space nor another character took.
    is_free = (codes == ord("'")) & ~after_blank & (before != _OTHER)
    for ending in CONTRACTIONS:
        found = is_free
        for distance, letter in enumerate(ending, 1):
            found &= at(codes, distance, 0) == ord(letter)
        for distance in range(1, len(ending) + 1):
            begins_word &= ~at(found, -distance, False)
        begins_word |= at(found, -len(ending) - 1, False)
    places = tf.where(begins_word)[:, 0]
    words = tf.RaggedTensor.from_row_starts(characters.flat_values, places)
    return tf.RaggedTensor.from_value_rowids(
        tf.strings.reduce_join(words, axis=-1), tf.gather(row, places), characters.nrows()
    )
