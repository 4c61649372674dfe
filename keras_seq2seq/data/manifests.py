"""Lists of signal files with their texts: which sound or feature file says what.

```
captions.tsv                 clips/a.npy<TAB>a red ball       files relative to the list
captions.tsv FOLDER          a<TAB>a red ball                 FOLDER/a.npy
metadata.csv, .jsonl         columns file_name and text       as of audio folders
FOLDER                       with metadata.csv or .jsonl, or wav.scp and text (Kaldi)
```

A file that occurs with several texts has several right answers.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.data.readers import Pairs, read_lines
from keras_seq2seq.data.signals import ARRAY_SUFFIX, SOUND_SUFFIXES, read_signal, sound_format
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.errors import InputError

FILE_COLUMNS = ("file_name", "file", "path", "audio")
TEXT_COLUMNS = ("text", "transcription", "transcript", "sentence", "caption")

# Below this amplitude a recording holds nothing.
SILENCE = 1e-4

# `(place, file or name, text)`.
Row = tuple[str, str, str]


def read_manifest(
    path: str | Path,
    kind: str,
    *,
    folder: str | Path | None = None,
    others: Sequence[str | Path] = (),
    strict: bool = False,
) -> tuple[Pairs, list[str]]:
    """Reads a list of signal files and their texts, and looks into every file.

    An entry is left out, and counted in the report, if its file is missing, cannot be read,
    is empty, holds NaN, is silent or has another number of features than the first, or if
    its text is empty. A file of `folder` that neither this list nor `others` name is counted
    too.

    Args:
        path: The list, or a folder that holds one, in a form that the module names.
        kind: `"features"` for `.npy` files `(frames, features)`, `"waveform"` for sound.
        folder: Where files are that the list names relatively, with or without their ending.
            Defaults to the folder of the list.
        others: Lists of files of the same folder, such as of validation.
        strict: bool. The first such entry is an error. Defaults to `False`.

    Returns:
        `Pairs` whose sources are paths, and the lines of the report.

    Raises:
        InputError: If the list cannot be read, or nothing in it can be used.
    """
    path = Path(path)
    base = Path(folder) if folder is not None else (path if path.is_dir() else path.parent)
    if folder is not None and not base.is_dir():
        raise InputError(f"{base}: no such folder. Give the folder of the signal files.")
    skipped = Skipped(strict)
    check = _SignalCheck(kind)
    pairs = Pairs([], [])
    named = set()
    for place, name, text in _rows(path, skipped):
        file = _find(base, name, kind)
        named.add(file)
        if not text.strip():
            skipped.add(place, "no text", name)
        elif "\t" in text:
            skipped.add(place, "a tab in the text", name)
        elif reason := check(file):
            skipped.add(place, *reason)
        else:
            pairs.sources.append(str(file))
            pairs.targets.append(text)
    if folder is not None:
        for other in others:
            named |= {_find(base, name, kind) for _, name, _ in _rows(Path(other), Skipped())}
        for file in sorted(base.iterdir()):
            if file.suffix.lower() in _suffixes(kind) and file not in named:
                skipped.add(str(file), "a file without a text")
    if not len(pairs):
        reasons = " ".join(skipped.lines()) or "It is empty."
        raise InputError(f"{path}: no entry can be used. {reasons}")
    return pairs, [*skipped.lines(), *check.notes()]


def _rows(path: Path, skipped: Skipped) -> Iterator[Row]:
    if not path.is_dir():
        reader = {".csv": _csv_rows, ".jsonl": _json_rows}.get(path.suffix, _tab_rows)
        yield from reader(path, skipped)
        return
    for name, reader in (("metadata.csv", _csv_rows), ("metadata.jsonl", _json_rows)):
        if (path / name).exists():
            yield from reader(path / name, skipped)
            return
    if not (path / "wav.scp").exists() and not (path / "feats.scp").exists():
        raise InputError(
            f"{path}: has neither metadata.csv, metadata.jsonl, nor wav.scp. Give a list of "
            "files and texts."
        )
    yield from _kaldi_rows(path, skipped)


def _tab_rows(path: Path, skipped: Skipped) -> Iterator[Row]:
    for number, line in enumerate(read_lines(path), 1):
        place = f"{path}, line {number}"
        columns = line.split("\t")
        if len(columns) != 2:
            skipped.add(place, "not two columns", f"{len(columns)}: {line[:40]!r}")
            continue
        yield place, columns[0], columns[1]


def _csv_rows(path: Path, skipped: Skipped) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO("\n".join(read_lines(path)), newline=""))
    columns = reader.fieldnames or []
    file_column = _column(path, columns, FILE_COLUMNS)
    text_column = _column(path, columns, TEXT_COLUMNS)
    for row in reader:
        place = f"{path}, line {reader.line_num}"
        if None in row or None in row.values():
            skipped.add(place, "another number of columns than the header")
            continue
        yield place, row[file_column], row[text_column]


def _json_rows(path: Path, skipped: Skipped) -> Iterator[Row]:
    for number, line in enumerate(read_lines(path), 1):
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
            file = row[_column(path, list(row), FILE_COLUMNS)]
            text = row[_column(path, list(row), TEXT_COLUMNS)]
        except (ValueError, TypeError, AttributeError) as error:
            skipped.add(place, "no JSON object with a file and a text", str(error))
            continue
        yield place, str(file), str(text)


def _kaldi_rows(folder: Path, skipped: Skipped) -> Iterator[Row]:
    scp = folder / ("wav.scp" if (folder / "wav.scp").exists() else "feats.scp")
    texts = dict(_split(line) for line in read_lines(folder / "text"))
    for number, line in enumerate(read_lines(scp), 1):
        place = f"{scp}, line {number}"
        key, file = _split(line)
        if file.endswith("|") or ".ark" in file:
            skipped.add(place, "a command or archive, not a file", file[:40])
        elif key not in texts:
            skipped.add(place, "no text", key)
        else:
            yield place, file, texts.pop(key)
    for key in texts:
        skipped.add(f"{folder / 'text'}", "a text without a file", key)


def _split(line: str) -> tuple[str, str]:
    key, _, rest = line.strip().partition(" ")
    return key, rest.strip()


def _column(path: Path, columns: Any, known: tuple[str, ...]) -> str:
    for name in known:
        if name in columns:
            return name
    raise InputError(
        f"{path}: expected a column {' or '.join(known)}. Received: {', '.join(columns)}."
    )


def _suffixes(kind: str) -> tuple[str, ...]:
    return (ARRAY_SUFFIX,) if kind == "features" else (*SOUND_SUFFIXES, ARRAY_SUFFIX)


def _find(base: Path, name: str, kind: str) -> Path:
    """The file of an entry; with the first ending that exists if it is named without."""
    file = base / name
    for suffix in _suffixes(kind):
        if not file.exists() and (twin := base / f"{name}{suffix}").exists():
            return twin
    return file


class _SignalCheck:
    """Called on a file: why it cannot be used, as reason and detail, or nothing."""

    def __init__(self, kind: str):
        self.kind = kind
        self.shape: tuple[int, ...] | None = None
        self.rates: dict[int, int] = {}
        # A file with several texts is looked into once.
        self.found: dict[Path, tuple[str, str] | None] = {}

    def __call__(self, file: Path) -> tuple[str, str] | None:
        if file not in self.found:
            self.found[file] = self._look_into(file)
        return self.found[file]

    def _look_into(self, file: Path) -> tuple[str, str] | None:
        if not file.is_file():
            return "no such file", str(file)
        try:
            array = read_signal(file, None if self.kind == "features" else _rate(file))
        except InputError as error:
            return "a file that cannot be read", str(error)
        if not array.size:
            return "an empty file", str(file)
        if not np.isfinite(array).all():
            return "NaN or infinity", str(file)
        if self.kind == "features":
            return self._check_shape(file, array.shape[1:])
        if array.ndim != 1:
            return "not one row of samples", f"{file} {array.shape}"
        if np.abs(array).max() < SILENCE:
            return "silence", str(file)
        if file.suffix != ARRAY_SUFFIX:
            self.rates[_rate(file)] = self.rates.get(_rate(file), 0) + 1
        return None

    def _check_shape(self, file: Path, shape: tuple[int, ...]) -> tuple[str, str] | None:
        if not shape:
            return "one axis where frames have two", str(file)
        self.shape = self.shape or shape
        if shape != self.shape:
            return "another shape than the first file", f"{file}: {shape}, not {self.shape}"
        return None

    def notes(self) -> list[str]:
        """What is done to files that are used."""
        if len(self.rates) < 2:
            return []
        listed = ", ".join(f"{count} of {rate} Hz" for rate, count in self.rates.items())
        return [f"Sample rates differ: {listed}. All are resampled to that of the model."]


def _rate(file: Path) -> int:
    return sound_format(file)[1] if file.suffix.lower() in SOUND_SUFFIXES else 1
