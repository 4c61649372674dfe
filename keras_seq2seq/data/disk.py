"""Asking the disk: what a path is, and what a file holds. A path that cannot be asked about
(too long, or in a folder that may not be searched) is an answer, never a traceback."""

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.errors import InputError


def is_file(path: str | Path) -> bool:
    """Whether this is something to read: a file, a pipe or a device. Never raises."""
    return why_no_file(path) is None


def is_folder(path: str | Path) -> bool:
    """Whether this is a folder. Never raises."""
    return os.path.isdir(path)


def why_no_file(path: str | Path) -> str | None:
    """Why there is no file to read, in a few words; `None` where there is one.

    Raises:
        InputError: If it is no path at all: a number would be an open file.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(
            f"A path must be a string or a Path. Received: {type(path).__name__} {path!r:.60}."
        )
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "no such file"
    except (OSError, ValueError) as error:
        return f"cannot be read ({_words_of(error)})"
    return "a folder" if stat.S_ISDIR(mode) else None


def require_file(path: str | Path) -> Path:
    """The path of a file; `InputError` where it is none."""
    if reason := why_no_file(path):
        advice = {"no such file": ". Check the path.", "a folder": "; give a file."}
        raise InputError(f"{path}: {reason}{advice.get(reason, '.')}")
    return Path(path)


def read_bytes(path: str | Path) -> bytes:
    """What a file holds, decompressed if its name ends in `.gz`.

    Raises:
        InputError: If it is missing, a folder, or cannot be read.
    """
    path = require_file(path)
    try:
        opener = gzip.open if path.suffix.lower() == ".gz" else open
        with opener(path, "rb") as file:
            return file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({_words_of(error)}).") from error


def read_pieces(path: str | Path, size: int = 2**22) -> Iterator[bytes]:
    """What a file holds, as `read_bytes`, piece by piece.

    Raises:
        InputError: As of `read_bytes`, when the piece is read.
    """
    path = require_file(path)
    try:
        opener = gzip.open if path.suffix.lower() == ".gz" else open
        file = opener(path, "rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({_words_of(error)}).") from error
    with file:
        while True:
            try:
                piece = file.read(size)
            except (OSError, EOFError, zlib.error) as error:
                raise InputError(f"{path}: cannot be read ({_words_of(error)}).") from error
            if not piece:
                return
            yield piece


def read_array(path: str | Path, mmap_mode: Any = None) -> np.ndarray:
    """The array of a `.npy` file; with `mmap_mode` it is read where it is asked for.

    Raises:
        InputError: If it holds none, or cannot be read.
    """
    with array_errors(path, "a NumPy array"):
        array = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: expected an array of numbers; it holds an archive.")
    return array


@contextmanager
def array_errors(path: str | Path, what: str) -> Iterator[None]:
    """Turns all that NumPy says of a file that it cannot read into an `InputError`."""
    try:
        yield
    except Exception as error:  # A damaged header can be anything.
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "pickle" in words:  # Its advice is to trust whatever it does not know.
            words = "it is something else"
        raise InputError(f"{path}: cannot be read as {what} ({words}).") from error


def files_in(folder: str | Path, pattern: str = "*") -> list[Path]:
    """The files of a folder by a name with `*`, sorted; none of a folder that is missing.

    Raises:
        InputError: If the folder cannot be listed.
    """
    try:
        os.listdir(folder)  # `glob` gives nothing where it may not look.
        names = [path for path in Path(folder).glob(pattern) if is_file(path)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: cannot be listed ({_words_of(error)}).") from error
    return sorted(names)


def file_or_gz(path: Path) -> Path:
    """The file, or its compressed twin with `.gz` behind the name where only that exists."""
    twin = path.with_name(f"{path.name}.gz")
    return twin if is_file(twin) and not is_file(path) else path


def _words_of(error: Exception) -> str:
    """`"Permission denied"`, without the path, which the message has already."""
    return getattr(error, "strerror", None) or str(error)
