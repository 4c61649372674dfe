"""The command `pack`: corpora into shards."""

import os
from pathlib import Path

import click

from keras_seq2seq.errors import InputError
from keras_seq2seq.files import check_folder, clear_leftovers

from .options import PATH, console
from .pairs import data_options, read_texts, weight_option


@click.command()
@click.argument("files", nargs=-1, required=True, type=PATH)
@click.option("--output", "-o", "folder", type=click.Path(path_type=Path), help="The folder.")
@click.option(
    "--shards",
    type=click.IntRange(1, 99_999),
    default=8,
    show_default=True,
    help="Files of pairs, of about the same number each.",
)
@click.option("--check", is_flag=True, help="Compare all bytes of the packs FILES, and stop.")
@data_options
@weight_option
def pack(
    files: tuple[Path, ...],
    folder: Path | None,
    shards: int,
    check: bool,
    source_column: str | None,
    target_column: str | None,
    strict: bool,
    weight_column: str | None,
) -> None:
    """Write the pairs of FILES, corpora as of `train`, into one folder of shards.

    The folder has all that training needs, with counts and fingerprints: TFRecord files of
    tf.train.Example and where each record is. A run on it sees the batches that it would see
    on FILES.

    \b
    Examples:
      keras-seq2seq pack 'web-*.tsv.gz' news.tsv --output corpus.pack
      keras-seq2seq pack train.en.gz train.de.gz --output corpus.pack --shards 64
      keras-seq2seq train corpus.pack --run-dir runs/first
      keras-seq2seq pack --check corpus.pack
    """
    from keras_seq2seq.data import read_pack, write_pack

    if check:
        _check_alone()
        for file in files:
            _say(f"{file}: {len(read_pack(file, whole=True)):,} pairs, all bytes as written.")
        return
    if folder is None:
        raise InputError("--output is missing: the folder that the shards are written to.")
    if os.path.lexists(folder):
        raise InputError(f"{folder} exists. Choose another --output, or delete it first.")
    check_folder(folder.parent)
    for line in clear_leftovers(folder.parent):
        _say(line)
    pairs = read_texts(files, strict, (source_column, target_column), weight_column)
    if pairs.repeats is not None:
        raise InputError(
            "A pack has every pair once. Give the number of times when you train: "
            f"{folder}:3, a pack for each."
        )
    record = write_pack(folder, pairs, shards, [str(file) for file in files])
    count = len(record["shards"])
    _say(f"Written: {folder} ({record['pairs']:,} pairs, {count} shard{'s'[: count != 1]})")


def _check_alone() -> None:
    """Refuses options of writing beside --check."""
    ctx = click.get_current_context()
    for parameter in ctx.command.params:
        name = parameter.name or ""
        given = ctx.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE
        if given and name not in ("files", "check"):
            raise InputError(f"{parameter.opts[0]} is about writing a pack; --check reads one.")


def _say(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)
