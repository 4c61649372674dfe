"""The one place that writes: whole or not at all, never what is another's.

Everything is written aside, in a folder `.unfinished-HOST-PROCESS-START-NUMBER` beside its
place, and moved there in one step. A process that is killed leaves that folder; its name tells
whose it was, so `clear_leftovers` removes those of dead processes of this user and machine.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from .errors import InputError

try:
    import fcntl
except ImportError:  # Windows.
    fcntl = None  # type: ignore[assignment]

UNFINISHED = ".unfinished-"
_OWNED = re.compile(
    rf"{re.escape(UNFINISHED)}(?P<host>[0-9a-f]{{8}})-(?P<process>\d+)-(?P<start>\d+)-[0-9a-f]{{8}}"
)


def write_atomically(path: str | Path, write: Callable[[Path], Any]) -> None:
    """Calls `write(temporary path)` and moves the result to `path`, over an older file.

    The temporary path has the same name: Keras and Matplotlib choose a format by its end. A
    link stays a link, an older file's permissions stay, and a device such as `/dev/stdout` is
    written to and never replaced.

    Args:
        path: A file; its folder is made if need be.
        write: Writes the file at the path that it is given.

    Raises:
        InputError: If it cannot be written; an older file stays as it is.
    """
    path = Path(path)
    with disk_errors(path):
        _check_file(path)
        if path.exists() and not path.is_file():
            with tempfile.TemporaryDirectory() as folder:
                write(Path(folder) / path.name)
                content = (Path(folder) / path.name).read_bytes()
            with open(path, "wb") as device:
                device.write(content)
            return
    target = Path(os.path.realpath(path))
    with aside(target) as new:
        write(new)
        if target.exists():
            shutil.copymode(target, new)
        os.replace(new, target)


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file as UTF-8 in one step; see `write_atomically`."""
    write_atomically(path, lambda new: new.write_text(text, "utf-8", newline="\n"))


def write_new(path: str | Path, write: Callable[[Path], Any]) -> None:
    """Calls `write(temporary path)` and moves the result, a file or a folder, to `path`.

    Raises:
        InputError: If `path` exists, its parent cannot be written or the disk is full.
            Nothing is changed.
    """
    path = Path(path)
    with disk_errors(path):
        if os.path.lexists(path):
            raise InputError(
                f"{path} exists. Choose another path, or delete it first; nothing was changed."
            )
    with aside(path) as new:
        write(new)
        # Another process may have made `path` meanwhile; `rename` would replace a file.
        if os.path.lexists(path):
            raise InputError(f"{path} appeared meanwhile, and was left as it is. Try again.")
        os.rename(new, path)


def replace_folder(path: str | Path, write: Callable[[Path], Any]) -> None:
    """Calls `write(temporary path)` and puts the new folder in the place of an older one.

    The older folder is whole until the new one is; between the two renames there is none.

    Raises:
        InputError: If it cannot be written; the older folder stays as it is.
    """
    path = Path(path)
    with aside(path) as new:
        write(new)
        old = new.with_name("replaced-" + new.name)
        os.rename(path, old)
        try:
            os.rename(new, path)
        except OSError:
            os.rename(old, path)
            raise


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A path of the same name in a new folder beside `path`; the folder is removed in the end.

    What writers that were killed left there is removed before the first one of a process.

    Raises:
        InputError: If what is written in the block meets an error of the disk.
    """
    new: list[Path] = []
    with disk_errors(path):
        try:
            new = [folder for folder in path.parents if not folder.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            _clear_once(os.path.abspath(path.parent))
            with _folder_in(path.parent) as folder:
                yield folder / path.name
        except BaseException:
            for parent in new:
                with contextlib.suppress(OSError):  # Another writer may use it by now.
                    parent.rmdir()
            raise


def check_output(path: str | Path) -> None:
    """Finds out before the work whether the file `path` could be written after it; removes
    what a killed writer of ours left beside it.

    Raises:
        InputError: If not.
    """
    path = Path(path)
    with disk_errors(path):
        _check_file(path)
        if not path.exists() or path.is_file():
            parent = Path(os.path.realpath(path)).parent
            check_folder(parent)
            clear_leftovers(parent)


def check_folder(path: str | Path) -> None:
    """Finds out whether something could be written in a folder, or such a folder be made.

    Raises:
        InputError: If not.
    """
    path = Path(path)
    with disk_errors(path):
        nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        if not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), nearest)
        with _folder_in(nearest) as folder:
            (folder / "check").write_bytes(b"\n")


@contextmanager
def _folder_in(parent: Path) -> Iterator[Path]:
    """A new folder of this process, removed in the end."""
    folder = parent / f"{_name_of_process()}-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{shown(path)} is a folder. Give the name of a file to write.")
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"{shown(path)} may not be written by you. Choose another file.")


@contextmanager
def disk_errors(path: Path, what: str = "written") -> Iterator[None]:
    """Turns errors of the disk, of any library, into an `InputError` that names `path`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if (reason := reason_of(error)) is None:
            raise
        raise InputError(f"{shown(path)} cannot be {what}: {reason}") from error


def reason_of(error: BaseException) -> str | None:
    """The words of an error of the disk, such as "No space left on device"; else `None`."""
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        number = re.search(r"errno = (\d+)", str(error))  # As h5py words it.
        if error.strerror is None and number:
            return os.strerror(int(number[1]))
        return error.strerror or str(error)
    if number := re.search(r"errno = (\d+)", str(error)):
        return os.strerror(int(number[1]))
    # TensorFlow has errors of its own for a disk that is full or cannot be written.
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and isinstance(error, tensorflow.errors.OpError):
        return error.message or str(error)
    # What an archive raises while it is closed after the first error.
    if isinstance(error, RuntimeError | ValueError) and error.__context__ is not None:
        return reason_of(error.__context__)
    return None


def shown(path: Path) -> Path:
    """What a person called it: an artefact may be written inside of another one."""
    parts = [part for part in path.parts if not part.startswith(UNFINISHED)]
    return Path(*parts)


def clear_leftovers(folder: str | Path) -> list[str]:
    """Removes what writers that were killed left in a folder.

    Only what this user's own processes on this machine wrote, and none that is alive.

    Returns:
        A line for each leftover that may be nobody's and is not ours to remove.
    """
    folder = Path(folder)
    lines = []
    with disk_errors(folder, "read"):
        found = sorted(folder.glob(f"{UNFINISHED}*")) if folder.is_dir() else []
    for path in found:
        owner = _OWNED.fullmatch(path.name)
        if owner and owner["host"] == _host() and _is_mine(path):
            if _is_alive(int(owner["process"]), int(owner["start"])):
                continue
            shutil.rmtree(path, ignore_errors=True)
            if not path.exists():
                continue
        whose = f"process {owner['process']} of another machine" if owner else "somebody"
        lines.append(
            f"{path} was left unfinished by {whose}; delete it if nothing writes it any more."
        )
    return lines


@lru_cache(1024)
def _clear_once(folder: str) -> None:
    """Looking again for each of thousands of files would take longer than writing them."""
    with contextlib.suppress(InputError):  # One may write where one may not look.
        clear_leftovers(folder)


def is_leftover(path: Path) -> bool:
    """Whether a path has the name of something that this package writes aside."""
    return _OWNED.fullmatch(path.name) is not None


def _is_mine(path: Path) -> bool:
    return not hasattr(os, "geteuid") or path.lstat().st_uid == os.geteuid()


def _name_of_process() -> str:
    process = os.getpid()
    return f"{UNFINISHED}{_host()}-{process}-{_start(process) or 0}"


@cache
def _host() -> str:
    """Of this machine; containers number their processes anew, so each is one of its own."""
    name = socket.gethostname()
    with contextlib.suppress(OSError):
        name += os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _start(process: int) -> int | None:
    """When a process began, in the units of the system; `None` if it is dead or unknown."""
    try:
        text = Path(f"/proc/{process}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    state, *numbers = text.rpartition(")")[2].split()
    return None if state in "ZX" else int(numbers[18])


def _is_alive(process: int, start: int) -> bool:
    if start:
        return _start(process) == start
    if os.name != "posix":
        return True  # Not known; signal 0 would end the process there.
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


@contextmanager
def lock(file: Path, folder: Path) -> Iterator[None]:
    """Holds `folder` for this process while the block runs, by a lock on `file`.

    The kernel lets go when the process ends, however it ends. `file` tells who holds it and
    is removed in the end. Where the disk has no locks (some network disks; Windows) it is a
    warning.

    Raises:
        InputError: If another process holds it; with its machine, number and beginning.
    """
    with disk_errors(file):
        handle = _open_locked(file, folder)
    try:
        me = {"host": socket.gethostname(), "process": os.getpid()}
        since = time.strftime("%Y-%m-%d %H:%M:%S %z")
        with contextlib.suppress(OSError):  # On a full disk it is a lock without a name.
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps({**me, "since": since}).encode(), 0)
        yield
    finally:
        try:
            file.unlink(missing_ok=True)
        finally:
            os.close(handle)


def _open_locked(file: Path, folder: Path) -> int:
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if fcntl is None:
                raise OSError("no locks")
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise InputError(
                f"{folder} is in use: {_holder(file)}. Wait until it ends, or choose another "
                "folder."
            ) from error
        except OSError:
            warnings.warn(
                f"The disk of {folder} has no locks: see to it that nothing else writes there.",
                stacklevel=4,
            )
            return handle
        # Who held it may have removed the file between our two steps.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(file)):
                return handle
        os.close(handle)


def held_by(file: Path) -> str | None:
    """Who holds the lock on a file now, as a sentence; `None` if nobody does."""
    if fcntl is None:
        return None
    try:
        handle = os.open(file, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(file)
    except OSError:
        pass
    finally:
        os.close(handle)
    return None


def _holder(file: Path) -> str:
    try:
        who = json.loads(file.read_text("utf-8"))
        return f"process {who['process']} on {who['host']} trains there since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process trains there"
