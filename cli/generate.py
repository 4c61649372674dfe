"""The commands that ask a trained model: `generate`, `score`, `attention`, `tree`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings

from .options import (
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


@click.command()
@run_argument
@click.argument("texts", nargs=-1)
@click.option("--file", "file", type=PATH, help="One source a line.")
@click.option("--prefix", help="What every target begins with.")
@click.option(
    "--prefixes", "prefix_file", type=PATH, help="The same for each source, one a line."
)
@click.option("--scores", is_flag=True, help="Print the log probability in front.")
@click.option("--json", "as_json", is_flag=True, help="All of it, one JSON object a source.")
@generation_options
def generate(
    run: Any,
    texts: tuple[str, ...],
    file: Path | None,
    prefix: str | None,
    prefix_file: Path | None,
    scores: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Generate a target for each of TEXTS, or each line of --file or standard input.

    For a model of frames or sound these are paths of files.

    With none of them, and a terminal, asks for one source after the other. One line a
    hypothesis comes out: source, tab, (log probability, tab,) target, and with --alignments a
    tab and pairs of source and target positions, from 0. --json gives log probabilities and
    attention of every token.

    \b
    Examples:
      keras-seq2seq generate runs/demo hello keras
      keras-seq2seq generate runs/demo --beam-size 4 --n-best 2 --scores < words.txt
      keras-seq2seq generate runs/demo hello --prefix "HH AH" --json --alignments
      keras-seq2seq generate runs/demo
      keras-seq2seq generate runs/speech recording.wav
    """
    if texts and file:
        raise InputError("Give either texts or --file, not both.")
    if prefix is not None and prefix_file:
        raise InputError("Give either --prefix or --prefixes, not both.")
    settings = generation_settings(options)
    lines = _source_lines(texts, file)
    prefixes: Any = prefix
    if prefix_file:
        if lines is None:
            raise InputError("--prefixes needs the sources, as arguments or in a file.")
        from keras_seq2seq.data.readers import read_lines

        prefixes = read_lines(prefix_file)
    model = run.load_model()
    model.check_settings(settings)  # Bad settings fail before anybody types.
    if lines is not None:
        print_hypotheses(model, lines, settings, prefixes, scores, as_json)
        return
    click.echo("Type a source and press Enter; an empty line ends.", err=True)
    while line := click.prompt("", prompt_suffix="> ", default="", show_default=False):
        try:
            print_hypotheses(model, [line], settings, prefixes, scores, as_json)
        except InputError as error:
            print_error(error)


def _source_lines(texts: tuple[str, ...], file: Path | None) -> list[str] | None:
    """The sources to decode; `None` means to ask for them."""
    from keras_seq2seq.data.readers import read_texts
    from keras_seq2seq.data.text import one_line_texts, texts_of_lines

    if texts:
        return one_line_texts("argument", texts)
    if file is None and sys.stdin.isatty():
        return None
    if file is None:
        return texts_of_lines("standard input", sys.stdin.buffer.read())
    return read_texts(file)


def print_hypotheses(
    model: Any,
    lines: list[str],
    settings: GenerationSettings,
    prefixes: str | Sequence[str] | None = None,
    scores: bool = False,
    as_json: bool = False,
) -> None:
    """Prints what the model generates, as the command `generate` says."""
    hypotheses = model.search(lines, settings, prefixes=prefixes)
    _print_unknown(model, lines)
    texts = model.texts(hypotheses, lines if settings.replace_unknown else None)
    lengths = model.preprocessor.source_lengths(lines)
    for row, line in enumerate(lines):
        found = [rank for rank, p in enumerate(hypotheses.log_probs[row]) if p > -5e8]
        if as_json:
            described = [
                {"target": texts[row][rank]}
                | _describe(model, settings, hypotheses, row, rank, lengths[row])
                for rank in found
            ]
            content = {"source": line, "hypotheses": described}
            click.echo(json.dumps(content, ensure_ascii=False))
            continue
        for rank in found:
            columns = [line, texts[row][rank]]
            if scores:
                columns.insert(1, f"{hypotheses.log_probs[row, rank]:.4f}")
            if settings.alignments:
                length = hypotheses.lengths[row, rank]
                weights = hypotheses.alignments[row, rank, :length, : lengths[row]]
                pairs = enumerate(weights.argmax(-1))
                columns.append(" ".join(f"{source}-{target}" for target, source in pairs))
            click.echo("\t".join(columns))


def _describe(
    model: Any,
    settings: GenerationSettings,
    hypotheses: Any,
    row: int,
    rank: int,
    source_length: int,
) -> dict[str, Any]:
    tokens = int((hypotheses.token_ids[row, rank] != 0).sum())
    name = model.preprocessor.target_tokenizer.id_to_token
    described = {
        "log_prob": float(hypotheses.log_probs[row, rank]),
        "score": float(hypotheses.scores[row, rank]),
        "tokens": [name(int(i)) for i in hypotheses.token_ids[row, rank, :tokens]],
        "token_log_probs": hypotheses.token_log_probs[row, rank, :tokens].tolist(),
    }
    if settings.alignments:
        # The end of the source is a position too.
        weights = hypotheses.alignments[row, rank, :tokens, : source_length + 1]
        described["alignments"] = weights.tolist()
    return described


def _print_unknown(model: Any, lines: Sequence[str]) -> None:
    unknown = model.preprocessor.count_unknown(lines)
    if unknown:
        shown = ", ".join(f"{token!r} ({count})" for token, count in unknown.items())
        click.echo(f"unknown to the model: {shown}", err=True)


@click.command()
@run_argument
@click.argument("files", nargs=-1, type=PATH)
@click.option("--tokens", is_flag=True, help="Print the log probability of every token too.")
def score(run: Any, files: tuple[Path, ...], tokens: bool) -> None:
    """Score the pairs of FILES: one TSV (source, tab, target) or two parallel text files.

    One line a pair comes out: source, tab, target, tab, log P(target | source), and with
    --tokens a tab and `token:log probability` for every token and the end.

    \b
    Examples:
      keras-seq2seq score runs/demo pairs.tsv
      keras-seq2seq score runs/demo words.txt phonemes.txt --tokens
    """
    pairs = read_data(files, run.source)
    model = run.load_model()
    parts = model.token_log_probs(pairs.sources, pairs.targets)
    _print_unknown(model, pairs.sources)
    for source, target, log_probs in zip(pairs.sources, pairs.targets, parts, strict=True):
        columns = [source, target, f"{log_probs.sum():.4f}"]
        if tokens:
            names = [*model.preprocessor.target_tokenizer.split_text(target), "[END]"]
            marked = zip(names, log_probs, strict=True)
            columns.append(" ".join(f"{name}:{log_prob:.4f}" for name, log_prob in marked))
        click.echo("\t".join(columns))


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

    settings = generation_settings(options)
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

    settings = generation_settings(options, num_beams=4)
    with printed_warnings():
        draw_search_tree(run.load_model(), text, picture, settings, prefix)
    print_written(picture)
