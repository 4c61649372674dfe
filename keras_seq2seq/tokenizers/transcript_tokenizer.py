"""Tokens of transcripts: byte-level pieces for text, and marks for what is no text."""

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.tokenizers.byte_level_bpe import ByteLevelBPETokenizer

_MARK = re.compile(r"<\|[^|]*\|>")
# A mark of time, in seconds.
TIME = re.compile(r"<\|(\d+\.\d\d)\|>")


@keras.saving.register_keras_serializable("keras_seq2seq")
class TranscriptTokenizer(ByteLevelBPETokenizer):
    """The tokens of Whisper: pieces of `ByteLevelBPETokenizer`, and marks `<|...|>` of
    language, task and time.

    Marks are not written, but those of time where they are asked for. A text is tokenized with
    a space in front; spaces at its ends are not written.

    Args:
        vocabulary: As of `TableTokenizer`.
        merges: As of `ByteLevelBPETokenizer`.
        name: string, optional.
        begin: Marks that every target begins with: language, task, whether there are times.
        languages: Marks of languages; where there are any, a generated target begins with the
            most probable of them, and not with the first of `begin`.
        never: Tokens that are never generated.
        never_first: Tokens that no text begins with.
        writes_times: bool. Whether targets have marks of time. Defaults to `False`.

    Raises:
        InputError: As `ByteLevelBPETokenizer`; or if the vocabulary lacks one of these tokens.

    Reference:
        [Radford et al., 2022](https://arxiv.org/abs/2212.04356), section 2.3.
    """

    @checked
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
        super().__init__(
            vocabulary, merges, **{**kwargs, "prefix_space": True}, name=name, begin=begin
        )
        self.languages = list(languages)
        self.never = list(never)
        self.never_first = list(never_first)
        self.writes_times = writes_times
        for token in (*self.languages, *self.never, *self.never_first):
            if token not in self._ids:
                raise InputError(f"The vocabulary lacks the token {token!r}.")
        is_time = np.array([bool(TIME.fullmatch(token)) for token in self.vocabulary])
        self._is_mark = np.array([bool(_MARK.fullmatch(token)) for token in self.vocabulary])
        # Of the marks of time, the first first.
        self.time_ids = np.flatnonzero(is_time).tolist()
        if writes_times:
            self._is_mark &= ~is_time

    @property
    def begin_choices(self) -> list[list[int]]:
        choices = super().begin_choices
        if self.languages:
            choices[0] = [self._ids[token] for token in self.languages]
        return choices

    @property
    def never_ids(self) -> list[int]:
        return [self._ids[token] for token in self.never]

    @property
    def never_first_ids(self) -> list[int]:
        return [self._ids[token] for token in self.never_first]

    def is_written(self, ids: tf.Tensor) -> tf.Tensor:
        return super().is_written(ids) & ~tf.gather(tf.constant(self._is_mark), ids)

    def join(self, pieces: tf.RaggedTensor) -> tf.Tensor:
        return tf.strings.regex_replace(super().join(pieces), "^ +| +$", "")

    @property
    def description(self) -> dict[str, Any]:
        # Runs of ids: the first, and what follows the last.
        edges = np.flatnonzero(np.diff(self._is_mark.astype(int), prepend=0, append=0))
        return {
            **super().description,
            "unwritten": edges.reshape(-1, 2).tolist(),
            "strip": True,
        }

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["prefix_space"]
        return {
            **config,
            "begin": list(self.begin),
            "languages": list(self.languages),
            "never": list(self.never),
            "never_first": list(self.never_first),
            "writes_times": self.writes_times,
        }
