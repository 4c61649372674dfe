"""Ends a piece of work at the n-th change that it makes to a folder, as a kill does.

What a killed process would not have done any more is not done: every later change is refused
too, so that no `finally` cleans up. What it leaves on the disk is what a kill leaves.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_seq2seq import files

CHANGES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.symlink"}
CHANGES |= {"os.chmod", "os.truncate", "shutil.rmtree", "shutil.copyfile", "shutil.copytree"}
_counter: "_Counter | None" = None


def changes(event: str, arguments: tuple, folder: str) -> bool:
    """Whether an audit event changes what is below a folder, given as a real path."""
    if event == "open":
        _, mode, flags = arguments
        if not (
            any(letter in mode for letter in "wax+")
            if isinstance(mode, str)
            else flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        ):
            return False
    elif event not in CHANGES:
        return False
    name = arguments[0]
    is_path = isinstance(name, str | os.PathLike)
    return is_path and os.path.abspath(os.fspath(name)).startswith(folder)


class Killed(BaseException):
    """In the place of a kill: no `except Exception` catches it."""


class _Counter:
    def __init__(self, folder: Path, most: int | None):
        self.folder, self.most, self.seen = os.path.realpath(folder), most, 0

    def meet(self, event: str, arguments: tuple) -> None:
        if not changes(event, arguments, self.folder):
            return
        self.seen += 1
        if self.most is not None and self.seen > self.most:
            raise Killed


def _hook(event: str, arguments: tuple) -> None:
    if _counter is not None:
        _counter.meet(event, arguments)


@contextmanager
def _counted(folder: Path, most: int | None) -> Iterator[_Counter]:
    global _counter
    if not getattr(sys, "_kills_hooked", False):
        sys.addaudithook(_hook)
        sys._kills_hooked = True  # type: ignore[attr-defined]
    counter = _counter = _Counter(folder, most)
    try:
        yield counter
    finally:
        _counter = None


def count_changes(folder: Path, work: Callable[[], object]) -> int:
    """Does all of the work; how many changes it makes to the folder."""
    with _counted(folder, None) as counter:
        work()
    return counter.seen


def kill_after(folder: Path, changes: int, work: Callable[[], object], monkeypatch) -> None:
    """Does the work until so many changes are made; what it wrote aside is a dead process's."""
    dead = f"{files.UNFINISHED}{files._host()}-{os.getpid()}-1"  # Began at another time.
    with monkeypatch.context() as patch, _counted(folder, changes):
        patch.setattr(files, "_name_of_process", lambda: dead)
        try:
            work()
        except Killed:
            return
    raise AssertionError(f"The work ended before {changes} changes.")
