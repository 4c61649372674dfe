"""Pairs on the disk as sequences of strings: a row is read when it is asked for.

```
pairs.tsv        cab<TAB>K AE B        row 0: at byte 0, 10 bytes long
                 ace<TAB>EY S          row 1: at byte 11, 8 bytes long
other forms      the same, in a file of texts beside the index
```
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.readers import Pairs
from keras_seq2seq.errors import InputError

# Rows that are read at once when all are.
CHUNK = 8192

# Bytes between the first and the last row of a chunk, for each byte of its rows, up to which
# all between them is read.
_MOST_GAPS = 4


class Texts:
    """Bytes that rows are cut from: of a file, or in memory where they are few.

    Args:
        content: A path, or the bytes.

    Raises:
        InputError: If a file cannot be read, or while rows are read, if it has changed.
    """

    def __init__(self, content: Path | bytes):
        self._content = content
        if isinstance(content, Path):
            try:
                self._file = open(content, "rb", buffering=0)
            except OSError as error:
                raise InputError(f"{content}: cannot be read ({error.strerror}).") from error
            self._state = self._file_state()

    def _file_state(self) -> tuple[int, int]:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns

    def check(self) -> None:
        """Raises `InputError` if the file was written to since it was opened."""
        if isinstance(self._content, Path) and self._file_state() != self._state:
            raise InputError(
                f"{self._content} was changed while it was read. Start again; the same command "
                "resumes a run."
            )

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on; from any thread."""
        if isinstance(self._content, Path):
            return os.pread(self._file.fileno(), size, offset)
        return self._content[offset : offset + size]


class PairFile:
    """The pairs of one corpus: offset and size of each, and the bytes they are in.

    Args:
        original: The bytes of its file.
        rewritten: The bytes of rows that are not in the file as they are.
        offsets: `(pairs,)`, int64: where a row begins; `~offset`, a negative number, of one
            that was rewritten.
        sizes: `(pairs,)`, uint32: bytes of each row.
        halves: Callable, the bytes of a row -> source and target. Defaults to those of a line
            with a tab.
        folder: Where its index is kept, optional.
    """

    def __init__(
        self,
        original: Texts,
        rewritten: Texts,
        offsets: np.ndarray,
        sizes: np.ndarray,
        halves: Callable[[bytes], Sequence[bytes]] | None = None,
        folder: Path | None = None,
    ):
        self._original, self._rewritten = original, rewritten
        self._offsets, self._sizes = offsets, sizes
        self._halves = halves or (lambda row: row.split(b"\t"))
        self.folder = folder
        # Token lengths of a side, by the tokenizer's fingerprint.
        self.lengths: dict[tuple[int, str], np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._offsets)

    def rows(self, numbers: np.ndarray) -> list[Sequence[bytes]]:
        """`(rows,)` numbers -> source and target of each, UTF-8."""
        self._original.check()
        return [self._halves(row) for row in self._bytes_of(numbers)]

    def _bytes_of(self, numbers: np.ndarray) -> list[bytes]:
        offsets, sizes = self._offsets[numbers], self._sizes[numbers]
        places = list(zip(offsets.tolist(), sizes.tolist(), strict=True))
        begin, end = int(offsets.min(initial=0)), int((offsets + sizes).max(initial=0))
        if len(places) and begin >= 0:
            begin = int(offsets.min())
            if end - begin <= _MOST_GAPS * int(sizes.sum()):
                whole = self._original.read(begin, end - begin)
                return [whole[at - begin : at - begin + size] for at, size in places]
        return [
            self._original.read(at, size) if at >= 0 else self._rewritten.read(~at, size)
            for at, size in places
        ]


class StoredTexts(Sequence[str]):
    """One side of pairs on the disk.

    Args:
        files: Their corpora, one after the other.
        side: int. 0 for sources, 1 for targets.
        numbers: `(texts,)`, int, optional: rows of all corpora together, in their order.
            Defaults to all.
    """

    @checked
    def __init__(self, files: Sequence[PairFile], side: int, numbers: np.ndarray | None = None):
        self.files = list(files)
        self.side = side
        self.numbers = numbers
        self._ends = np.cumsum([len(file) for file in self.files])

    def __len__(self) -> int:
        return int(self._ends[-1]) if self.numbers is None else len(self.numbers)

    def take(self, numbers: Any) -> "StoredTexts":
        """The texts of these numbers."""
        numbers = np.asarray(numbers, np.int64)
        rows = numbers if self.numbers is None else self.numbers[numbers]
        small = len(self.files) and self._ends[-1] < 2**31
        return StoredTexts(self.files, self.side, rows.astype(np.int32) if small else rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self))))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.encoded(np.array([index % len(self)]))[0].decode("utf-8")

    def __iter__(self) -> Iterator[str]:
        return (text.decode("utf-8") for text in self.iterate_encoded())

    def iterate_encoded(self) -> Iterator[bytes]:
        """All texts, UTF-8."""
        for begin in range(0, len(self), CHUNK):
            yield from self.encoded(np.arange(begin, min(begin + CHUNK, len(self))))

    def encoded(self, numbers: np.ndarray) -> list[bytes]:
        """The texts of these numbers, UTF-8; from any thread."""
        rows = numbers if self.numbers is None else self.numbers[numbers]
        if len(self.files) == 1:
            return [row[self.side] for row in self.files[0].rows(rows)]
        owners = np.searchsorted(self._ends, rows, "right")
        texts: list[bytes] = [b""] * len(rows)
        for owner in np.unique(owners):
            file = self.files[owner]
            places = np.flatnonzero(owners == owner)
            found = file.rows(rows[places] - (self._ends[owner] - len(file)))
            for place, row in zip(places, found, strict=True):
                texts[place] = row[self.side]
        return texts


def joined(parts: Sequence[Pairs], repeats: Sequence[float]) -> Pairs:
    """Stored pairs of several corpora, one after the other, each with how often its pairs
    come in an epoch."""
    files = [file for pairs in parts for file in _files_of(pairs)]
    weights = None
    if any(pairs.weights is not None for pairs in parts):
        weights = np.concatenate([_weights_of(pairs) for pairs in parts])
    times = None
    if any(number != 1 for number in repeats):
        times = np.repeat(np.array(repeats, np.float32), [len(pairs) for pairs in parts])
    sources, targets = (StoredTexts(files, side) for side in (0, 1))
    return Pairs(sources, targets, [], weights, times)


def _files_of(pairs: Pairs) -> list[PairFile]:
    if not isinstance(pairs.sources, StoredTexts) or pairs.sources.numbers is not None:
        raise TypeError("Only whole corpora on the disk can be joined.")
    return pairs.sources.files


def _weights_of(pairs: Pairs) -> np.ndarray:
    return np.ones(len(pairs), np.float32) if pairs.weights is None else pairs.weights
