"""The command `train`: settings of several sources, pairs, and the run that they make."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError
from keras_seq2seq.training.recipes import check_data, load_recipe, recipe_names
from keras_seq2seq.training.settings import TrainingConfig, base_layers, resolve
from keras_seq2seq.training.settings.base import check_base
from keras_seq2seq.training.settings.files import recorded
from keras_seq2seq.training.settings.run import ADDRESSES, INDEX

from .options import (
    PATH,
    console,
    given,
    load_tensorflow,
    print_written,
    printed_warnings,
    training_options,
)
from .pairs import data_options, read_splits, weight_option
from .runs import check_imported, import_option, imported_modules, open_run
from .supervision import is_child, run_supervised


@click.command()
@click.argument("files", nargs=-1, type=PATH)
@click.option(
    "--run-dir", type=PATH, help="Where the run is written; the same command resumes it."
)
@click.option(
    "--config",
    "config_file",
    type=PATH,
    help="Settings of a TOML file, as --print-config writes it, or of another run: its folder "
    "or config.json. Options win.",
)
@click.option(
    "--print-config",
    is_flag=True,
    help="Print the settings that would run, as a commented TOML file, and stop.",
)
@click.option(
    "--recipe", help="Settings and data of a recipe: " + ", ".join(recipe_names()) + "."
)
@click.option("--data", type=PATH, help="Data of the recipe.")
@click.option(
    "--preset",
    help="Architecture and sizes by name: {rnn,transformer}_{tiny,small,base}; other options "
    "change them.",
)
@click.option(
    "--validation",
    "validation_file",
    type=PATH,
    help="Pairs that choose the best epoch; else held out.",
)
@click.option(
    "--test",
    "test_file",
    type=PATH,
    help="Test pairs for `evaluate`.",
)
@data_options
@weight_option
@import_option
@training_options
def train(
    files: tuple[Path, ...],
    run_dir: Path | None,
    config_file: Path | None,
    print_config: bool,
    recipe: str | None,
    data: Path | None,
    preset: str | None,
    validation_file: Path | None,
    test_file: Path | None,
    source_column: str | None,
    target_column: str | None,
    strict: bool,
    weight_column: str | None,
    **settings: Any,
) -> None:
    """Train a model on FILES: pairs of texts in one TSV (source, tab, target), CSV or JSON
    Lines file, two parallel text files, or a folder with train.en, train.de and so on. Any
    number of corpora, also by a name with `*`; `:3` behind a name has its pairs come three
    times an epoch. Texts are read when their batch is made.

    With --source features or waveform: a list of .npy or sound files with their texts (TSV,
    metadata.csv, metadata.jsonl or a folder with one of these), and where the files are.
    UTF-8, `.gz` too. A run that was killed goes on where it was when the same command is
    given again.

    With --from RUN training goes on from the model of another run, trained or imported.

    A setting comes from its option, else --preset, --config, --recipe, --from, what the data
    suggests, or its default. `keras-seq2seq inspect RUN_DIR` says where each came from.

    \b
    Examples:
      keras-seq2seq train pairs.tsv --run-dir runs/first --minutes 10
      keras-seq2seq train pairs.tsv --run-dir runs/first --epochs 10
      keras-seq2seq train pairs.tsv --print-config > run.toml
      keras-seq2seq train pairs.tsv --config run.toml --run-dir runs/second
      keras-seq2seq train words.txt phonemes.txt.gz --run-dir runs/second
      keras-seq2seq train corpus/ --source-column en --target-column de --run-dir runs/third
      keras-seq2seq train 'web-*.tsv.gz' news.tsv:3 --run-dir runs/large
      keras-seq2seq train --recipe cmudict_demo --run-dir runs/demo
      keras-seq2seq train speech/metadata.csv --source waveform --run-dir runs/speech
      keras-seq2seq train captions.tsv features/ --source features --run-dir runs/video
      keras-seq2seq train pairs.tsv --import own_parts --run-dir runs/own
      keras-seq2seq train mine.tsv --from runs/first --extend-vocabulary --run-dir runs/mine
    """
    if recipe is not None and files:
        raise InputError("Give either files or --recipe, not both.")
    of_files = {
        "--validation": validation_file,
        "--test": test_file,
        "--source-column": source_column,
        "--target-column": target_column,
        "--weight-column": weight_column,
        "--strict": strict or None,
    }
    if recipe is not None and (given_ones := given(of_files)):
        raise InputError(f"{', '.join(given_ones)}: about files; the recipe has its own data.")
    if data is not None and recipe is None:
        raise InputError("--data is that of a recipe; give --recipe, or pairs as FILES.")
    if run_dir is None and not print_config:
        raise InputError("--run-dir is missing: the folder that the run is written to.")
    module = load_recipe(recipe) if recipe is not None else None
    layers = setting_layers(given(settings), preset, config_file, module, run_dir)
    config, left_out = resolve(layers)
    check_given_base(config, run_dir)
    if print_config and (module is not None or not files):
        _print_config(config, left_out)
        return
    if config.run.distribute and ADDRESSES in os.environ and not is_child():
        sys.exit(run_supervised(sys.argv[1:]))
    load_tensorflow()
    from keras_seq2seq.training.run.trackers import check_tracker
    from keras_seq2seq.training.run_directory import RunDirectory

    if config.fine_tuning.base and not _has_begun(run_dir):
        open_run(Path(config.fine_tuning.base))
    check_tracker(config.run.tracker)
    run = None if run_dir is None else RunDirectory(run_dir)
    with _notes_on_standard_error(print_config):
        if module is not None:
            check_data(module, data)
            splits = module.load(data)
        else:
            columns = source_column, target_column
            held_out = validation_file, test_file
            splits = read_splits(files, *held_out, config, strict, columns, weight_column)
            config, left_out = resolve([*layers, *suggested_layers(config, splits.train, run)])
            config = as_begun(config, run)
    if print_config or run is None:
        _print_config(config, left_out)
        return
    say_left_out(config, left_out)
    train_and_report(config, splits, run)


def setting_layers(
    options: dict[str, Any],
    preset: str | None,
    config_file: Path | None,
    recipe: Any,
    run_dir: Path | None = None,
) -> list[tuple[str, dict[str, Any]]]:
    """The sources of settings but the data, the strongest first."""
    layers = [("option", options)]
    if preset is not None:
        layers.append(("preset", _preset_settings(preset)))
    if config_file is not None:
        from keras_seq2seq.training.settings.files import modules_of, read_settings

        check_imported(config_file, modules_of(config_file))
        layers.append(("file", read_settings(config_file)))
    if recipe is not None:
        layers.append(("recipe", recipe.CONFIG.given))
    return base_layers(layers, run_dir)


def _has_begun(run_dir: Path | None) -> bool:
    return run_dir is not None and os.path.exists(run_dir / "config.json")


def check_given_base(config: TrainingConfig, run_dir: Path | None) -> None:
    """Refuses settings that do not fit the model of `--from`, before anything is read."""
    if config.fine_tuning.base and not _has_begun(run_dir):
        check_base(config, recorded(Path(config.fine_tuning.base) / "config.json"))


def _preset_settings(name: str) -> dict[str, Any]:
    load_tensorflow()
    from keras_seq2seq.models import PRESETS

    if name not in PRESETS:
        raise InputError(f"--preset must be one of {', '.join(PRESETS)}. Received: {name!r}.")
    return {"architecture": PRESETS[name].architecture, **PRESETS[name].settings}


def suggested_layers(config: TrainingConfig, pairs: Any, run: Any) -> list[tuple[str, Any]]:
    """What the data suggests, or suggested when a run that exists began, as layers of
    settings; says which."""
    from keras_seq2seq.training.settings.measured import UNMEASURED
    from keras_seq2seq.training.settings.suggestions import Suggestions

    suggestions = Suggestions(config, pairs)
    settings, reasons = suggestions.settings, suggestions.reasons
    if run is None or not run.config_file.exists():
        reasons = [*reasons, *suggestions.later]
    else:
        began = run.settings
        own = {name for name in settings if began.origins.get(name) == "data"}
        own |= set(settings) & (set(began.values) - set(began.changed))
        kept = {name: began.values[name] for name in own}
        if kept.items() - settings.items():
            reasons = ["as when the run began"]
        settings = {**settings, **kept}
    if config.optimization.minutes:
        for reason in reasons:
            _say(f"  {reason}")
    elif reasons:
        _say(f"Chosen from the data: {'; '.join(reasons)}.")
    return [("data", settings), (UNMEASURED, suggestions.unmeasured)]


def as_begun(config: TrainingConfig, run: Any) -> TrainingConfig:
    """With what a run that exists has measured."""
    if run is None or not run.config_file.exists():
        return config
    from keras_seq2seq.training.run.sizing import as_measured

    return as_measured(config, run)


def train_and_report(config: TrainingConfig, splits: Any, run: Any) -> None:
    """Trains the run, and writes its report where it has none."""
    from keras_seq2seq.models import backend_generates
    from keras_seq2seq.training.run.own_parts import OwnParts
    from keras_seq2seq.training.run.trainer import train as train_run

    train_run(config, splits, run, console, OwnParts(imported_modules()))
    if not backend_generates():
        if config.run.distribute and os.environ.get(INDEX, "0") != "0":
            return
        _say(
            "Generation needs the TensorFlow backend: give `keras-seq2seq evaluate "
            f"{run.path}` without KERAS_BACKEND."
        )
    elif not run.report_file.exists():
        from keras_seq2seq.training.report import write_report

        with printed_warnings(), console.status("writing the report"):
            print_written(write_report(run))


def _print_config(config: TrainingConfig, left_out: dict[str, Any]) -> None:
    from keras_seq2seq.training.settings.files import written

    with _notes_on_standard_error(True):
        say_left_out(config, left_out)
    click.echo(written(config), nl=False)


def say_left_out(config: TrainingConfig, left_out: dict[str, Any]) -> None:
    """Names settings that do not count beside stronger ones, and why."""
    idle = config.values.keys() & left_out.keys()
    for names, why in (
        (left_out.keys() - idle, f"Not of --architecture {config.model.architecture}"),
        (idle, "Without a use beside stronger settings"),
    ):
        if listed := ", ".join(f"{n} {v}" for n, v in left_out.items() if n in names):
            _say(f"{why}, left out: {listed}.")


def _say(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def _notes_on_standard_error(active: bool) -> Iterator[None]:
    """What is printed goes to standard error, so that standard output is a file."""
    before = console.stderr
    console.stderr = active or before
    try:
        yield
    finally:
        console.stderr = before
