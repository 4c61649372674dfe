"""Any number of corpora as one: files, names with `*`, packs, each as often as it is asked for.

```
news.tsv              each pair once an epoch
news.tsv:3            three times
web-*.tsv.gz:0.5      each file of that name; a half of the pairs, another one every epoch
corpus.pack           a folder of shards
```
"""

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.disk import is_file, is_folder
from keras_seq2seq.data.readers import Pairs
from keras_seq2seq.data.records import Columns, stored_records
from keras_seq2seq.data.rows import SOURCE, TARGET
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.data.stored.packs import is_pack, read_pack
from keras_seq2seq.data.stored.texts import joined
from keras_seq2seq.data.tables import kind_of
from keras_seq2seq.data.text import iterate_lines
from keras_seq2seq.data.tfrecords import stored_tfrecords
from keras_seq2seq.errors import InputError

_TIMES = re.compile(r"(?P<name>.+):(?P<times>[0-9]+(\.[0-9]*)?|\.[0-9]+)")
_MOST_TIMES = 1000


@dataclass(frozen=True)
class Corpus:
    """Files that are read one after the other.

    Attributes:
        name: As it was given, without the number.
        paths: Files and packs.
        times: float. How often each pair comes in an epoch; `None` if it was not said.
    """

    name: str
    paths: tuple[Path, ...]
    times: float | None = None


def corpus(given: str | Path) -> Corpus:
    """What a name stands for.

    Raises:
        InputError: If there is no such file, or the number is none that can be.
    """
    name, times = str(given), None
    match = _TIMES.fullmatch(name)
    if match and not is_file(name):
        name, times = match["name"], float(match["times"])
        if not 0 < times <= _MOST_TIMES:
            raise InputError(
                f"{given}: a pair comes more than 0 and at most {_MOST_TIMES} times an epoch. "
                f"Received: {match['times']}."
            )
    if is_file(name) or is_folder(name) or not glob.has_magic(name):
        return Corpus(name, (Path(name),), times)
    found = tuple(Path(path) for path in sorted(glob.glob(name)) if is_file(path))
    if not found:
        raise InputError(f"{name}: no such file. Check the path.")
    return Corpus(name, found, times)


def are_corpora(given: Sequence[Corpus]) -> bool:
    """Whether each holds pairs by itself; else two files are parallel lines."""
    if len(given) != 2:
        return True
    return all(
        one.times is not None or len(one.paths) > 1 or _holds_pairs(one.paths[0])
        for one in given
    )


def _holds_pairs(path: Path) -> bool:
    """Whether it holds pairs by its name, or a table by its first line."""
    if is_pack(path) or kind_of(path) in ("csv", "jsonl", "tfrecord", "tmx", "po", "dict"):
        return True
    return kind_of(path) == "tsv" and "\t" in next(iterate_lines(path), "")


@checked
def read_corpora(
    given: Sequence[str | Path | Corpus],
    source: str | None = None,
    target: str | None = None,
    *,
    weight: str | None = None,
    strict: bool = False,
) -> tuple[Pairs, list[str]]:
    """Reads pairs from any number of corpora; the texts stay on the disk.

    Args:
        given: Names as the module says, or `Corpus`.
        source, target, weight, strict: As of `read_records`.

    Returns:
        `Pairs` with `repeats` if a pair comes more or less often than once an epoch, and the
        lines of the report.

    Raises:
        InputError: As of `read_records`.
    """
    if isinstance(given, (str, os.PathLike)) or not given:
        raise InputError(f"Corpora must be a list of files. Received: {given!r:.60}.")
    skipped = Skipped(strict)
    parts: list[Pairs] = []
    times: list[float] = []
    for one in given:
        found = one if isinstance(one, Corpus) else corpus(one)
        for path in found.paths:
            parts.append(_read(path, (source, target, weight), skipped))
            times.append(1.0 if found.times is None else found.times)
    return joined(parts, times), skipped.lines()


def _read(path: Path, columns: Columns, skipped: Skipped) -> Pairs:
    if is_pack(path):
        if columns != (None, None, None):
            raise InputError(f"{path}: a pack has no columns; leave the options out.")
        return read_pack(path)
    if ".tfrecord" in path.name:
        if columns[2] is not None:
            raise InputError(f"{path}: no weight is read from TFRecord files.")
        return stored_tfrecords(path, (columns[0] or SOURCE, columns[1] or TARGET), skipped)
    return stored_records(path, columns, skipped)
