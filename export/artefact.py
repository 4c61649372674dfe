"""Writing an artefact: whole or not at all, and never over an existing one."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from keras_seq2seq.errors import InputError


def write_new(path: Path, write: Callable[[Path], None]) -> None:
    """Calls `write(temporary path)` and moves the result, a file or a folder, to `path`.

    Raises:
        InputError: If `path` exists, or its parent cannot be written. Nothing is changed.
    """
    if path.exists():
        raise InputError(
            f"{path} exists. Choose another path, or delete it first; nothing was changed."
        )
    temporary = path.with_name(f".unfinished-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            os.rename(temporary, path)
        finally:
            if temporary.is_dir():
                shutil.rmtree(temporary, ignore_errors=True)
            else:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}.") from error
