"""Files that commands write: one type of option, checked before the work begins."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError
from keras_seq2seq.files import check_output, write_text

from .options import PATH, print_written


class _Output(click.Path):
    """A file to write: a type of its own, so that `Command` finds it."""


# The type of an option or argument that names a file to write.
OUTPUT = _Output(path_type=Path)


class Command(click.Command):
    """A command whose files to write are checked against what it reads, before its work.

    A file is refused if it is an input, belongs to a run or an export that is one, or cannot
    be written where it is. A folder that is missing is made when it is written.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        values = {p: ctx.params.get(p.name or "") for p in self.params}
        inputs = [path for p, v in values.items() if p.type is PATH for path in _paths(v)]
        for parameter, value in values.items():
            if isinstance(parameter.type, _Output) and isinstance(value, Path):
                _check(value, inputs)
        return rest


def write_output(path: Path, text: str) -> None:
    """Writes a text file and says so; `InputError` if it cannot be written."""
    write_text(path, text)
    print_written(path)


def _paths(value: Any) -> Iterator[Path]:
    """The paths of a parameter: one, several, or that of a run."""
    for item in value if isinstance(value, tuple) else (value,):
        path = getattr(item, "path", item)
        if isinstance(path, Path):
            yield path


def _check(path: Path, inputs: Iterable[Path]) -> None:
    if os.path.isdir(path):
        raise InputError(f"{path} is a folder; give the name of a file.")
    real = Path(os.path.realpath(path))
    for given in inputs:
        if _is_same(path, given):
            raise InputError(f"{path} is an input of this command; write to another file.")
        folder = Path(os.path.realpath(given))
        if folder in real.parents and _belongs(real, folder):
            raise InputError(f"{path} is a file of {given}; write to another file.")
    check_output(path)


def _is_same(path: Path, other: Path) -> bool:
    if os.path.realpath(path) == os.path.realpath(other):
        return True
    try:
        return os.path.samefile(path, other)  # Two names of one file.
    except (OSError, ValueError):
        return False


def _belongs(path: Path, folder: Path) -> bool:
    """Whether a file that is there is one that a run consists of, or one of an export."""
    from keras_seq2seq.training.run_directory import RunDirectory

    run = RunDirectory(folder)
    if not os.path.exists(run.config_file):
        return os.path.exists(path)
    own = [value for value in vars(run).values() if isinstance(value, Path) and value != folder]
    return any(path == name or name in path.parents for name in own)
