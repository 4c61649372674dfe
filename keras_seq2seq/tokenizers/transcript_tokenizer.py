"""Tokens of transcripts: pieces of bytes for text, and marks for what is no text."""

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_seq2seq.errors import InputError
from keras_seq2seq.tokenizers.table_tokenizer import TableTokenizer

MARK = re.compile(r"<\|[^|]*\|>")
TIME = re.compile(r"<\|(\d+\.\d\d)\|>")


def byte_letters() -> list[str]:
    """The letter that stands for each byte in a byte-level vocabulary: itself where it is
    printable in Latin-1, else the next letter from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(byte) if byte in printable else "" for byte in range(256)]
    others = (chr(code) for code in range(256, 512))
    return [letter or next(others) for letter in letters]


LETTERS = byte_letters()


@keras.saving.register_keras_serializable("keras_seq2seq")
class TranscriptTokenizer(TableTokenizer):
    """The tokens of Whisper: byte-level pieces, and marks `<|...|>` of language, task and time.

    Marks are not written, but those of time where they are asked for. A text begins with a
    space, which is not written either.

    Args:
        vocabulary: As of `TableTokenizer`; each byte of a piece is a letter (`LETTERS`).
        merges: Pairs of pieces `"a b"` that become one, the first first.
        name: string, optional.
        begin: Marks that every target begins with: language, task, whether there are times.
        languages: Marks of languages; where there are any, a generated target begins with the
            most probable of them, and not with the first of `begin`.
        never: Tokens that are never generated.
        never_first: Tokens that no text begins with.
        writes_times: bool. Whether targets have marks of time. Defaults to `False`.

    Raises:
        InputError: As `TableTokenizer`, of all these tokens.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        merges: Sequence[str] = (),
        name: str | None = None,
        begin: Sequence[str] = (),
        languages: Sequence[str] = (),
        never: Sequence[str] = (),
        never_first: Sequence[str] = (),
        writes_times: bool = False,
        **kwargs: Any,
    ):
        self.merges = list(merges)
        self.languages = list(languages)
        self.never = list(never)
        self.never_first = list(never_first)
        self.writes_times = writes_times
        super().__init__(vocabulary, name=name, begin=begin, **kwargs)
        for token in (*self.languages, *self.never, *self.never_first):
            if token not in self._ids:
                raise InputError(f"The vocabulary lacks the token {token!r}.")
        marks = [bool(MARK.fullmatch(token)) for token in self.vocabulary]
        times = [bool(TIME.fullmatch(token)) for token in self.vocabulary]
        self._is_mark = np.array(marks)
        # Ids of the marks of time, in steps of 0.02 s from 0 on.
        self.time_ids = np.flatnonzero(times)
        if writes_times:
            self._is_mark &= ~np.array(times)

    @property
    def begin_choices(self) -> list[list[int]]:
        if not self.languages:
            return super().begin_choices
        return [[self._ids[token] for token in self.languages], *super().begin_choices[1:]]

    @property
    def never_ids(self) -> list[int]:
        return [self._ids[token] for token in self.never]

    @property
    def never_first_ids(self) -> list[int]:
        return [self._ids[token] for token in self.never_first]

    def is_written(self, ids: tf.Tensor) -> tf.Tensor:
        return super().is_written(ids) & ~tf.gather(tf.constant(self._is_mark), ids)

    def join(self, pieces: tf.RaggedTensor) -> tf.Tensor:
        codes = tf.strings.unicode_decode(tf.strings.reduce_join(pieces, axis=-1), "UTF-8")
        table = np.zeros(max(map(ord, LETTERS)) + 1, np.int64)
        table[[ord(letter) for letter in LETTERS]] = np.arange(256)
        bytes_of = tf.gather(tf.constant(table), codes.flat_values)
        every = tf.constant([bytes([byte]) for byte in range(256)])
        texts = codes.with_flat_values(tf.gather(every, bytes_of))
        return tf.strings.strip(tf.strings.reduce_join(texts, axis=-1))

    def split(self, strings: tf.Tensor) -> tf.RaggedTensor:
        raise NotImplementedError

    @property
    def description(self) -> dict[str, Any]:
        marks = [token for token, mark in zip(self.vocabulary, self._is_mark) if mark]
        return {**super().description, "bytes": "".join(LETTERS), "unwritten": marks}

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("lowercase")
        return {
            **config,
            "merges": self.merges,
            "begin": self.begin,
            "languages": self.languages,
            "never": self.never,
            "never_first": self.never_first,
            "writes_times": self.writes_times,
        }
