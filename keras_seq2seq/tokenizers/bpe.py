"""Byte-pair encoding of words between spaces, as subword-nmt and fastBPE write it."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.tokenizers.merges import Merges
from keras_seq2seq.tokenizers.table_tokenizer import TableTokenizer

# What a piece ends with that its word goes on after, and a word in the list of merges.
GOES_ON = "@@"
WORD_END = "</w>"


@keras.saving.register_keras_serializable("keras_seq2seq")
class BPETokenizer(TableTokenizer):
    """Words between ASCII whitespace, each split into pieces by a list of merges; a piece that
    its word goes on after ends with `@@`.

    Punctuation is not split off: models of this kind were trained on texts that another
    program had split into words. A piece that the vocabulary lacks is unknown.

    Args:
        vocabulary: As of `TableTokenizer`.
        merges: Lines such as `"t h"` and `"e r</w>"`, two pieces with a space between, as of a
            file of codes.
        lowercase, name, begin: As of `TableTokenizer`.

    Raises:
        InputError: If a merge is not two pieces.

    Reference:
        [Sennrich et al., 2016](https://arxiv.org/abs/1508.07909).

    Example:

    >>> tokenizer = BPETokenizer(
    ...     ["[PAD]", "[UNK]", "[START]", "[END]", "lo@@", "w", "low"], ["l o", "lo w</w>"])
    >>> tokenizer.split_text("low lows")
    ['low', 'lo@@', 'w@@', 's']
    """

    separator = " "

    @checked
    def __init__(
        self,
        vocabulary: Sequence[str],
        merges: Sequence[str],
        lowercase: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(vocabulary, lowercase, name, **kwargs)
        self.merges = list(merges)
        self._merges = Merges(self.merges)
        self.tables += self._merges.tables

    def split(self, strings: tf.Tensor) -> tf.RaggedTensor:
        strings = tf.strings.unicode_transcode(strings, "UTF-8", "UTF-8")
        pieces = self._merges.split(tf.strings.split(strings), _characters_of)
        inner = pieces.values
        marked = tf.where(
            _is_last(inner),
            tf.strings.regex_replace(inner.flat_values, f"{WORD_END}$", ""),
            tf.strings.join([inner.flat_values, GOES_ON]),
        )
        return pieces.with_flat_values(marked).merge_dims(1, 2)

    def join(self, pieces: tf.RaggedTensor) -> tf.Tensor:
        return tf.strings.regex_replace(super().join(pieces), f"{GOES_ON}( |$)", "")

    @property
    def description(self) -> dict[str, Any]:
        return {**super().description, "goes_on": GOES_ON, "word_end": WORD_END}

    @property
    def lists(self) -> dict[str, list[Any]]:
        return {**super().lists, "merges": list(self.merges)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "merges": list(self.merges)}


def _characters_of(words: tf.Tensor) -> tf.RaggedTensor:
    characters = tf.strings.unicode_split(words, "UTF-8")
    flat = characters.flat_values
    last = tf.strings.join([flat, WORD_END])
    return characters.with_flat_values(tf.where(_is_last(characters), last, flat))


def _is_last(rows: tf.RaggedTensor) -> tf.Tensor:
    """`(values,)` bool: whether each is the last of its row."""
    row = rows.value_rowids()
    return tf.concat([row[1:] != row[:-1], tf.ones(tf.minimum(tf.size(row), 1), tf.bool)], 0)
