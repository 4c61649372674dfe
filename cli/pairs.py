"""How the commands read pairs: options, one file or several, the parts of a data set."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from keras_seq2seq.errors import InputError

from .options import console


def data_options(command: Callable) -> Callable:
    """Adds the options that say how files of data are read."""
    options = [
        click.option(
            "--source-column",
            help="Column or key of the sources, by name or number, several with commas "
            "between; ending in a folder, language in a translation memory.",
        ),
        click.option("--target-column", help="Likewise of the targets."),
        click.option(
            "--strict",
            is_flag=True,
            help="An entry of the data that cannot be used is an error, not left out.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def read_data(
    files: Sequence[Path],
    kind: str = "text",
    strict: bool = False,
    columns: tuple[str | None, str | None] = (None, None),
    others: Sequence[Path] = (),
) -> Any:
    """The `Pairs` of one list, or of two files, by the kind of the sources; prints what is
    left out. `others` are lists of signal files in the same folder."""
    from keras_seq2seq.data import (
        read_corpora,
        read_manifest,
        read_parallel_records,
        read_records,
        read_tfrecords,
    )
    from keras_seq2seq.data.corpora import corpus
    from keras_seq2seq.data.stored.packs import is_pack

    if len(files) not in (1, 2):
        one = "one file of pairs or two parallel files"
        if kind != "text":
            one = "one list of files and texts, or a list and the folder of the files"
        raise InputError(f"Expected {one}. Received {len(files)}.")
    if kind == "text" and len(files) == 2:
        if columns != (None, None):
            raise InputError("Two parallel files have no columns; leave the options out.")
        pairs, report = read_parallel_records(*files, strict=strict)
    elif kind == "text" and is_pack(files[0]):
        pairs, report = read_corpora([corpus(files[0])], *columns, strict=strict)
    elif kind == "text":
        read = read_tfrecords if ".tfrecord" in files[0].name else read_records
        pairs, report = read(files[0], *columns, strict=strict)
    else:
        folder = files[1] if len(files) == 2 else None
        pairs, report = read_manifest(
            files[0],
            kind,
            folder=folder,
            others=others,
            strict=strict,
            source=columns[0],
            target=columns[1],
        )
    _print_report(report)
    return pairs


def weight_option(command: Callable) -> Callable:
    """Adds the column of what pairs weigh."""
    return click.option(
        "--weight-column",
        help="Column or key of what each pair weighs in the loss, a number above 0.",
    )(command)


def read_splits(
    files: tuple[Path, ...],
    validation_file: Path | None,
    test_file: Path | None,
    config: Any,
    strict: bool,
    columns: tuple[str | None, str | None],
    weight: str | None = None,
) -> Any:
    """The `Splits` of the files of `train`; validation pairs are held out where none are
    given. Training texts stay on the disk."""
    from keras_seq2seq.data import Splits, split_by_source
    from keras_seq2seq.data.different import different_sources

    if not files or (config.data.source != "text" and len(files) > 2):
        raise InputError(
            "Expected one file or folder of pairs, or two parallel files, or corpora of texts, "
            f"or --recipe. Received {len(files)} files."
        )
    if validation_file and config.origins.get("validation_sources") == "option":
        raise InputError(
            "--validation-sources are held out where there is no --validation. Leave one of "
            "them out."
        )
    if config.data.source == "text":
        splits = _text_splits(files, validation_file, test_file, strict, columns, weight)
    else:
        if weight is not None:
            raise InputError("--weight-column is for pairs of texts. Leave it out.")
        lists = [path for path in (files[0], validation_file, test_file) if path]

        def read(*paths: Path | None) -> Any:
            if None in paths:
                return None
            given = [path for path in paths if path]
            return read_data(given, config.data.source, strict, columns, lists)

        folder = files[1:]
        splits = Splits(read(*files), read(validation_file, *folder), read(test_file, *folder))
    if splits.validation:
        return splits
    pairs = splits.train
    different = different_sources(pairs.sources)
    held_out = min(config.selection.validation_sources, max(1, len(different) // 10))
    parts = split_by_source(
        pairs, validation_sources=held_out, seed=config.run.seed, different=different
    )
    return dataclasses.replace(parts, test=splits.test)


def _text_splits(
    files: tuple[Path, ...],
    validation_file: Path | None,
    test_file: Path | None,
    strict: bool,
    columns: tuple[str | None, str | None],
    weight: str | None,
) -> Any:
    from keras_seq2seq.data import Splits
    from keras_seq2seq.data.stored.packs import is_pack

    if len(files) == 1 and os.path.isdir(files[0]) and not is_pack(files[0]):
        if weight is not None:
            raise InputError("A folder of parallel files has no columns: no --weight-column.")
        return _read_folder(files[0], strict, columns)
    train = read_texts(files, strict, columns, weight)
    held_out: list[Any] = [
        None if file is None else read_data([file], "text", strict, columns)
        for file in (validation_file, test_file)
    ]
    return Splits(train, held_out[0], held_out[1])


def read_texts(
    files: tuple[Path, ...],
    strict: bool,
    columns: tuple[str | None, str | None],
    weight: str | None = None,
) -> Any:
    """The `Pairs` of two parallel files or any number of corpora, which stay on the disk;
    prints what is left out."""
    from keras_seq2seq.data import read_corpora, read_parallel_records
    from keras_seq2seq.data.corpora import are_corpora, corpus

    corpora = [corpus(file) for file in files]
    if are_corpora(corpora):
        pairs, report = read_corpora(corpora, *columns, weight=weight, strict=strict)
    elif (*columns, weight) != (None, None, None):
        raise InputError("Two parallel files have no columns; leave the options out.")
    else:
        pairs, report = read_parallel_records(*files, strict=strict, on_disk=True)
    _print_report(report)
    return pairs


def _read_folder(folder: Path, strict: bool, columns: tuple[str | None, str | None]) -> Any:
    from keras_seq2seq.data import read_folder

    source, target = columns
    if source is None or target is None:
        raise InputError(
            f"{folder}: a folder. Give the endings of its files, such as --source-column en "
            "--target-column de for train.en and train.de."
        )
    splits, report = read_folder(folder, source, target, strict=strict, on_disk=True)
    _print_report(report)
    return splits


def _print_report(lines: Sequence[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
