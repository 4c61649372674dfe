"""Lists of signal files with their texts: which sound or feature file says what.

```
captions.tsv                 clips/a.npy<TAB>a red ball       files relative to the list
captions.tsv FOLDER          a<TAB>a red ball                 FOLDER/a.npy
train.tsv clips              a header with path and sentence  as of Common Voice
metadata.csv, .jsonl         columns file_name and text       as of audio folders
manifest.json                audio_filepath, text, offset ... as of NeMo, a line each
FOLDER                       with metadata.csv or .jsonl, or a folder of Kaldi's
```

A file that occurs with several texts has several right answers.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.disk import files_in, is_file, is_folder
from keras_seq2seq.data.kaldi_folders import is_kaldi_folder, kaldi_rows
from keras_seq2seq.data.readers import Pairs
from keras_seq2seq.data.rows import report_of, take_text
from keras_seq2seq.data.signal_check import ROUNDING, SignalCheck
from keras_seq2seq.data.signal_files import (
    ARRAY_SUFFIX,
    SOUND_SUFFIXES,
    segment_name,
    signal_file,
    sound_format,
)
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.data.tables import (
    Row,
    column_rows,
    comma_fields,
    is_number,
    json_records,
    kind_of,
    tab_fields,
    value_of,
)
from keras_seq2seq.data.text import NotText, clean_text, read_text_lines
from keras_seq2seq.errors import InputError

FILE_COLUMNS = ("file_name", "file", "path", "audio", "audio_filepath")
TEXT_COLUMNS = ("text", "transcription", "transcript", "sentence", "caption")
# In a manifest of NeMo, the only one that cuts.
CUT = "audio_filepath"

Columns = tuple[str | None, str | None]


@checked
def read_manifest(
    path: str | Path,
    kind: str,
    *,
    folder: str | Path | None = None,
    others: Sequence[str | Path] = (),
    strict: bool = False,
    source: str | None = None,
    target: str | None = None,
) -> tuple[Pairs, list[str]]:
    """Reads a list of signal files and their texts, and looks into every file.

    An entry is left out, and counted in the report, if its file is missing, cannot be read,
    is empty, holds NaN, is silent or has another number of features than the first, or if
    its text is none. A file of `folder` that neither this list nor `others` name is counted
    too.

    Args:
        path: The list, or a folder that holds one, in a form that the module names.
        kind: `"features"` for arrays `(frames, features)`, `"waveform"` for sound.
        folder: Where files are that the list names relatively, with or without their ending.
            Defaults to the folder of the list.
        others: Lists of files of the same folder, such as of validation.
        strict: bool. The first such entry is an error. Defaults to `False`.
        source: Column or key of the files, by name or number as of `read_records`. Defaults
            to the names above.
        target: Likewise of the texts.

    Returns:
        `Pairs` whose sources are names of `signal_files`, and the lines of the report.

    Raises:
        InputError: If the list cannot be read, or nothing in it can be used.
    """
    path, columns = Path(path), (source, target)
    base = Path(folder) if folder is not None else (path if is_folder(path) else path.parent)
    if folder is not None and not is_folder(base):
        raise InputError(f"{base}: no such folder. Give the folder of the signal files.")
    skipped, check = Skipped(strict), SignalCheck(kind)
    sources: list[str] = []
    targets: list[str] = []
    lines: list[int] = []
    named = set()
    for where, number, (name, text, *times) in _rows(path, kind, columns, skipped):
        place = f"{where} {number}"
        file = _file_of(place, name, base, kind, skipped)
        if file is None:
            continue
        named.add(signal_file(file).path)
        if isinstance(text, str) and not text.strip():
            skipped.add(place, "no text", str(name))
            continue
        words = take_text("text", text, place, skipped)
        segment = _cut(place, file, times, skipped) if words is not None else None
        if words is None or segment is None:
            continue
        if reason := check(segment):
            skipped.add(place, *reason)
            continue
        sources.append(segment)
        targets.append(words)
        lines.append(number)
    if folder is not None:
        for other in others:
            for _, _, (name, *_) in _rows(Path(other), kind, columns, Skipped()):
                if file := _file_of("", name, base, kind, Skipped()):
                    named.add(signal_file(file).path)
        for found in files_in(base):
            if found.suffix.lower() in _suffixes(kind) and found not in named:
                skipped.add(str(found), "a file without a text")
    pairs = Pairs(sources, targets, lines)
    return pairs, [*report_of(str(path), pairs, skipped), *check.notes()]


def _rows(path: Path, kind: str, columns: Columns, skipped: Skipped) -> Iterator[Row]:
    """Rows `(file, text, begin, end)`, or of the first two alone."""
    if not is_folder(path):
        return _list_rows(path, columns, skipped)
    for name in ("metadata.csv", "metadata.jsonl"):
        if is_file(path / name):
            return _list_rows(path / name, columns, skipped)
    if not is_kaldi_folder(path):
        raise InputError(
            f"{path}: has neither metadata.csv, metadata.jsonl, nor wav.scp. Give a list of "
            "files and texts."
        )
    return kaldi_rows(path, kind, skipped)


def _list_rows(path: Path, columns: Columns, skipped: Skipped) -> Iterator[Row]:
    lines, where, kind = read_text_lines(path), f"{path}, line", kind_of(path)
    if kind == "jsonl":
        yield from _json_rows(where, lines, columns, skipped)
        return
    is_csv = kind == "csv"
    fields = comma_fields(where, lines, skipped) if is_csv else tab_fields(lines)
    header = next(fields, None)
    if header is None:
        return
    fields = itertools.chain([header], fields)
    known = [_known(header[1], names) for names in (FILE_COLUMNS, TEXT_COLUMNS)]
    names = [name or found for name, found in zip(columns, known, strict=True)]
    if is_csv or columns != (None, None) or all(known):
        for name, wanted in zip(names, (FILE_COLUMNS, TEXT_COLUMNS), strict=True):
            if name is None:
                raise InputError(
                    f"{path}: expected a column {' or '.join(wanted)}. Received: "
                    f"{', '.join(header[1])}."
                )
        has_header = is_csv or not all(map(is_number, map(str, names)))
        yield from column_rows(path, fields, [*map(str, names)], skipped, has_header)
        return
    for number, row in fields:
        if len(row) == 2:
            yield where, number, row
        else:
            shown = f"{len(row)}: {lines[number - 1][:40]!r}"
            skipped.add(f"{where} {number}", "not two columns", shown)


def _json_rows(
    where: str, lines: list[str], columns: Columns, skipped: Skipped
) -> Iterator[Row]:
    for number, record in json_records(where, lines, skipped):
        names = [
            name or _known(list(record), known)
            for name, known in zip(columns, (FILE_COLUMNS, TEXT_COLUMNS), strict=True)
        ]
        try:
            values = [value_of(record, name or "") for name in names]
        except KeyError:
            listed = ", ".join(map(str, record))[:60]
            skipped.add(f"{where} {number}", "no file and text", f"there is {listed}")
            continue
        if names[0] == CUT:
            values += _nemo_times(record)
        yield where, number, values


def _nemo_times(record: dict[str, Any]) -> list[Any]:
    """Begin, `None` where it is that of the file, and end."""
    offset: Any = record.get("offset")
    duration: Any = record.get("duration")
    if _is_time(offset) and _is_time(duration):
        return [offset or None, offset + duration]
    return [offset or None, duration]


def _known(columns: Sequence[str], known: tuple[str, ...]) -> str | None:
    return next((name for name in known if name in columns), None)


def _is_time(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value < math.inf


def _cut(place: str, file: str, times: Sequence[Any], skipped: Skipped) -> str | None:
    """The name of the segment, or of the whole file; `None`, and counted, if it is none."""
    begin, end = times or (None, None)
    if any(time is not None and not _is_time(time) for time in (begin, end)) or (
        end is not None and end <= (begin or 0)
    ):
        skipped.add(place, "a segment whose times are none", f"{begin!r}, {end!r}"[:40])
        return None
    if begin is None and (end is None or not _is_longer(file, end)):
        return file
    return segment_name(file, begin or 0, end)


def _is_longer(file: str, seconds: float) -> bool:
    try:
        length, rate = sound_format(file)
    except InputError:
        return False  # The check names it.
    return length / rate > seconds + ROUNDING


def _file_of(place: str, name: Any, base: Path, kind: str, skipped: Skipped) -> str | None:
    """The file of an entry, with the first ending that exists if it is named without;
    `None`, and counted, if the name is none."""
    try:
        if clean_text(name) != str(name).strip():
            raise NotText("holds a tab or a line break")
    except NotText as error:
        skipped.add(place, f"the name of the file {error.reason}", repr(name)[:40])
        return None
    file = base / str(name).strip()
    if is_file(file) or is_file(signal_file(file).path):
        return str(file)
    for suffix in _suffixes(kind):
        for ending in (suffix, suffix.upper()):
            if is_file(twin := file.with_name(f"{file.name}{ending}")):
                return str(twin)
    return str(file)


def _suffixes(kind: str) -> tuple[str, ...]:
    return (ARRAY_SUFFIX,) if kind == "features" else (*SOUND_SUFFIXES, ARRAY_SUFFIX)
