"""Lines of sources as they are needed, and an output file that can be continued."""

import gzip
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby, repeat
from pathlib import Path
from typing import Any, BinaryIO

from keras_seq2seq.errors import InputError


def cleaned(lines: Iterable[str]) -> Iterator[str]:
    """Lines as texts go through the one door; what is no text stays as it is."""
    from keras_seq2seq.data.text import as_asked

    return map(as_asked, lines)


def lines_of(path: Path | None, may_be_empty: bool = False) -> Iterator[str]:
    """The `cleaned` lines of a file, `.gz` too, or of standard input, read as they are asked
    for. Bytes that are not UTF-8 are kept as half surrogates.

    Raises:
        InputError: If the file is missing, of another encoding or cannot be read; or if it is
            empty and may not be.
    """
    if path is None:
        return cleaned(_decoded("standard input", sys.stdin.buffer))
    from keras_seq2seq.data.disk import require_file

    return cleaned(_lines_of(require_file(path), may_be_empty))


def _lines_of(path: Path, may_be_empty: bool) -> Iterator[str]:
    is_empty = not may_be_empty
    try:
        opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
        with opener(path, "rb") as file:
            for line in _decoded(str(path), file):
                is_empty = False
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    if is_empty:
        raise InputError(f"{path}: the file is empty; it must hold at least one line.")


def _decoded(name: str, file: BinaryIO) -> Iterator[str]:
    from keras_seq2seq.data.text import check_encoding

    first = file.readline()
    check_encoding(name, first)
    first = first.removeprefix(b"\xef\xbb\xbf")
    # A carriage return alone ends a line where a file has nothing else.
    begin = [first] if first.endswith(b"\n") else first.splitlines()
    for raw in chain(begin, file):
        yield raw.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")


def shown(line: str) -> str:
    """The line as text that can be written, bytes that are not UTF-8 as U+FFFD."""
    return line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def count_lines(path: Path) -> int | None:
    """How many lines a file has; `None` where that cannot be known before it is read."""
    if path.suffix.lower() == ".gz" or not path.is_file():
        return None
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))


def open_output(
    path: Path,
    resume: bool,
    sources: Iterable[str],
    as_json: bool,
    is_failed: Callable[[str], bool],
) -> tuple[Any, int, bool, Iterator[str]]:
    """The file to write to, how many sources are answered in it, whether one of them has no
    target, and the others.

    An output that stopped is cut behind the last source that is surely whole; of equal
    sources in a run, all are answered again.

    Args:
        path: The file.
        resume: Whether it may exist.
        sources: All of them.
        as_json: Whether an answer is a JSON object.
        is_failed: Whether a source whose answer is empty has no target.

    Raises:
        InputError: If the file exists and is not to be continued, if it is of other sources,
            or cannot be written.
    """
    if path.exists() and not resume:
        raise InputError(f"{path} exists. Continue it with --resume, or remove it.")
    try:
        # For reading and writing, made where it is not there, and not emptied.
        file = open(path, "a+b")  # noqa: SIM115
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}).") from error
    file.seek(0)
    return file, *_continue(path, file, groupby(sources), as_json, is_failed)


def _continue(
    path: Path, file: Any, groups: Any, as_json: bool, is_failed: Callable[[str], bool]
) -> tuple[int, bool, Iterator[str]]:
    """Cuts the file; how many sources are answered in it, whether one has no target, and the
    others."""
    done, line = 0, file.readline()
    begin, failed = 0, False
    for source, run in groups:
        count = sum(1 for _ in run)
        if line.endswith(b"\n") and not _is_of(line, source, as_json):
            raise InputError(
                f"{path}: what follows {done} answers is not of source {done + 1}, "
                f"{shown(source)[:40]!r}. Continue an output with the same sources and options."
            )
        before, is_empty = begin, line.endswith(b"\n") and _is_empty(line, source, as_json)
        while line.endswith(b"\n") and _is_of(line, source, as_json):
            begin += len(line)
            line = file.readline()
        if not line.endswith(b"\n"):
            # The last one written: whether it is whole, nothing says.
            file.truncate(before)
            rest = chain.from_iterable(group for _, group in groups)
            return done, failed, chain(repeat(source, count), rest)
        done += count
        failed = failed or (is_empty and is_failed(source))
    if not line:
        return done, failed, iter(())
    raise InputError(f"{path} has more answers than there are sources, which are {done}.")


def _is_empty(line: bytes, source: str, as_json: bool) -> bool:
    """Whether an answer has no target."""
    if as_json:
        return "error" in json.loads(line)
    return not line.removeprefix(shown(source).encode()).strip()


def _is_of(line: bytes, source: str, as_json: bool) -> bool:
    if not as_json:
        return line.startswith(shown(source).encode() + b"\t")
    try:
        return json.loads(line)["source"] == shown(source)
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
