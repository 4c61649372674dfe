"""Collecting an index while a corpus is read: offsets, sizes, and texts that were rewritten."""

from array import array
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

# Rewritten texts of more bytes than this go to a file while they are collected.
MOST_IN_MEMORY = 2**24

OFFSETS, SIZES, WEIGHTS, TEXTS = "offsets.npy", "sizes.npy", "weights.npy", "texts.tsv"


class IndexWriter:
    """Offsets and sizes of rows, 12 bytes each, and the bytes of rows that were rewritten.

    Args:
        folder: Where rewritten texts go, `None` to keep them in memory.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder
        self._offsets, self._sizes, self._weights = array("q"), array("I"), array("f")
        self._buffer = bytearray()
        self._written = 0
        self._file: BinaryIO | None = None

    def __len__(self) -> int:
        return len(self._offsets)

    def extend(self, offsets: np.ndarray, sizes: np.ndarray) -> None:
        """Adds rows that are in the file as they are, or were given to `rewrite`."""
        self._offsets.frombytes(offsets.astype(np.int64).tobytes())
        self._sizes.frombytes(sizes.astype(np.uint32).tobytes())

    def add(self, source: str, target: str, weight: float | None = None) -> None:
        """Adds a row, rewritten, with its weight where the rows have some."""
        row = f"{source}\t{target}".encode()
        self._offsets.append(self.rewrite(row))
        self._sizes.append(len(row))
        if weight is not None:
            self._weights.append(weight)

    def rewrite(self, row: bytes) -> int:
        """Keeps the bytes of a row; what stands for its offset."""
        place = self._written + len(self._buffer)
        self._buffer += row + b"\n"
        if self.folder is not None and len(self._buffer) > MOST_IN_MEMORY:
            self._flush(self.folder)
        return ~place

    def _flush(self, folder: Path) -> None:
        if self._file is None:
            self._file = open(folder / TEXTS, "wb")
        self._file.write(self._buffer)
        self._written += len(self._buffer)
        self._buffer.clear()

    def arrays(self) -> dict[str, Any]:
        """The arrays by the names of their files."""
        arrays = {
            OFFSETS: np.frombuffer(self._offsets, np.int64),
            SIZES: np.frombuffer(self._sizes, np.uint32),
        }
        if self._weights:
            arrays[WEIGHTS] = np.frombuffer(self._weights, np.float32)
        return arrays

    @property
    def texts(self) -> bytes:
        """The rewritten rows, of a writer without a folder."""
        return bytes(self._buffer)

    def save(self) -> None:
        """Writes all into the folder."""
        if self.folder is None:
            raise ValueError("An index in memory has no folder.")
        for name, values in self.arrays().items():
            np.save(self.folder / name, values)
        self._flush(self.folder)
        if self._file is not None:
            self._file.close()
