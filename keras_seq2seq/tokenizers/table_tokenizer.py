"""Tokenizers that split a string and look each piece up in a table, all in the graph."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Self

import keras
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import (
    END_ID,
    PAD_ID,
    SPECIAL_TOKENS,
    START_ID,
    UNKNOWN_ID,
    UNKNOWN_TOKEN,
)
from keras_seq2seq.tokenizers.vocabulary import (
    build_vocabulary,
    check_vocabulary,
    checked_lines,
    count_tokens,
    frequent_tokens,
    strings_of,
)

# Of those that a vocabulary is made of.
LINES_AT_ONCE = 2**16


class TableTokenizer(keras.layers.Layer, ABC):
    """Base of the tokenizers whose vocabulary is a plain list of tokens.

    A subclass says how a string is split (`split`) and how tokens are joined (`separator`,
    `join`), and in `description` what a program without TensorFlow needs to do the same. The
    lookup tables read the vocabulary from a file, so an exported SavedModel carries it
    in `assets/`.

    Args:
        vocabulary: List of unique strings that starts with
            `["[PAD]", "[UNK]", "[START]", "[END]"]`.
        lowercase: bool. Lower-case (Unicode) before splitting. Defaults to `False`.
        name: string, optional. Names the vocabulary file too.
        begin: Tokens of the vocabulary that every text begins with, such as that of its
            language. They are ids like others, and are not written. Defaults to none.
        finish: Tokens of the vocabulary that every source finishes with, likewise; not for
            targets. Defaults to none.

    Raises:
        InputError: If the vocabulary lacks the special tokens, one of `begin` or of `finish`,
            repeats a token or holds a token with a line break.
    """

    separator = ""

    # Whether a text is split in the same way whatever the vocabulary holds, so that tokens
    # can be added to it.
    grows: ClassVar[bool] = False

    @checked
    def __init__(
        self,
        vocabulary: Sequence[str],
        lowercase: bool = False,
        name: str | None = None,
        begin: Sequence[str] = (),
        finish: Sequence[str] = (),
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        # Strings, one or many, as they are, as KerasHub's tokenizers take them.
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self.built = True
        self.vocabulary = check_vocabulary(vocabulary)
        self.lowercase = lowercase
        self.begin, self.finish = list(begin), list(finish)
        self.pad_token_id = PAD_ID
        self.unknown_token_id = UNKNOWN_ID
        self.start_token_id = START_ID
        self.end_token_id = END_ID
        self._ids = {token: index for index, token in enumerate(self.vocabulary)}
        around = [*self.begin, *self.finish]
        if missing := [token for token in around if token not in self._ids]:
            raise InputError(
                "Tokens that a text begins or finishes with must be in the vocabulary. "
                f"Missing: {missing}."
            )
        self.begin_ids = [self._ids[token] for token in self.begin]
        self.finish_ids = [self._ids[token] for token in self.finish]
        self._build_tables()

    @property
    def begin_choices(self) -> list[list[int]]:
        """Of each token that a generated text begins with, the ids among which the most
        probable is taken."""
        return [[begin_id] for begin_id in self.begin_ids]

    @property
    def never_ids(self) -> list[int]:
        """Ids that are never generated."""
        return []

    @property
    def never_first_ids(self) -> list[int]:
        """Ids that are not generated right after those that every text begins with."""
        return []

    def _build_tables(self) -> None:
        # A file and not a constant: files become `assets/` of a SavedModel. The graph reads
        # the file once here and once more when a SavedModel is written, from the asset.
        self._directory = tempfile.TemporaryDirectory(prefix="vocabulary_")
        path = Path(self._directory.name) / f"{self.name}.txt"
        path.write_text(
            "".join(f"{token}\n" for token in self.vocabulary), "utf-8", newline="\n"
        )
        self._token_to_id = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(path),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            default_value=UNKNOWN_ID,
        )
        self._id_to_token = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(path),
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
            ),
            default_value=UNKNOWN_TOKEN,
        )
        # What an exporter must track for the tables to be saved.
        self.tables: list[Any] = [self._token_to_id, self._id_to_token]

    @classmethod
    @checked
    def from_lines(
        cls,
        lines: Iterable[str],
        *,
        min_count: int = 1,
        max_size: int | None = None,
        **kwargs: Any,
    ) -> "TableTokenizer":
        """Builds the vocabulary from lines of text and returns the tokenizer.

        Args:
            lines: Strings.
            min_count: int. Tokens seen less often become unknown.
            max_size: int, optional. Upper bound of the vocabulary's size.
            **kwargs: Arguments of the constructor (`lowercase`, `name`).
        """
        tokens = cls([*SPECIAL_TOKENS], **kwargs).tokens_of(lines)
        return cls(build_vocabulary(tokens, min_count=min_count, max_size=max_size), **kwargs)

    def tokens_of(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """The tokens of each line that can stand in a vocabulary."""
        rest = iter(checked_lines(lines))
        # A part at a time: the lines may be more than fit in memory.
        while part := [*islice(rest, LINES_AT_ONCE)]:
            strings = strings_of(part)
            for line in _rows(self.split_strings(strings, self.lowercase)):
                tokens = [token.decode("utf-8", "replace") for token in line]
                # A carriage return inside a line cannot stand in a vocabulary file: unknown.
                yield [token for token in tokens if token != "\r"]

    def extended(
        self,
        tokens: Iterable[Sequence[str]],
        *,
        min_count: int = 1,
        max_size: int | None = None,
    ) -> Self:
        """The same tokenizer with the tokens that it lacks behind its own: ids stay.

        Args:
            tokens: Of each line, as `tokens_of` gives them; the most frequent come first.
            min_count: int. Tokens seen less often stay unknown.
            max_size: int, optional. Upper bound of the vocabulary's size.

        Raises:
            InputError: If a tokenizer of this kind cannot grow.
        """
        if not self.grows:
            raise InputError(
                f"The vocabulary of a {type(self).__name__} is made as a whole; tokens cannot "
                "be added to it. Characters, symbols and words can."
            )
        frequent = frequent_tokens(count_tokens(tokens), min_count)
        new = [token for token in frequent if token not in self._ids]
        room = None if max_size is None else max(0, max_size - len(self.vocabulary))
        vocabulary = [*self.vocabulary, *new[:room]]
        return type(self).from_config({**self.get_config(), "vocabulary": vocabulary})

    def split_strings(self, strings: tf.Tensor, lowercase: bool = False) -> tf.RaggedTensor:
        """`(batch,)` strings -> ragged `(batch, None)` strings, one a token, those that every
        text begins and finishes with included."""
        pieces = self.split(lower(strings) if lowercase else strings)
        return _between(self.begin, pieces, self.finish)

    def call(self, inputs: Any) -> tf.Tensor | tf.RaggedTensor:
        return self.tokenize(inputs)

    @abstractmethod
    def split(self, strings: tf.Tensor) -> tf.RaggedTensor:
        """How this tokenizer splits: `(batch,)` -> ragged `(batch, None)`."""

    def tokenize(self, inputs: Any) -> tf.Tensor | tf.RaggedTensor:
        """Strings to ids, in the graph.

        ```
        CharacterTokenizer  "cab"    -> [6, 4, 5]
        SymbolTokenizer     "K AE B" -> [9, 7, 8]
        ```

        Args:
            inputs: `(batch,)` strings, or one string.

        Returns:
            Ragged `(batch, None)`, int32, without start or end; for one string `(None,)`.
        """
        strings = strings_of(inputs)
        if strings.shape.rank == 0:
            return self.tokenize(strings[None])[0]
        pieces = self.split(lower(strings) if self.lowercase else strings)
        ids = tf.cast(self._token_to_id.lookup(pieces.flat_values), tf.int32)
        # Text that is spelled like a special token must not act as one.
        is_special = ids < len(SPECIAL_TOKENS)
        ids = pieces.with_flat_values(tf.where(is_special, UNKNOWN_ID, ids))
        return _between(self.begin_ids, ids, self.finish_ids)

    def detokenize(self, inputs: Any, replacements: Any = None) -> tf.Tensor:
        """Ids to strings, in the graph; the text ends before the first end token.

        Padding and start tokens are left out; an unknown token is written `[UNK]`.

        Args:
            inputs: `(..., length)` int ids, dense, or ragged `(batch, None)`.
            replacements: `(..., length)` strings, optional: what to write for the unknown
                token at each position.

        Returns:
            `(...)` strings.
        """
        if isinstance(inputs, tf.RaggedTensor):
            inputs = inputs.to_tensor(PAD_ID)
        ids = tf.cast(tf.convert_to_tensor(inputs), tf.int64)
        ended = tf.cumsum(tf.cast(ids == END_ID, tf.int32), axis=-1) > 0
        keep = ~ended & self.is_written(ids)
        place = tf.range(tf.shape(ids)[-1])
        for index, begin_id in enumerate(self.begin_ids):
            keep &= (place != index) | (ids != begin_id)
        shape = tf.shape(ids)
        # Not -1: without positions the number of rows cannot be inferred.
        flat = tf.stack([tf.reduce_prod(shape[:-1]), shape[-1]])
        kept = tf.ragged.boolean_mask(tf.reshape(ids, flat), tf.reshape(keep, flat))
        tokens = self._id_to_token.lookup(kept.flat_values)
        if replacements is not None:
            written = tf.ragged.boolean_mask(
                tf.reshape(replacements, flat), tf.reshape(keep, flat)
            )
            tokens = tf.where(kept.flat_values == UNKNOWN_ID, written.flat_values, tokens)
        pieces = kept.with_flat_values(tokens)
        return tf.reshape(self.join(pieces), shape[:-1])

    def is_written(self, ids: tf.Tensor) -> tf.Tensor:
        """Which ids are of text, bool."""
        return (ids != PAD_ID) & (ids != START_ID)

    def join(self, pieces: tf.RaggedTensor) -> tf.Tensor:
        """Ragged `(batch, None)` tokens -> `(batch,)` strings."""
        # `reduce_join` of ragged rows is hundred operations, of a matrix one.
        tokens = pieces.to_tensor("")
        if self.separator:
            follows = tf.sequence_mask(pieces.row_lengths(), tf.shape(tokens)[1])
            follows &= tf.range(tf.shape(tokens)[1]) > 0
            tokens = tf.strings.join([tf.where(follows, self.separator, ""), tokens])
        return tf.strings.reduce_join(tokens, axis=-1)

    @checked
    def split_text(self, text: str) -> list[str]:
        """The tokens of one string, unknown ones as they are; not those it begins with."""
        strings = strings_of([text])
        pieces = self.split(lower(strings) if self.lowercase else strings)
        return [piece.decode("utf-8", "replace") for piece in pieces.flat_values.numpy()]

    @property
    def description(self) -> dict[str, Any]:
        """How to split and join without TensorFlow, as plain values; the vocabulary left out.

        `split` names the tokenizer; what else there is depends on it.
        """
        return {"split": type(self).__name__, "lowercase": self.lowercase, **self._around}

    @property
    def _around(self) -> dict[str, list[str]]:
        # Not of a subclass that knows none.
        both = {"begin": list(self.begin), "finish": list(self.finish)}
        return {name: tokens for name, tokens in both.items() if tokens}

    @property
    def lists(self) -> dict[str, list[Any]]:
        """What the description leaves out: strings or numbers, one a line of a file of that
        name."""
        return {"vocabulary": self.get_vocabulary()}

    def get_vocabulary(self) -> list[str]:
        return list(self.vocabulary)

    def vocabulary_size(self) -> int:
        return len(self.vocabulary)

    @checked
    def id_to_token(self, id: int) -> str:
        if not 0 <= id < len(self.vocabulary):
            raise InputError(f"`id` must be in [0, {len(self.vocabulary)}). Received: id={id}.")
        return self.vocabulary[id]

    @checked
    def token_to_id(self, token: str) -> int:
        return self._ids.get(token, UNKNOWN_ID)

    def get_config(self) -> dict[str, Any]:
        return {
            "vocabulary": list(self.vocabulary),
            "lowercase": self.lowercase,
            "name": self.name,
            **self._around,
        }


@keras.saving.register_keras_serializable("keras_seq2seq")
class CharacterTokenizer(TableTokenizer):
    """One token a Unicode character; tokens are joined without a space.

    A byte that is not UTF-8 becomes U+FFFD, which is unknown unless the vocabulary has it.

    Example:

    >>> tokenizer = CharacterTokenizer.from_lines(["cab", "ace"])
    >>> tokenizer.detokenize(tokenizer.tokenize(["bac"])).numpy()
    array([b'bac'], dtype=object)
    """

    grows = True

    def split(self, strings: tf.Tensor) -> tf.RaggedTensor:
        return tf.strings.unicode_split(strings, "UTF-8")


@keras.saving.register_keras_serializable("keras_seq2seq")
class SymbolTokenizer(TableTokenizer):
    """One token a whitespace-separated symbol (phonemes, words); joined by one space.

    Example:

    >>> tokenizer = SymbolTokenizer.from_lines(["K AE B", "EY S"])
    >>> tokenizer.detokenize(tokenizer.tokenize(["S EY"])).numpy()
    array([b'S EY'], dtype=object)
    """

    grows = True
    separator = " "

    def split(self, strings: tf.Tensor) -> tf.RaggedTensor:
        return tf.strings.split(strings)


def lower(strings: tf.Tensor) -> tf.Tensor:
    """Lower case by Unicode's tables."""
    return tf.strings.lower(strings, encoding="utf-8")


def _between(
    begin: Sequence[Any], rows: tf.RaggedTensor, finish: Sequence[Any]
) -> tf.RaggedTensor:
    """Ragged rows, each with the same values in front and behind."""
    if not begin and not finish:
        return rows
    first, last = (
        tf.tile(tf.constant([list(values)], rows.dtype), [rows.nrows(), 1])
        for values in (begin, finish)
    )
    return tf.concat([first, rows, last], axis=1)


def _rows(pieces: tf.RaggedTensor) -> Any:
    """Iterates over the rows of a ragged tensor of strings without a TensorFlow op a row."""
    values, splits = pieces.flat_values.numpy(), pieces.row_splits.numpy()
    return (values[begin:end] for begin, end in zip(splits[:-1], splits[1:], strict=True))
