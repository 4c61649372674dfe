"""The commands that ask a trained model: `generate`, `score`, `attention`, `tree`."""

import math
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError

from .engines import digest_of, engine_argument, open_engine, search_of
from .options import (
    BEST_ALONE,
    PATH,
    generation_options,
    generation_settings,
    print_error,
    print_written,
    printed_warnings,
)
from .outputs import OUTPUT, Command
from .pairs import read_data
from .runs import run_argument
from .source_lines import cleaned, count_lines, lines_of, open_output
from .targets import Writer, progress, say_unknown
from .unfinished import check_same_options, unfinished


@click.command(cls=Command)
@engine_argument
@click.argument("texts", nargs=-1)
@click.option("--file", "file", type=PATH, help="One source a line.")
@click.option("--output", type=OUTPUT, help="File to write to, in place of standard output.")
@click.option(
    "--resume", is_flag=True, help="Continue the file of --output at the line where it stopped."
)
@click.option("--prefix", help="What every target begins with.")
@click.option(
    "--prefixes", "prefix_file", type=PATH, help="The same for each source, one a line."
)
@click.option("--scores", is_flag=True, help="Print the log probability in front.")
@click.option("--json", "as_json", is_flag=True, help="All of it, one JSON object a source.")
@generation_options
def generate(
    source: Any,
    engine: str | None,
    texts: tuple[str, ...],
    file: Path | None,
    output: Path | None,
    resume: bool,
    prefix: str | None,
    prefix_file: Path | None,
    scores: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Generate a target for each of TEXTS, or each line of --file or standard input.

    For a model of frames or sound these are paths of files. RUN_OR_EXPORT is the directory of
    a run, or the folder of an export of text, which generates with the settings it was made
    with.

    With none of them, and a terminal, asks for one source after the other. One line a
    hypothesis comes out, in the order of the sources, as they are found: source, tab, (log
    probability, tab,) target, and with --alignments a tab and pairs of source and target
    positions, from 0. --json gives log probabilities and attention of every token.

    A source that has no target, because it is empty, too long or not UTF-8, comes out with
    an empty one, is named on standard error with its line, and costs the others nothing; the
    exit status is 1 then.

    \b
    Examples:
      keras-seq2seq generate runs/demo hello keras
      keras-seq2seq generate runs/demo --beam-size 4 --n-best 2 --scores < words.txt
      keras-seq2seq generate runs/demo --file words.txt --output targets.tsv --resume
      keras-seq2seq generate runs/demo hello --prefix "HH AH" --json --alignments
      keras-seq2seq generate runs/demo
      keras-seq2seq generate runs/speech recording.wav
      keras-seq2seq generate exports/demo/saved_model --file words.txt --output targets.tsv
    """
    if texts and file:
        raise InputError("Give either texts or --file, not both.")
    if prefix is not None and prefix_file:
        raise InputError("Give either --prefix or --prefixes, not both.")
    if resume and not output:
        raise InputError("--resume continues the file of --output; give it.")
    lines = _source_lines(texts, file)
    if lines is None and (prefix_file or output):
        name = "--prefixes" if prefix_file else "--output"
        raise InputError(f"{name} needs the sources, as arguments or in a file.")
    prefixes: Any = lines_of(prefix_file) if prefix_file else prefix
    # Bad settings fail before anybody types.
    opened = open_engine(source, engine, options)
    writer = Writer(opened, scores, as_json)
    if lines is None:
        click.echo("Type a source and press Enter; an empty line ends.", err=True)
        while line := click.prompt("", prompt_suffix="> ", default="", show_default=False):
            writer.write(iter([line]), prefixes, 0, "")
        return
    done = 0
    record: AbstractContextManager[None] = nullcontext()
    if output:
        began = {
            "model": digest_of(source.path),
            "prefix": prefix,
            "scores": scores,
            "json": as_json,
            **search_of(opened.settings.to_dict()),
        }
        if resume:
            check_same_options(output, began)
        writer.file, done, writer.failed, lines = open_output(
            output, resume, lines, as_json, opened.has_no_target
        )
        if writer.failed:
            click.echo(f"Of the {done:,} lines before some have no target.", err=True)
        if prefix_file:
            prefixes = islice(prefixes, done, None)
        record = unfinished(output, began, lambda: not writer.failed)
    total = count_lines(file) if file else None
    with record, progress(done, total, is_shown=bool(file)) as track:
        writer.write(track(lines), prefixes, done, "source" if texts else "line")
    if prefix_file and next(prefixes, None) is not None:
        raise InputError(
            f"There must be one prefix a source. Received: {writer.answered} sources, and "
            "more prefixes."
        )
    if output:
        writer.file.close()
        print_written(output)
    if writer.failed:
        sys.exit(1)


def _source_lines(texts: tuple[str, ...], file: Path | None) -> Iterator[str] | None:
    """The sources to decode; `None` means to ask for them."""
    if texts:
        return cleaned(texts)
    if file is None and sys.stdin.isatty():
        return None
    return lines_of(file)


@click.command()
@run_argument
@click.argument("files", nargs=-1, type=PATH)
@click.option("--tokens", is_flag=True, help="Print the log probability of every token too.")
def score(run: Any, files: tuple[Path, ...], tokens: bool) -> None:
    """Score the pairs of FILES: one TSV (source, tab, target) or two parallel text files.

    One line a pair comes out: source, tab, target, tab, log P(target | source), and with
    --tokens a tab and `token:log probability` for every token and the end. A pair that has
    none is named on standard error; the exit status is 1 then.

    \b
    Examples:
      keras-seq2seq score runs/demo pairs.tsv
      keras-seq2seq score runs/demo words.txt phonemes.txt --tokens
    """
    pairs = read_data(files, run.source)
    model = run.load_model()
    _, problems = model.pair_problems(pairs.sources, pairs.targets)
    fits = [index for index in range(len(pairs)) if index not in problems]
    sources, targets = ([side[i] for i in fits] for side in (pairs.sources, pairs.targets))
    with printed_warnings():
        scored = model.token_log_probs(sources, targets)
    say_unknown(model, sources, targets)
    parts = dict(zip(fits, scored, strict=True))
    for index, (source, target) in enumerate(zip(pairs.sources, pairs.targets, strict=True)):
        if index in problems:
            print_error(InputError(f"pair {index + 1} {problems[index]}"))
            click.echo("\t".join([str(source), target, *[""] * (1 + tokens)]))
            continue
        log_probs = parts[index]
        columns = [str(source), target, f"{log_probs.sum():.4f}"]
        if tokens:
            names = [*model.preprocessor.target_tokenizer.split_text(target), "[END]"]
            marked = zip(names, log_probs, strict=True)
            columns.append(" ".join(f"{name}:{log_prob:.4f}" for name, log_prob in marked))
        click.echo("\t".join(columns))
    if problems or any(math.isnan(part.sum()) for part in scored):
        sys.exit(1)


@click.command(cls=Command)
@run_argument
@click.argument("text")
@click.argument("picture", type=OUTPUT)
@generation_options
def attention(run: Any, text: str, picture: Path, **options: Any) -> None:
    """Draw where the model RUN_DIR looks while it writes the target of TEXT.

    PICTURE is a .png or .svg file.

    \b
    Example:
      keras-seq2seq attention runs/demo pronunciation attention.png
    """
    from keras_seq2seq.pictures import draw_attention

    settings = generation_settings(options, BEST_ALONE)
    with printed_warnings():
        draw_attention(run.load_model(), text, picture, settings)
    print_written(picture)


@click.command(cls=Command)
@run_argument
@click.argument("text")
@click.argument("picture", type=OUTPUT)
@click.option("--prefix", default="", help="What the target begins with.")
@generation_options
def tree(run: Any, text: str, picture: Path, prefix: str, **options: Any) -> None:
    """Draw every hypothesis of the search for the target of TEXT.

    PICTURE is a .png or .svg file. The beam size is 4 if none is given.

    \b
    Example:
      keras-seq2seq tree runs/demo hello tree.svg --beam-size 3
    """
    from keras_seq2seq.pictures import draw_search_tree

    settings = generation_settings(options, BEST_ALONE, num_beams=4)
    with printed_warnings():
        draw_search_tree(run.load_model(), text, picture, settings, prefix)
    print_written(picture)
