"""The commands `export` and `parity`: what ships, and whether it says the same."""

import sys
from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError
from keras_seq2seq.files import check_folder

from .options import (
    PATH,
    console,
    generation_options,
    generation_settings,
    given,
    printed_warnings,
)
from .outputs import OUTPUT, Command
from .pairs import read_data
from .runs import run_argument

# What `export` can write; names of the folders too.
DEFAULT_FORMATS = ("saved_model", "tflite", "tflite_int8")
FORMATS = (
    *DEFAULT_FORMATS,
    "tflite_float16",
    "saved_model_xla",
    "serving",
    "web",
    "onnx",
    "onnx_loop",
    "ctranslate2",
    "safetensors",
)


@click.command()
@run_argument
@click.argument("out_dir", type=PATH)
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
@click.option(
    "--litertjs",
    type=PATH,
    help="Folder node_modules/@litertjs of `npm install @litertjs/core`: the page gets its own "
    "copy.  [default: a public server]",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Sources that a .tflite file decodes together: for throughput, as in generate --file.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace formats that OUT_DIR has; versions stay."
)
@generation_options
def export(
    run: Any,
    out_dir: Path,
    formats: tuple[str, ...],
    model_name: str | None,
    litertjs: Path | None,
    batch: int,
    overwrite: bool,
    **options: Any,
) -> None:
    """Export the best model of RUN_DIR into OUT_DIR, with its decoding loop inside.

    saved_model: strings in and out, for TensorFlow Serving; saved_model_xla compiles its loop
    for as many threads as this machine has: faster for batches, after seconds for each new
    size. tflite: ids in and out, builtin operations only, for LiteRT; tflite_float16 and
    tflite_int8 have smaller weights; --batch is for many lines on a processor. serving: a
    folder with a compose.yaml that starts TensorFlow Serving; another export adds a version,
    with the settings of the version before where no option is given.
    web: a page that generates in the browser. onnx: encoder and decoder step for ONNX Runtime,
    with a loop in NumPy. ctranslate2: a Transformer for CTranslate2's `Translator`, which
    brings its own loop. safetensors: weights by name and the configuration; `import` reads
    them.

    \b
    Examples:
      keras-seq2seq export runs/demo exports/demo --beam-size 4 --n-best 2
      keras-seq2seq export runs/demo exports/demo --format serving
      keras-seq2seq export runs/demo exports/demo32 --format tflite_int8 --batch 32
      keras-seq2seq export runs/demo exports/demo --format web --litertjs node_modules/@litertjs
    """
    formats = formats or DEFAULT_FORMATS
    if batch > 1 and not any(name.startswith("tflite") for name in formats):
        raise InputError(
            f"--batch is of the .tflite formats. Received: --batch {batch} with --format "
            f"{', '.join(formats)}. Give --format tflite_int8 too, or leave it out: the others "
            "take any number of sources."
        )
    check_folder(out_dir)
    from keras_seq2seq.export import export_formats

    settings = generation_settings(options) if given(options) else None
    name = model_name or run.path.resolve().name
    if litertjs is not None and "web" not in formats:
        raise InputError("--litertjs is of the page; give --format web too.")
    with printed_warnings():
        export_formats(
            run.load_model(),
            out_dir,
            formats,
            settings,
            console,
            name,
            sources=_own_sources(run),
            litertjs=litertjs,
            batch_size=batch,
            overwrite=overwrite,
        )


def _own_sources(run: Any) -> list[str]:
    """Texts that the run holds, for test vectors; none where it has no pairs or signals."""
    if run.source != "text":
        return []
    return list(run.test_pairs().references()) if run.has_pairs else []


@click.command(cls=Command)
@run_argument
@click.argument("artefacts", nargs=-1, required=True, type=PATH)
@click.option(
    "--file",
    type=PATH,
    help="Sources, one a line; else the run's test sources.",
)
@click.option("--pairs", type=PATH, help="TSV of pairs instead: adds error rates.")
@click.option("--count", default=1000, show_default=True, help="Sources at most.")
@click.option(
    "--threads",
    multiple=True,
    type=int,
    default=(1,),
    help="Threads of LiteRT; several times for a row each.  [default: 1]",
)
@click.option("--memory", is_flag=True, help="Peak memory, in a process of each artefact.")
@click.option("--json", "json_file", type=OUTPUT, help="Write the table as JSON too.")
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
    from keras_seq2seq.data import read_texts
    from keras_seq2seq.export import print_parity

    sources, references = read_texts(file) if file else None, None
    if sources is None:
        answers = (read_data([pairs], run.source) if pairs else run.test_pairs()).references()
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
