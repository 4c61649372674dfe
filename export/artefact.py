"""Writing an artefact: whole or not at all, and never over an existing one."""

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from keras_seq2seq.errors import InputError


def write_new(path: Path, write: Callable[[Path], None]) -> None:
    """Calls `write(temporary path)` and moves the result, a file or a folder, to `path`.

    Raises:
        InputError: If `path` exists, its parent cannot be written or the disk is full.
            Nothing is changed.
    """
    if path.exists():
        raise InputError(
            f"{path} exists. Choose another path, or delete it first; nothing was changed."
        )
    temporary = temporary_path(path)
    new = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            _move(temporary, path)
        except BaseException:
            _remove(temporary)
            for folder in new:
                with contextlib.suppress(OSError):  # Another writer may use it by now.
                    folder.rmdir()
            raise
    # TensorFlow has errors of its own for a disk that is full or cannot be written.
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "message", None) or str(error)
        raise InputError(f"{_shown(path)} cannot be written: {reason}") from error


def write_small(path: Path, text: str) -> None:
    """Replaces a text file in one step.

    Raises:
        InputError: If it cannot be written; an older file stays as it is.
    """
    temporary = temporary_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(text, "utf-8")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}.") from error


def temporary_path(path: Path) -> Path:
    """A name beside `path`, so that moving is one step; two writers never share one."""
    return path.with_name(f".unfinished-{uuid.uuid4().hex[:12]}-{path.name}")


def _shown(path: Path) -> Path:
    """What a person called it: an artefact may be written inside of another one."""
    return path.with_name(re.sub(r"^(\.unfinished-[0-9a-f]{12}-)+", "", path.name))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _move(temporary: Path, path: Path) -> None:
    # Another process may have made `path` meanwhile; `rename` would replace a file.
    if path.exists():
        raise InputError(f"{path} appeared meanwhile, and was left as it is. Try again.")
    os.rename(temporary, path)
