"""The command `tune`: a search over the settings of `train`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError
from keras_seq2seq.training.settings import TrainingConfig, resolve, training_settings
from keras_seq2seq.training.settings.searched import searched_values

from .options import PATH, console, given, load_tensorflow, options_of, print_written
from .pairs import data_options, read_splits
from .runs import import_option, imported_modules
from .train import setting_layers, suggested_layers

# Trials that fit into the minutes, where --trial-minutes is not given.
TRIALS = 12
# They say how long a search lasts, not how a trial is trained.
_SEARCH = ("minutes", "epochs")


def _values(
    ctx: click.Context, parameter: click.Parameter, texts: Sequence[str]
) -> dict[str, str]:
    values = {}
    for text in texts:
        name, equals, listed = text.partition("=")
        if not equals or not listed:
            raise InputError(
                "--values takes a setting and values, such as dropout=0.1,0.3. Received: "
                f"{text!r}."
            )
        values[name.strip().removeprefix("--").replace("-", "_")] = listed
    return values


@click.command()
@click.argument("files", nargs=-1, type=PATH)
@click.option(
    "--run-dir",
    required=True,
    type=PATH,
    help="Where the search is written; the same command goes on.",
)
@click.option(
    "--minutes",
    required=True,
    type=click.FloatRange(0, min_open=True),
    help="Time of all trials together; more of it goes on with a search that ended.",
)
@click.option(
    "--trial-minutes",
    type=click.FloatRange(0, min_open=True),
    help=f"Time to train a trial.  [default: a {TRIALS}th of --minutes]",
)
@click.option("--trials", type=click.IntRange(1), help="Trials at most.")
@click.option(
    "--values",
    multiple=True,
    callback=_values,
    metavar="NAME=V1,V2",
    help="Values of a setting to try, and of no setting without --values. May be given several "
    "times.",
)
@click.option(
    "--config",
    "config_file",
    type=PATH,
    help="Settings of all trials: a TOML file or another run. Options win.",
)
@click.option("--preset", help="Settings of all trials by name, as of `train`.")
@click.option(
    "--validation",
    "validation_file",
    type=PATH,
    help="Pairs that choose the best trial; else held out.",
)
@data_options
@import_option
@options_of(
    declared
    for settings in training_settings().values()
    for name, declared in settings.items()
    if name not in _SEARCH
)
def tune(
    files: tuple[Path, ...],
    run_dir: Path,
    minutes: float,
    trial_minutes: float | None,
    trials: int | None,
    values: dict[str, str],
    config_file: Path | None,
    preset: str | None,
    validation_file: Path | None,
    source_column: str | None,
    target_column: str | None,
    strict: bool,
    **settings: Any,
) -> None:
    """Search for settings with which a model learns FILES best, by many short trials.

    FILES and the options are those of `train`; what is given is the same in all trials. The
    others are searched: sizes, attention, positions, dropout, learning rate, batches. The
    first trial is what `train` would do. Needs optuna.

    \b
    Examples:
      keras-seq2seq tune pairs.tsv --run-dir runs/tuned --minutes 60
      keras-seq2seq tune pairs.tsv --run-dir runs/sizes --minutes 30 --values hidden-dim=128,256
      keras-seq2seq train pairs.tsv --config runs/tuned/best.toml --minutes 30 \\
        --run-dir runs/final
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise InputError("`tune` needs optuna: pip install keras-seq2seq[tune]") from error
    layers = setting_layers(given(settings), preset, config_file, None)
    load_tensorflow()
    from keras_seq2seq.training.run.own_parts import OwnParts
    from keras_seq2seq.training.run_directory import RunDirectory
    from keras_seq2seq.training.tuning import FIRST, Tuning
    from keras_seq2seq.training.tuning import trial_minutes as began_with

    each = trial_minutes or began_with(run_dir) or minutes / TRIALS
    if each > minutes:
        raise InputError(f"--trial-minutes {each:g} is more than --minutes {minutes:g}.")
    options, *others = [
        (origin, {n: v for n, v in layer.items() if n not in _SEARCH})
        for origin, layer in layers
    ]
    options[1]["minutes"] = each
    config, _ = resolve([options, *others])
    columns = source_column, target_column
    splits = read_splits(files, validation_file, None, config, strict, columns)
    suggested = suggested_layers(config, splits.train, RunDirectory(run_dir / "trials" / FIRST))

    def build(tried: Mapping[str, Any]) -> TrainingConfig:
        return resolve([options, ("tune", tried), *others, *suggested])[0]

    # What is asked for is searched although a file or a preset has a value.
    fixed = {
        name for _, layer in ([options] if values else [options, *others]) for name in layer
    }
    tuning = Tuning(
        run_dir,
        build,
        searched_values(build({}), fixed, values),
        splits,
        console,
        OwnParts(imported_modules()),
    )
    best = tuning.search(minutes, trials)
    console.print(f"Best trial: {best.path}", highlight=False, soft_wrap=True)
    print_written(tuning.best_file)
