"""Opening a run, with the modules of a user's own that it needs."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from keras_seq2seq.errors import InputError

from .options import PATH, load_tensorflow

_MODULES = f"{__name__}.modules"


def _import_modules(
    ctx: click.Context, parameter: click.Parameter, names: Sequence[str]
) -> None:
    if not names:
        return
    load_tensorflow()
    # As `python -m` does.
    sys.path.insert(0, os.getcwd())
    ctx.meta[_MODULES] = [_import_module(name) for name in dict.fromkeys(names)]


def _import_module(name: str) -> ModuleType:
    if name.endswith(".py"):
        raise InputError(
            "--import takes the name of a module, as Python's import does. Received: "
            f"{name}. Give --import {Path(name).stem} in the folder of the file."
        )
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise InputError(
                f"--import {name}: there is no such module in {os.getcwd()} nor among the "
                "installed ones."
            ) from error
        raise InputError(f"--import {name} needs the module {error.name}.") from error
    except Exception as error:  # Whatever the module of a user raises.
        raise InputError(f"--import {name} raises {type(error).__name__}: {error}") from error


def imported_modules() -> list[ModuleType]:
    """The modules that the command was given with `--import`."""
    return click.get_current_context().meta.get(_MODULES, [])


# Before the other parameters: a run cannot be opened without what it is made of.
import_option = click.option(
    "--import",
    multiple=True,
    is_eager=True,
    expose_value=False,
    callback=_import_modules,
    metavar="MODULE",
    help="Python module with parts of your own, also of the current folder. May be given "
    "several times.",
)


def open_run(path: Path) -> Any:
    """The `RunDirectory` of a trained model whose modules were given with `--import`."""
    load_tensorflow()
    from keras_seq2seq.training.run_directory import RunDirectory

    run = RunDirectory(path)
    run.require_model()
    check_imported(path, run.modules)
    return run


def check_imported(path: Path, modules: Sequence[str]) -> None:
    """Raises `InputError` unless the modules that a run was trained with are imported."""
    given = [module.__name__ for module in imported_modules()]
    missing = [name for name in modules if name not in given]
    if missing:
        options = " ".join(f"--import {name}" for name in missing)
        raise InputError(
            f"{path} was trained with parts of its user's own, and nothing is imported because "
            f"a run says so. Give {options} to use it."
        )


def run_argument(command: Callable) -> Callable:
    """A run with a trained model, of which the command receives the `RunDirectory`, and
    `--import`."""
    argument = click.argument(
        "run",
        metavar="RUN_DIR",
        type=PATH,
        callback=lambda ctx, parameter, path: open_run(path),
    )
    return argument(import_option(command))
