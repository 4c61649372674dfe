"""Pairs of lines from files: a two-column TSV or two parallel files, UTF-8, `.gz` too."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.wording import counted


@dataclass(frozen=True)
class Pairs:
    """Parallel lists of source and target lines.

    Sources can also be signals: paths of files, or `Signal` for arrays in memory.
    """

    sources: list[Any]
    targets: list[str]

    def __len__(self) -> int:
        return len(self.sources)

    def references(self) -> dict[Any, list[str]]:
        """Source -> all its targets, in order of appearance: a source that occurs with
        several targets has several right answers."""
        references: dict[Any, list[str]] = {}
        for source, target in zip(self.sources, self.targets, strict=True):
            references.setdefault(source, []).append(target)
        return references


def read_lines(path: str | Path) -> list[str]:
    """Reads a UTF-8 text file, decompressed if its name ends in `.gz`.

    Lines end with a line feed, with or without a carriage return before it; other
    characters that Unicode calls line breaks are text.

    Raises:
        InputError: If the file is missing, unreadable, empty, or not UTF-8 (names the line).
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file. Check the path.")
    if path.is_dir():
        raise InputError(f"{path}: a folder; give a file.")
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    lines = decode_lines(str(path), content)
    if not lines:
        raise InputError(f"{path}: the file is empty; it must hold at least one line.")
    return lines


def decode_lines(name: str, content: bytes) -> list[str]:
    """Lines of UTF-8 bytes; `InputError` names `name` and the line that is not UTF-8."""
    return list(_decode(name, content))


def _decode(name: str, content: bytes) -> Iterator[str]:
    raw_lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if raw_lines[-1] == b"":
        raw_lines.pop()
    for number, raw in enumerate(raw_lines, 1):
        try:
            yield raw.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name}, line {number}: not UTF-8 (byte 0x{raw[error.start]:02x} at column "
                f"{error.start + 1}). Convert the file, for example with "
                "`iconv -f latin1 -t utf-8`."
            ) from error


def read_pairs(path: str | Path) -> Pairs:
    """Reads `source<TAB>target` lines.

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
        _check_not_empty(path, number, *columns)
        sources.append(columns[0])
        targets.append(columns[1])
    return Pairs(sources, targets)


def read_parallel(source_path: str | Path, target_path: str | Path) -> Pairs:
    """Reads two files of which line i of one belongs to line i of the other.

    Raises:
        InputError: Also if their numbers of lines differ, or a line is empty.
    """
    sources, targets = read_lines(source_path), read_lines(target_path)
    if len(sources) != len(targets):
        raise InputError(
            f"{source_path} has {counted(len(sources), 'line')} and {target_path} has "
            f"{len(targets)}; "
            "parallel files must have the same number of lines."
        )
    for number, (source, target) in enumerate(zip(sources, targets, strict=True), 1):
        _check_not_empty(f"{source_path} and {target_path}", number, source, target)
        if "\t" in source + target:
            path = source_path if "\t" in source else target_path
            raise InputError(
                f"{path}, line {number}: a tab, which separates columns in the files of a "
                "run. Replace it, for example with a space."
            )
    return Pairs(sources, targets)


def _check_not_empty(path: str | Path, number: int, source: str, target: str) -> None:
    for name, text in (("source", source), ("target", target)):
        if not text.strip():
            raise InputError(f"{path}, line {number}: the {name} is empty; fill or remove it.")
