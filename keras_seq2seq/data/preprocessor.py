"""Sources and targets to what the models take: with the preprocessors of each kind of source
the only place that knows keys, shifting and masks."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.augmentation import Augmentation
from keras_seq2seq.data.readers import check_equal_length
from keras_seq2seq.data.stored.texts import StoredTexts
from keras_seq2seq.data.text import why_no_text
from keras_seq2seq.data.token_lengths import check_list, token_lengths
from keras_seq2seq.errors import InputError, check_counts
from keras_seq2seq.tokenizers import TableTokenizer

# Numbers that the sources of one batch of evaluation or generation hold at most: 16 MB.
BATCH_NUMBERS = 2**22


@dataclass(frozen=True)
class SourceIndex:
    """The sources of a data set, from which batches are taken by row number.

    Attributes:
        lengths: `(sources,)`, int: positions of each source, an end token included.
        batch: `(rows, length, epoch)` -> encoder inputs by name. `rows` `(batch,)` int64;
            `length` an int32 scalar to pad to, or -1 for the longest row; `epoch` an int
            scalar, which augmentation alone asks for. Works in a graph.
    """

    lengths: np.ndarray
    batch: Callable[[tf.Tensor, Any, Any], dict[str, tf.Tensor]]


@dataclass(frozen=True)
class TextIndex:
    """The texts of a data set, from which batches are taken by row number.

    Attributes:
        lengths: `(texts,)`, int: tokens of each text, the end token included.
        ids: `(rows,)`, int -> ragged ids `(rows, None)`, int32, with the end token: the texts
            are read and tokenized then. Works in a graph.
    """

    lengths: np.ndarray
    ids: Callable[[tf.Tensor], tf.RaggedTensor]


class Preprocessor(ABC):
    """Base: the target half, strings that the decoder reads and writes.

    For the target `"K AE B"`, with ids 4 and up for tokens:

    ```
    decoder_token_ids   [ start, 9, 7, 8 ]         the target shifted right
    labels              [  9,  7,  8, end ]        what each position predicts
    weights             [  1., 1., 1., 1. ]        0. where padded
    ```

    A subclass adds the source half: `encoder_inputs`, `index_sources` and `source_lengths`.

    Args:
        target_tokenizer: Such as `CharacterTokenizer`; padding is id 0.
        max_source_length: int. Longest source, in the unit of its kind, an end token not
            counted. A longer source is an error, never cut.
        max_target_length: int. Target tokens at most, without the end token: the longest
            target in training, and where generation stops.

    Attributes:
        kind: string. `"text"`, `"features"` or `"waveform"`.
        unit: string. What the length of a source counts.
        window: int. Positions that the model makes every source as long as; 0 for none.

    Raises:
        InputError: If a length is below 1.
    """

    kind: str
    unit: str
    window: int = 0

    @checked
    def __init__(
        self, target_tokenizer: TableTokenizer, max_source_length: int, max_target_length: int
    ):
        check_counts(max_source_length=max_source_length, max_target_length=max_target_length)
        check_tokenizer("target", target_tokenizer)
        self.target_tokenizer = target_tokenizer
        self.max_source_length = int(max_source_length)
        self.max_target_length = int(max_target_length)

    def replace(self, **changes: Any) -> Self:
        """A copy with other tokenizers or greatest lengths, by the names of the arguments."""
        same = copy.copy(self)
        vars(same).update(changes)
        return same

    # The source half.

    @property
    @abstractmethod
    def source_size(self) -> tuple[str, int]:
        """The attribute of a `SourceEmbedding` that must fit the sources, and its value."""

    @property
    def source_positions(self) -> int:
        """Positions of the longest source, an end token included."""
        return self.max_source_length

    @property
    def tokenizers(self) -> dict[str, TableTokenizer]:
        """`"target"`, and `"source"` where sources are text."""
        return {"target": self.target_tokenizer}

    @property
    def tokens_around(self) -> int:
        """Positions that every source begins with, whatever it is."""
        return 0

    def rows_at_most(self, lengths: np.ndarray) -> int:
        """Sources that fit in a batch without gradients, padded to the longest of them."""
        _, inner = self.source_size if self.kind == "features" else ("", 1)
        longest = max(self.window, int(lengths.max(initial=1)))
        return max(1, BATCH_NUMBERS // (inner * longest))

    def is_one(self, sources: Any) -> bool:
        """Whether this is one source, not a list of them."""
        return isinstance(sources, str)

    @abstractmethod
    def encoder_inputs(self, sources: Any) -> dict[str, tf.Tensor]:
        """Sources -> the encoder inputs by name, padded to the longest."""

    @abstractmethod
    def index_sources(
        self, sources: Sequence[Any], augmentation: Augmentation | None = None, seed: int = 0
    ) -> SourceIndex:
        """The sources of a data set as a `SourceIndex`.

        Args:
            sources: The sources.
            augmentation: How a batch changes them, by `seed`, epoch and row; its `lengths`
                are then the greatest possible. Defaults to `None`: not at all.
            seed: int. Defaults to 0.

        Raises:
            InputError: If sources of this kind cannot be changed so.
        """

    @abstractmethod
    def source_lengths(self, sources: Sequence[Any]) -> np.ndarray:
        """Length of each source in `unit`, without an end token, `(sources,)`."""

    def describe_source(self, source: Any) -> str:
        """A few characters that tell which source it is."""
        return repr(source[:40])

    def unreadable(self, source: Any) -> str:
        """Why this is no source at all, or an empty string: what follows "the source"."""
        return why_no_text(source)

    def source_problems(self, sources: Sequence[Any]) -> tuple[np.ndarray, dict[int, str]]:
        """The `source_lengths`, and of each source that cannot be taken, by its index, why:
        what follows "the source"."""
        problems = {i: why for i, one in enumerate(sources) if (why := self.unreadable(one))}
        readable = [i for i in range(len(sources)) if i not in problems]
        lengths = np.zeros(len(sources), np.int64)
        lengths[readable] = self.source_lengths([sources[i] for i in readable])
        for index in readable:
            if lengths[index] <= self.tokens_around:
                unit = "text" if self.kind == "text" else self.unit
                problems[index] = f"is empty; remove it or give it {unit}."
            elif lengths[index] > self.max_source_length:
                problems[index] = (
                    f"has {lengths[index]} {self.unit}; this model takes at most "
                    f"{self.max_source_length}: {self.describe_source(sources[index])}. "
                    "Shorten it, or train with a larger --max-source-length."
                )
        return lengths, dict(sorted(problems.items()))

    def check_sources(self, sources: Sequence[Any]) -> np.ndarray:
        """The `source_lengths`.

        Raises:
            InputError: For sources that are empty, longer than the maximum or none that this
                model reads, with their numbers.
        """
        lengths, problems = self.source_problems(sources)
        raise_problems(problems, len(sources))
        return lengths

    def count_unknown(self, sources: Sequence[Any]) -> dict[str, int]:
        """The source tokens that the vocabulary lacks, with how often each occurs."""
        return {}

    # The target half.

    def tokenize_target(self, targets: Any) -> tf.RaggedTensor:
        """`(batch,)` strings -> ragged `(batch, None)`, int32, with the end token."""
        check_list("Target", targets)
        return append_id(
            self.target_tokenizer.tokenize(targets), self.target_tokenizer.end_token_id
        )

    def index_targets(self, targets: Sequence[str]) -> TextIndex:
        """The targets of a data set as a `TextIndex`."""
        return index_texts("Target", self.target_tokenizer, targets)

    def pack_target(self, target_ids: tf.RaggedTensor, length: Any = -1):
        """Ragged ids with end tokens -> `(decoder_token_ids, labels, weights)`.

        Args:
            target_ids: Ragged `(batch, None)`, int32.
            length: int or scalar to pad to. Defaults to the longest of the batch.
        """
        labels = target_ids.to_tensor(0, shape=tf.stack([-1, length]))
        start = tf.fill([tf.shape(labels)[0], 1], self.target_tokenizer.start_token_id)
        # The position of the end token in the shifted target predicts nothing: padding.
        shifted = tf.where(labels == self.target_tokenizer.end_token_id, 0, labels)[:, :-1]
        decoder_token_ids = tf.concat([start, shifted], axis=1)
        return decoder_token_ids, labels, tf.cast(labels != 0, tf.float32)

    def pack_inputs(
        self,
        encoder_inputs: dict[str, tf.Tensor],
        target_ids: tf.RaggedTensor,
        length: Any = -1,
    ):
        """Encoder inputs and ragged target ids -> `(inputs, labels, weights)` of a training
        step, targets padded to `length`."""
        decoder_token_ids, labels, weights = self.pack_target(target_ids, length)
        return {**encoder_inputs, "decoder_token_ids": decoder_token_ids}, labels, weights

    def __call__(self, sources: Any, targets: Any):
        """Sources and `(batch,)` strings -> `(inputs, labels, weights)`."""
        if isinstance(sources, (list, tuple)) and isinstance(targets, (list, tuple)):
            check_equal_length(sources, targets)
        return self.pack_inputs(self.encoder_inputs(sources), self.tokenize_target(targets))


def raise_problems(problems: dict[int, str], count: int, what: str = "Source") -> None:
    """Raises `InputError` with the first problem and the numbers of all, if there is one.

    Args:
        problems: Index -> what follows "the source".
        count: int. How many sources there are.
        what: string. What they are. Defaults to `"Source"`.
    """
    if not problems:
        return
    (first, why), *others = problems.items()
    message = f"{what} {first + 1} of {count} {why}"
    if others:
        shown = ", ".join(str(index + 1) for index, _ in others[:20])
        more = f" and {len(others) - 20} more" if len(others) > 20 else ""
        message += f" Others with problems: {shown}{more}."
    raise InputError(message)


def index_texts(what: str, tokenizer: TableTokenizer, texts: Sequence[str]) -> TextIndex:
    """Texts in memory or on the disk as a `TextIndex`; `what` they are is for messages."""
    check_list(what, texts)
    lengths = token_lengths(tokenizer, texts) + 1

    if isinstance(texts, StoredTexts):

        def strings_of(rows: tf.Tensor) -> tf.Tensor:
            strings = tf.numpy_function(read, [rows], tf.string)
            strings.set_shape((rows.shape[0],))
            return strings

        def read(rows: np.ndarray) -> np.ndarray:
            return np.array(texts.encoded(rows), object)

    else:
        held = tf.constant([*texts], tf.string)

        def strings_of(rows: tf.Tensor) -> tf.Tensor:
            return tf.gather(held, rows)

    def ids(rows: tf.Tensor) -> tf.RaggedTensor:
        return append_id(tokenizer.tokenize(strings_of(rows)), tokenizer.end_token_id)

    return TextIndex(lengths, ids)


def check_tokenizer(side: str, tokenizer: Any) -> None:
    """Raises `InputError` for what cannot tokenize."""
    if not callable(getattr(tokenizer, "tokenize", None)) or isinstance(tokenizer, type):
        raise InputError(
            f"`{side}_tokenizer` must be a tokenizer, such as CharacterTokenizer.from_lines("
            f"lines). Received: {tokenizer!r:.60}."
        )


def check_tokenizer_class(side: str, made_by: Any) -> None:
    """Raises `InputError` for what makes no tokenizer of lines."""
    if not hasattr(made_by, "from_lines"):
        raise InputError(
            f"`{side}_tokenizer` must be a class of tokenizers, such as CharacterTokenizer. "
            f"Received: {made_by!r:.60}."
        )


def append_id(ids: tf.RaggedTensor, token_id: int) -> tf.RaggedTensor:
    """Ragged ids with one more id at the end of each row."""
    # `tf.concat` of ragged rows is a hundred operations.
    row_splits = ids.row_splits + tf.range(ids.nrows() + 1)
    given = tf.size(ids.values, row_splits.dtype)
    count = given + ids.nrows()
    last = row_splits[1:] - 1
    is_last = tf.scatter_nd(last[:, None], tf.ones_like(last), count[None])
    place = tf.range(count) - tf.cumsum(is_last)
    place = tf.where(is_last > 0, given, place)
    values = tf.concat([ids.values, tf.constant([token_id], ids.dtype)], 0)
    return tf.RaggedTensor.from_row_splits(tf.gather(values, place), row_splits, False)


def longest_of(tokenizer: Any, lines: Sequence[str]) -> int:
    """Tokens of the longest line."""
    return int(token_lengths(tokenizer, lines).max())


def count_unknown(tokenizer: Any, texts: Sequence[str]) -> dict[str, int]:
    """The tokens of texts that a vocabulary lacks, with how often each occurs."""
    if not len(texts):
        return {}
    ids = tokenizer.tokenize(list(texts))
    is_unknown = ids.flat_values == tokenizer.unknown_token_id
    if not tf.reduce_any(is_unknown):
        return {}
    pieces = tokenizer.split_strings(tf.constant(list(texts)), tokenizer.lowercase)
    unknown = tf.boolean_mask(pieces.flat_values, is_unknown).numpy()
    values, counts = np.unique(unknown.astype(object), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {values[i].decode("utf-8", "replace"): int(counts[i]) for i in order}
