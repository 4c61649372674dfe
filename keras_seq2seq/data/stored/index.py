"""The index of a corpus: made when it is first read, kept for the next time, made anew when
its files change.

```
pairs.tsv.index/     beside the data, or in the user's cache where its folder cannot be written
  index.json         of which files, how they were, what was left out of them
  offsets.npy        where each pair is, 8 bytes, and how many bytes it has, 4
  sizes.npy
  texts.tsv          pairs that are not in the file as a run takes them
  weights.npy        what each pair weighs, if a column says so
  source-....npy     token lengths, 2 bytes, by the fingerprint of a tokenizer
  target-....npy
```

Of small files it is kept in memory.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.data.disk import read_array, require_file
from keras_seq2seq.data.readers import Pairs
from keras_seq2seq.data.rows import report_of, text_pair
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.data.stored.tabs import index_tabs
from keras_seq2seq.data.stored.texts import PairFile, StoredTexts, Texts
from keras_seq2seq.data.stored.writer import OFFSETS, SIZES, TEXTS, WEIGHTS, IndexWriter
from keras_seq2seq.data.tables import Row
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import aside, clear_leftovers

# Bytes of files from which on their index is kept on the disk.
LARGE = 2**24
# How many a compressed byte stands for, about.
_COMPRESSION = 4

_VERSION = 1
_RECORD = "index.json"
_SAMPLE = 2**16


def stored_pairs(
    name: str,
    files: Sequence[Path],
    rows: Callable[[Skipped], Iterator[Row]],
    skipped: Skipped,
    *,
    key: Sequence[Any] = (),
    tabs: bool = False,
) -> Pairs:
    """The pairs of a corpus as `StoredTexts`.

    Args:
        name: What it is called in messages.
        files: The files that it is read from.
        rows: What reads it: where it counts what is left out -> rows.
        skipped: Where what is left out is counted, and said where the index is.
        key: What beside the files says which rows there are, such as names of columns.
        tabs: bool. Whether a row is a line `source<TAB>target` of the first file, which is
            not compressed. Defaults to `False`.

    Raises:
        InputError: If a file cannot be read or no entry can be used, or the index cannot be
            written.
    """
    files = [require_file(file) for file in files]
    tabs = tabs and os.path.isfile(files[0])  # Of a pipe nothing can be read twice.
    before = _states(files)
    original = Texts(files[0] if tabs else b"")
    own = Skipped(skipped.strict)

    def fill(writer: IndexWriter) -> None:
        if not (tabs and index_tabs(files[0], writer, own)):
            for row in rows(own):
                if pair := text_pair(row, own):
                    writer.add(*pair)
        report_of(name, writer, own)
        skipped.add_all(own.to_dict())

    if _size(before, files) < LARGE:
        writer = IndexWriter(None)
        fill(writer)
        arrays = writer.arrays()
        file = PairFile(original, Texts(writer.texts), arrays[OFFSETS], arrays[SIZES])
        return _as_pairs(file, arrays)
    folder = _folder_of(files, key)
    found = _load(folder, before, skipped)
    if found is None:
        with aside(folder) as new:
            new.mkdir()
            writer = IndexWriter(new)
            fill(writer)
            writer.save()
            if _states(files) != before:
                raise InputError(f"{name}: was changed while it was read. Start again.")
            record = {"version": _VERSION, "files": before, "skipped": own.to_dict()}
            (new / _RECORD).write_text(json.dumps(record), "utf-8")
            if folder.exists():
                os.rename(folder, new.with_name("replaced"))
            os.rename(new, folder)
        clear_leftovers(folder.parent)
        found = _arrays(folder)
        beside = folder.parent == files[0].absolute().parent
        where = "" if beside else ", as the folder of the data cannot be written"
        skipped.say(f"Indexed {len(writer):,} pairs of {name}: {folder}{where}.")
    texts = folder / TEXTS
    rewritten = Texts(texts if texts.exists() else b"")
    file = PairFile(original, rewritten, found[OFFSETS], found[SIZES], folder=folder)
    return _as_pairs(file, found)


def _as_pairs(file: PairFile, arrays: dict[str, np.ndarray]) -> Pairs:
    return Pairs(StoredTexts([file], 0), StoredTexts([file], 1), [], arrays.get(WEIGHTS))


def _arrays(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of an index, not read before they are asked for."""
    return {
        name: read_array(folder / name, "r")
        for name in (OFFSETS, SIZES, WEIGHTS)
        if (folder / name).exists()
    }


def _load(
    folder: Path, states: list[list[Any]], skipped: Skipped
) -> dict[str, np.ndarray] | None:
    """The arrays of an index, what it left out counted; `None` if it is not of these files as
    they are, is broken, or has left out what `strict` does not take."""
    try:
        record = json.loads((folder / _RECORD).read_text("utf-8"))
        if record["version"] != _VERSION or record["files"] != states:
            return None
        if skipped.strict and record["skipped"]["errors"]:
            return None
        arrays = _arrays(folder)
        if len({len(values) for values in arrays.values()}) != 1 or SIZES not in arrays:
            return None
        skipped.add_all(record["skipped"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return arrays


def _states(files: Sequence[Path]) -> list[list[Any]]:
    """Size, time and some bytes of each file: tells whether it is as it was."""
    return [_state(file) for file in files]


def _state(file: Path) -> list[Any]:
    status = os.stat(file)
    digest = hashlib.sha256()
    if os.path.isfile(file):  # Not of a pipe, which gives its bytes once.
        with open(file, "rb") as content:
            for place in (0, status.st_size // 2, max(0, status.st_size - _SAMPLE)):
                content.seek(place)
                digest.update(content.read(_SAMPLE))
    return [str(file.absolute()), status.st_size, status.st_mtime_ns, digest.hexdigest()]


def _size(states: list[list[Any]], files: Sequence[Path]) -> int:
    """Bytes of texts, about."""
    return sum(
        state[1] * (_COMPRESSION if file.suffix.lower() == ".gz" else 1)
        for state, file in zip(states, files, strict=True)
    )


def _folder_of(files: Sequence[Path], key: Sequence[Any]) -> Path:
    """Where the index of these files is kept."""
    first = files[0].absolute()
    given = [item for item in [*map(str, files[1:]), *key] if item is not None]
    name = f"{first.name}.{_short(given)}.index" if given else f"{first.name}.index"
    if os.access(first.parent, os.W_OK):
        return first.with_name(name)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "keras_seq2seq" / _short([str(first.parent)]) / name


def _short(values: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps([*map(str, values)]).encode()).hexdigest()[:8]
