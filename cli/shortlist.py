"""The command `shortlist`: which target tokens the tokens of a source allow."""

from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError

from .options import PATH, console, print_written
from .outputs import OUTPUT, Command
from .pairs import data_options, read_texts
from .runs import run_argument


@click.command(cls=Command)
@run_argument
@click.argument("files", nargs=-1, required=True, type=PATH)
@click.option("-o", "--output", required=True, type=OUTPUT, help="The file to write.")
@click.option(
    "--best",
    default=50,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Target tokens that a source token allows.",
)
@click.option(
    "--common",
    default=100,
    show_default=True,
    type=click.IntRange(1, 1_000_000),
    help="Most frequent target tokens, which every source allows.",
)
@data_options
def shortlist(
    run: Any,
    files: tuple[Path, ...],
    output: Path,
    best: int,
    common: int,
    source_column: str | None,
    target_column: str | None,
    strict: bool,
) -> None:
    """Learn from the training pairs FILES which target tokens a source token allows.

    With the file, `generate`, `evaluate` and `export` compute the logits of the tokens alone
    that a source allows, which is faster where the vocabulary is large; what the file leaves
    out cannot come out.

    \b
    Examples:
      keras-seq2seq shortlist runs/en-de train.tsv -o en-de.shortlist
      keras-seq2seq generate runs/en-de --file lines.txt --shortlist en-de.shortlist
    """
    if run.source != "text":
        raise InputError(
            f"A shortlist is learned from texts on both sides, and {run.path} reads "
            f"{run.source}."
        )
    pairs = read_texts(files, strict, (source_column, target_column))
    model = run.load_model()
    from keras_seq2seq.data.shortlist import learn_shortlist

    with console.status("learning which tokens go together"):
        found, share = learn_shortlist(
            model.preprocessor, pairs.sources, pairs.targets, best=best, common=common
        )
    found.write(output)
    size = model.decoder.vocabulary_size
    console.print(
        f"Of {size} target tokens a source allows at most {found.size_of(1)}, 32 together at "
        f"most {found.size_of(32)}; that is {100 * share:.2f} % of the tokens of these pairs.",
        highlight=False,
        soft_wrap=True,
    )
    print_written(output)
