"""The different sources of a data set in their order, of which a few are asked for."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from keras_seq2seq.data.stored.texts import StoredTexts

# Bits of a number by which texts are told apart, taken in turns to need little memory.
_TURNS = 16
_PIECE = 2**16


class DifferentSources:
    """Sources in memory, each once, sorted by what they are called."""

    def __init__(self, sources: Sequence[Any]):
        self._sorted = sorted(set(sources), key=str)

    def __len__(self) -> int:
        return len(self._sorted)

    def at(self, places: Sequence[int]) -> list[Any]:
        """The sources at these places of the order."""
        return [self._sorted[place] for place in places]


class DifferentTexts:
    """The same of texts on the disk, which are never held: 17 bytes a text are.

    Texts are told apart by numbers of 64 bits, of which two different ones are the same once
    in hundreds of thousands of data sets of ten million. They are sorted by their first eight
    bytes, and whole among those that begin like one that is asked for; UTF-8 sorts as
    characters do.
    """

    def __init__(self, texts: StoredTexts):
        self._texts = texts
        marks = np.fromiter(map(hash, texts.iterate_encoded()), np.int64, len(texts))
        self._is_first = np.zeros(len(texts), bool)
        for turn in range(_TURNS):
            rows = np.flatnonzero(marks & (_TURNS - 1) == turn)
            _, first = np.unique(marks[rows], return_index=True)
            self._is_first[rows[first]] = True
        del marks
        self._beginnings = np.zeros(len(texts), np.uint64)
        for begin, piece in self._pieces():
            heads = b"".join(text[:8].ljust(8, b"\0") for text in piece)
            self._beginnings[begin : begin + len(piece)] = np.frombuffer(heads, ">u8")

    def _pieces(self) -> Iterator[tuple[int, list[bytes]]]:
        rest, begin = self._texts.iterate_encoded(), 0
        while piece := [*islice(rest, _PIECE)]:
            yield begin, piece
            begin += len(piece)

    def __len__(self) -> int:
        return int(self._is_first.sum())

    def at(self, places: Sequence[int]) -> list[str]:
        """The texts at these places of the order."""
        ordered = np.sort(self._beginnings[self._is_first])
        heads = ordered[list(places)]
        before = np.searchsorted(ordered, heads)
        del ordered
        alike: dict[int, list[bytes]] = {int(head): [] for head in heads}
        rows = np.flatnonzero(self._is_first & np.isin(self._beginnings, heads))
        for begin in range(0, len(rows), _PIECE):
            piece = rows[begin : begin + _PIECE]
            for head, text in zip(
                self._beginnings[piece].tolist(), self._texts.encoded(piece), strict=True
            ):
                alike[head].append(text)
        for texts in alike.values():
            texts.sort()
        return [
            alike[int(head)][place - int(first)].decode("utf-8")
            for place, head, first in zip(places, heads, before, strict=True)
        ]


def different_sources(sources: Sequence[Any]) -> DifferentSources | DifferentTexts:
    """The different ones of sources, of any kind."""
    if isinstance(sources, StoredTexts):
        return DifferentTexts(sources)
    return DifferentSources(sources)
