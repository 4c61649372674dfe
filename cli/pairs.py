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
        read_manifest,
        read_parallel_records,
        read_records,
        read_tfrecords,
    )

    if len(files) not in (1, 2):
        one = "one file of pairs or two parallel files"
        if kind != "text":
            one = "one list of files and texts, or a list and the folder of the files"
        raise InputError(f"Expected {one}. Received {len(files)}.")
    if kind == "text" and len(files) == 2:
        if columns != (None, None):
            raise InputError("Two parallel files have no columns; leave the options out.")
        pairs, report = read_parallel_records(*files, strict=strict)
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


def read_splits(
    files: tuple[Path, ...],
    validation_file: Path | None,
    test_file: Path | None,
    config: Any,
    strict: bool,
    columns: tuple[str | None, str | None],
) -> Any:
    """The `Splits` of the files of `train`; validation pairs are held out where none are
    given."""
    from keras_seq2seq.data import Splits, split_by_source

    if len(files) not in (1, 2):
        raise InputError(
            "Expected one file or folder of pairs, or two parallel files, or --recipe. "
            f"Received {len(files)} files."
        )
    if config.data.source == "text" and len(files) == 1 and os.path.isdir(files[0]):
        splits = _read_folder(files[0], strict, columns)
    else:
        folder = () if config.data.source == "text" else files[1:]
        lists = [path for path in (files[0], validation_file, test_file) if path]

        def read(*paths: Path | None) -> Any:
            if None in paths:
                return None
            given = [path for path in paths if path]
            return read_data(given, config.data.source, strict, columns, lists)

        splits = Splits(read(*files), read(validation_file, *folder), read(test_file, *folder))
    if splits.validation:
        return splits
    pairs = splits.train
    held_out = min(config.selection.validation_sources, max(1, len(set(pairs.sources)) // 10))
    parts = split_by_source(pairs, validation_sources=held_out, seed=config.run.seed)
    return dataclasses.replace(parts, test=splits.test)


def _read_folder(folder: Path, strict: bool, columns: tuple[str | None, str | None]) -> Any:
    from keras_seq2seq.data import read_folder

    source, target = columns
    if source is None or target is None:
        raise InputError(
            f"{folder}: a folder. Give the endings of its files, such as --source-column en "
            "--target-column de for train.en and train.de."
        )
    splits, report = read_folder(folder, source, target, strict=strict)
    _print_report(report)
    return splits


def _print_report(lines: Sequence[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
