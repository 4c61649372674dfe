"""What the commands share: options from settings, opening a run, messages."""

import dataclasses
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import option_name

console = Console()
PATH = click.Path(path_type=Path)


def print_error(error: InputError) -> None:
    """One line on standard error."""
    click.secho("error: ", fg="red", bold=True, err=True, nl=False)
    click.echo(" ".join(str(error).split()), err=True)


def print_written(path: Path) -> None:
    """Says where a file was written."""
    console.print(f"Written: {path}", highlight=False, soft_wrap=True)


@contextmanager
def printed_warnings() -> Iterator[None]:
    """Prints our warnings as lines on standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for message in dict.fromkeys(
        str(one.message) for one in caught if one.category is UserWarning
    ):
        # Matplotlib's own words on what ours say already.
        if not message.startswith("Glyph "):
            click.echo(f"warning: {message}", err=True)


def load_tensorflow() -> None:
    """Imports TensorFlow without the notes that its C++ side prints on standard error."""
    saved = os.dup(2)
    try:
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 2)
            import keras_seq2seq.models  # noqa: F401
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _open_run(ctx: click.Context, parameter: click.Parameter, path: Path) -> Any:
    load_tensorflow()
    from keras_seq2seq.training.run_directory import RunDirectory

    run = RunDirectory(path)
    run.require_model()
    return run


# A run with a trained model; the command receives its `RunDirectory`.
run_argument = click.argument("run", metavar="RUN_DIR", type=PATH, callback=_open_run)


def options_of(settings: type) -> Callable:
    """A decorator: one option for every field; not given is `None`."""

    def decorate(command: Callable) -> Callable:
        for item in reversed(dataclasses.fields(settings)):
            command = _option(item)(command)
        return command

    return decorate


def _option(item: dataclasses.Field) -> Callable:
    choices, default = item.metadata["choices"], item.default
    name = item.metadata["option"] or option_name(item.name)
    help_ = item.metadata["help"]
    if isinstance(default, tuple) or item.metadata["lines"]:
        return click.option(
            name,
            item.name,
            multiple=True,
            callback=_items_of(item),
            help=f"{help_} May be given several times.",
        )
    return click.option(
        f"{name}/--no-{name[2:]}" if isinstance(default, bool) else name,
        item.name,
        default=None,
        type=click.Choice(choices) if choices else _type_of(item),
        help=f"{help_} [default: {default}]",
    )


def _type_of(item: dataclasses.Field) -> type:
    if item.default is not None:
        return type(item.default)
    return float if "float" in str(item.type) else int


def _items_of(item: dataclasses.Field) -> Callable:
    """A callback: the texts of an option, or the lines of the files it names -> a tuple."""

    def convert(ctx: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> Any:
        if not texts:
            return None
        if item.metadata["lines"]:
            from keras_seq2seq.data.readers import read_lines

            texts = tuple(line for text in texts for line in read_lines(Path(text)))
        return tuple(item.metadata["item"](text) for text in texts)

    return convert


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}
