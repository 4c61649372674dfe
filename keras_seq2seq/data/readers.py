"""Pairs of lines from files: a two-column TSV or two parallel files, UTF-8, `.gz` too."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.disk import read_bytes
from keras_seq2seq.data.text import (
    NotText,
    check_texts,
    clean_text,
    decode_lines,
    iterate_lines,
    texts_of_lines,
)
from keras_seq2seq.errors import InputError
from keras_seq2seq.wording import counted

_SEPARATORS = re.compile("[\t\r\n]")


@dataclass(frozen=True)
class Pairs:
    """Parallel lists of source and target lines.

    Sources can also be signals: paths of files, or `Signal` for arrays in memory. Texts that
    stay on the disk (`StoredTexts`) are sequences of strings too, read when they are asked
    for.

    Attributes:
        lines: Line of its file where each pair begins, from 1; empty where there is none.
        weights: `(pairs,)`, float32: what each pair weighs in the loss, optional.
        repeats: `(pairs,)`, float32: how often each pair comes in an epoch, optional.

    Raises:
        InputError: If there is not one target a source.
    """

    # Lists, or other sequences of their items.
    sources: Any
    targets: Any
    lines: Sequence[int] = field(default_factory=list, compare=False, repr=False)
    weights: np.ndarray | None = field(default=None, compare=False, repr=False)
    repeats: np.ndarray | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_equal_length(self.sources, self.targets)

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, rows: Sequence[int] | np.ndarray) -> "Pairs":
        """The pairs of these numbers, in this order."""
        return Pairs(
            _taken(self.sources, rows),
            _taken(self.targets, rows),
            _taken(self.lines, rows) if len(self.lines) else [],
            None if self.weights is None else self.weights[rows],
            None if self.repeats is None else self.repeats[rows],
        )

    def references(self) -> dict[Any, list[str]]:
        """Source -> all its targets, in order of appearance: a source that occurs with
        several targets has several right answers."""
        references: dict[Any, list[str]] = {}
        for source, target in zip(self.sources, self.targets, strict=True):
            references.setdefault(source, []).append(target)
        return references


def _taken(values: Any, rows: Any) -> Any:
    return values.take(rows) if hasattr(values, "take") else [values[row] for row in rows]


def check_equal_length(sources: Any, targets: Any) -> None:
    """Raises `InputError` if there is not one target a source, or they are no lists."""
    for side, values in (("sources", sources), ("targets", targets)):
        if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__len__"):
            raise InputError(
                f"The {side} must be a list. Received: {type(values).__name__} {values!r:.60}."
            )
    if len(sources) != len(targets):
        raise InputError(
            f"There must be one target a source. Received: {len(sources)} sources and "
            f"{len(targets)} targets."
        )


@checked
def read_lines(path: str | Path) -> list[str]:
    """Reads a UTF-8 text file, decompressed if its name ends in `.gz`.

    Lines end with a line feed, with or without a carriage return before it; other
    characters that Unicode calls line breaks are text. A file whose lines end with carriage
    returns alone is read as such.

    Raises:
        InputError: If the file is missing, unreadable, empty, or not UTF-8 (names the line).
    """
    return _not_empty(path, decode_lines(str(path), read_bytes(path)))


@checked
def read_texts(path: str | Path) -> list[str]:
    """The lines of a file as the readers of pairs take texts: without white space at the
    ends, and with a space for a tab inside. Empty lines stay.

    Raises:
        InputError: As of `read_lines`, and if a line holds a NUL character.
    """
    return _not_empty(path, texts_of_lines(str(path), read_bytes(path)))


def _not_empty(path: str | Path, lines: list[str]) -> list[str]:
    if not lines:
        raise InputError(f"{path}: the file is empty; it must hold at least one line.")
    return lines


def read_pairs(path: str | Path) -> Pairs:
    """Reads `source<TAB>target` lines, as a run writes them: a line that is not two texts is
    an error. `read_records` leaves it out and says so.

    Raises:
        InputError: Also for a line that has not two columns or has an empty one.
    """
    sources, targets = [], []
    for number, line in enumerate(read_lines(path), 1):
        columns = line.split("\t")
        if len(columns) != 2:
            raise InputError(
                f"{path}, line {number}: {len(columns)} column{'s'[: len(columns) != 1]}, "
                f"expected 2 (source, tab, target): {line[:60]!r}."
            )
        for name, text in zip(("source", "target"), columns, strict=True):
            if not text.strip():
                raise InputError(
                    f"{path}, line {number}: the {name} is empty; fill or remove it."
                )
        sources.append(columns[0])
        targets.append(columns[1])
    return Pairs(sources, targets, [*range(1, len(sources) + 1)])


def format_pairs(pairs: Pairs) -> str:
    """Pairs of texts as lines that `read_pairs` reads.

    Raises:
        InputError: If a text would not come back as it is: it is empty, holds a tab or a line
            break, begins with a byte order mark, or is no valid Unicode.
    """
    rows = []
    for number, row in enumerate(zip(pairs.sources, pairs.targets, strict=True), 1):
        for name, text in zip(("source", "target"), row, strict=True):
            check_texts(f"The {name} of pair {number}: text", [text])
            if not text.strip() or text.startswith("\ufeff") or _SEPARATORS.search(text):
                raise InputError(
                    f"The {name} of pair {number} is empty, or holds a tab, a line break or a "
                    f"byte order mark, which no line of a run's files can hold: {text[:40]!r}."
                )
        rows.append(f"{row[0]}\t{row[1]}\n")
    return "".join(rows)


def parallel_lines(
    source_path: str | Path, target_path: str | Path, *, whole: bool = True
) -> Iterator[tuple[str, str]]:
    """Line i of one file with line i of the other.

    Raises:
        InputError: If their numbers of lines differ, or with `whole` a file is empty or not
            UTF-8, when that is found.
    """
    paths = source_path, target_path
    sides = [iterate_lines(path, whole=whole) for path in paths]
    counts = [0, 0]
    while True:
        source, target = (next(lines, None) for lines in sides)
        if source is None or target is None:
            break
        counts = [count + 1 for count in counts]
        yield source, target
    for side, line in enumerate((source, target)):
        counts[side] += (line is not None) + sum(1 for _ in sides[side])
    for path, count in zip(paths, counts, strict=True):
        if whole and not count:
            _not_empty(path, [])
    if counts[0] != counts[1]:
        raise InputError(
            f"{source_path} has {counted(counts[0], 'line')} and {target_path} has "
            f"{counts[1]}; parallel files must have the same number of lines."
        )


@checked
def read_parallel(source_path: str | Path, target_path: str | Path) -> Pairs:
    """Reads two files of which line i of one belongs to line i of the other. Tabs inside a
    text become a space, and spaces at its ends go.

    Raises:
        InputError: As of `read_lines`, and if their numbers of lines differ, or a line is
            empty.
    """
    rows: list[list[str]] = []
    for number, lines in enumerate(parallel_lines(source_path, target_path), 1):
        texts = []
        for name, text in zip(("source", "target"), lines, strict=True):
            try:
                texts.append(clean_text(text))
            except NotText as error:
                raise InputError(
                    f"{source_path} and {target_path}, line {number}: the {name} "
                    f"{error.reason}; fill or remove it."
                ) from error
        rows.append(texts)
    sources, targets = ([row[side] for row in rows] for side in (0, 1))
    return Pairs(sources, targets, [*range(1, len(rows) + 1)])
