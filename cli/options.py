"""What the commands share: options from declarations, opening a run, messages."""

import gc
import os
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from rich.console import Console

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.settings.declarations import Setting, settings_of, without_unused
from keras_seq2seq.settings.files import read_generation
from keras_seq2seq.training.settings import training_settings

# What is printed holds names and paths of the user's own, which are no markup.
console = Console(markup=False)
PATH = click.Path(path_type=Path)
# Settings without a use where the best target of each source is all that is looked at.
BEST_ALONE = ("num_hypotheses", "alignments")


def print_error(error: InputError) -> None:
    """One line on standard error."""
    click.secho("error: ", fg="red", bold=True, err=True, nl=False)
    from keras_seq2seq.data.text import printable

    click.echo(printable(" ".join(str(error).split())), err=True)


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


@contextmanager
def without_native_notes() -> Iterator[None]:
    """Nothing on standard error, such as what TensorFlow's C++ side prints when imported."""
    saved = os.dup(2)
    try:
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 2)
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def load_tensorflow() -> None:
    """Imports TensorFlow without the notes that its C++ side prints."""
    with without_native_notes():
        import keras_seq2seq.models  # noqa: F401
    # A graph is many thousands of objects: to look through all of them for every 700 new ones
    # takes a tenth of the time of making it.
    gc.set_threshold(50_000)


def options_of(settings: Iterable[Setting]) -> Callable:
    """A decorator: one option for every setting; not given is `None`."""

    def decorate(command: Callable) -> Callable:
        for declared in reversed([*settings]):
            command = _option(declared)(command)
        return command

    return decorate


def training_options(command: Callable) -> Callable:
    """A decorator: one option for every setting of a run, whatever the architecture."""
    sections = training_settings().values()
    return options_of(one for settings in sections for one in settings.values())(command)


def generation_options(command: Callable) -> Callable:
    """A decorator: the settings of generation, and a file of them. `generation_settings`
    makes one value of the options."""
    command = options_of(settings_of(GenerationSettings).values())(command)
    return click.option(
        "--config", type=PATH, help="TOML file of settings, section [generation]; options win."
    )(command)


def generation_settings(
    options: dict[str, Any], idle: Collection[str] = (), **defaults: Any
) -> GenerationSettings:
    """The settings of an option, else of the file `config`, else of `defaults`.

    Args:
        options: Of `generation_options`.
        idle: Settings that change nothing in this command: as an option refused, of a file
            left out with a line.
        **defaults: Settings in place of defaults.
    """
    path = options.pop("config")
    declared, chosen = settings_of(GenerationSettings), given(options)
    for name in idle:
        if chosen.get(name, declared[name].default) != declared[name].default:
            raise InputError(f"{declared[name].option} changes nothing here; leave it out.")
    layer = {} if path is None else read_generation(path)
    values = {**defaults, **layer, **chosen}
    # What an option leaves without a use in the file.
    used = without_unused(GenerationSettings, values) if chosen else values
    left_out = [name for name in values if name not in used and name not in chosen]
    left_out += [name for name in layer if name in idle and name not in left_out]
    if told := [name for name in left_out if values[name] != declared[name].default]:
        click.echo(f"warning: without a use, left out: {', '.join(told)}.", err=True)
    kept = {name: value for name, value in values.items() if name not in left_out}
    return GenerationSettings(**kept)


class _Value(click.ParamType):
    """What a declaration says of a value is what an option says of it."""

    def __init__(self, declared: Setting):
        self.declared = declared
        self.name = {int: "integer", float: "float"}.get(declared.plain_type, "text")

    def get_metavar(self, param: click.Parameter, ctx: Any = None) -> str | None:
        choices = self.declared.choices
        return f"[{'|'.join(choices)}]" if choices else None

    def convert(self, value: Any, *args: Any) -> Any:
        return self.declared.parsed(value)

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        choices = self.declared.choices or ()
        return [CompletionItem(name) for name in choices if name.startswith(incomplete)]


def _option(declared: Setting) -> Callable:
    if isinstance(declared.default, tuple) or declared.lines:
        return click.option(
            declared.option,
            declared.name,
            multiple=True,
            callback=_items_of(declared),
            help=f"{declared.help} May be given several times.",
        )
    is_flag = declared.plain_type is bool
    return click.option(
        f"{declared.option}/--no-{declared.option[2:]}" if is_flag else declared.option,
        declared.name,
        default=None,
        type=None if is_flag else _Value(declared),
        help=f"{declared.help} [default: {declared.default}]",
    )


def _items_of(declared: Setting) -> Callable:
    """A callback: the texts of an option, or the lines of the files it names -> a tuple."""

    def convert(ctx: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> Any:
        if not texts:
            return None
        if declared.lines:
            from keras_seq2seq.data.readers import read_texts

            texts = tuple(line for text in texts for line in read_texts(Path(text)))
        return declared.checked([declared.item(text) for text in texts])

    return convert


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}
