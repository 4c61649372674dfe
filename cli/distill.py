"""The command `distill`: a small model learns what a large one generates."""

from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.settings.files import GENERATION, read_toml
from keras_seq2seq.training.settings import resolve

from .engines import ModelEngine
from .options import (
    PATH,
    console,
    generation_settings,
    given,
    load_tensorflow,
    training_options,
)
from .pairs import read_data, read_splits
from .runs import import_option, open_run
from .source_lines import count_lines, lines_of, open_output
from .targets import Writer, progress
from .train import (
    as_begun,
    check_given_base,
    say_left_out,
    setting_layers,
    suggested_layers,
    train_and_report,
)

BEAM_SIZE = 4


@click.command()
@click.argument("teacher", type=PATH)
@click.argument("sources", type=PATH)
@click.option(
    "--run-dir",
    required=True,
    type=PATH,
    help="Where the student's run is written; the same command resumes it.",
)
@click.option(
    "--with",
    "others",
    multiple=True,
    type=PATH,
    help="Another teacher of the same vocabularies: their probabilities are averaged. May be "
    "given several times.",
)
@click.option(
    "--beam-size",
    type=click.IntRange(1),
    help=f"Beam of the teacher.  [default: {BEAM_SIZE}, or of [generation] in --config]",
)
@click.option(
    "--evaluate",
    "evaluate_file",
    type=PATH,
    help="Pairs on which teacher and student are compared.  [default: the teacher's own]",
)
@click.option(
    "--preset",
    help="Architecture and sizes of the student: {rnn,transformer}_{tiny,small,base}.",
)
@click.option(
    "--config",
    "config_file",
    type=PATH,
    help="Settings of a TOML file, as of `train`; its section [generation] is the teacher's "
    "search. Options win.",
)
@click.option(
    "--validation",
    "validation_file",
    type=PATH,
    help="Pairs that choose the best epoch; else held out, with the teacher's targets.",
)
@import_option
@training_options
def distill(
    teacher: Path,
    sources: Path,
    run_dir: Path,
    others: tuple[Path, ...],
    beam_size: int | None,
    evaluate_file: Path | None,
    preset: str | None,
    config_file: Path | None,
    validation_file: Path | None,
    **options: Any,
) -> None:
    """Train a student on what the run TEACHER generates for SOURCES, one a line.

    Targets of the teacher's beam search take the place of right ones (Kim & Rush 2016), so
    sources are enough; those of the teacher's own training do. What was generated is kept in
    RUN_DIR/distillation, and a command that was interrupted, there or in training, goes on
    with the same command. At the end both are compared: errors, size, speed.

    The student's tokenizers are of the teacher's kinds, learned from the new pairs. All other
    settings are as of `train`.

    \b
    Examples:
      keras-seq2seq distill runs/large words.txt --run-dir runs/small --preset rnn_tiny
      keras-seq2seq distill runs/a words.txt --with runs/b --run-dir runs/small \\
          --preset transformer_tiny --minutes 10 --evaluate test.tsv
    """
    from keras_seq2seq.training.distillation import (
        Distillation,
        comparison_table,
        teacher_settings,
    )

    search = _search(config_file, beam_size)
    load_tensorflow()
    teachers = [open_run(path) for path in (teacher, *others)]
    layers = setting_layers(given(options), preset, config_file, None, run_dir)
    layers.append(("teacher", teacher_settings(teachers[0].settings)))
    config, _ = resolve(layers)
    check_given_base(config, run_dir)
    from keras_seq2seq.training.run_directory import RunDirectory

    run = RunDirectory(run_dir)
    distillation = Distillation(run)
    model = _teacher(teachers)
    model.check_settings(search)
    with run.held():
        distillation.begin(teachers, sources, search)
        _generate(model, sources, distillation.targets_file, search)
    kind = config.data.source
    files = (distillation.targets_file, *(() if kind == "text" else (Path.cwd(),)))
    splits = read_splits(files, validation_file, None, config, False, (None, None))
    config, left_out = resolve([*layers, *suggested_layers(config, splits.train, run)])
    config = as_begun(config, run)
    say_left_out(config, left_out)
    train_and_report(config, splits, run)
    pairs, what = _pairs(evaluate_file, teachers[0], run)
    name = " + ".join(one.path.resolve().name for one in teachers)
    models = {f"teacher, {name}": model, f"student, {run_dir.resolve().name}": run.load_model()}
    with console.status("comparing teacher and student"):
        rows = distillation.compare(models, pairs, what, search)
    console.print(comparison_table(rows, what, search.description, config))
    share = rows[1]["parameters"] / rows[0]["parameters"]
    console.print(
        f"The student has {100 * share:.1f} % of the parameters. Written: "
        f"{distillation.comparison_file}",
        highlight=False,
        soft_wrap=True,
    )


def _search(config_file: Path | None, beam_size: int | None) -> GenerationSettings:
    has_search = (
        config_file is not None
        and config_file.suffix == ".toml"
        and GENERATION in read_toml(config_file)
    )
    options = {"config": config_file if has_search else None, "num_beams": beam_size}
    search = generation_settings(options, num_beams=BEAM_SIZE)
    if search.alignments:
        raise InputError("--config: alignments are no targets; leave them out of [generation].")
    return search


def _teacher(runs: list[Any]) -> Any:
    models = [run.load_model() for run in runs]
    if len(models) == 1:
        return models[0]
    from keras_seq2seq.models import Ensemble

    try:
        return Ensemble(models)
    except ValueError as error:
        raise InputError(f"--with: {error}") from error


def _generate(model: Any, sources: Path, targets: Path, search: GenerationSettings) -> None:
    """Writes the teacher's targets as `generate --file --output --resume` does."""
    writer = Writer(ModelEngine(model, search))
    # A source without a target costs its pair alone; the command does not fail for it.
    writer.file, done, _, lines = open_output(
        targets, True, lines_of(sources), False, lambda source: False
    )
    total = count_lines(sources)
    if done:
        console.print(f"{done:,} sources have their targets.", highlight=False)
    with progress(done, total, is_shown=True) as track, writer.file:
        writer.write(track(lines), None, done)
    console.print(f"Targets of the teacher, {search.description}: {targets}", soft_wrap=True)


def _pairs(file: Path | None, teacher: Any, run: Any) -> tuple[Any, str]:
    """Pairs to compare on, and what they are."""
    if file is not None:
        return read_data([file], teacher.source), file.name
    if teacher.has_pairs:
        return teacher.test_pairs(), f"the teacher's {teacher.pairs_file.name}"
    return run.test_pairs(), f"{run.pairs_file.name}, whose targets are the teacher's"
