"""Pairs of texts from records with named columns, and from folders of parallel files.

```
pairs.tsv      source<TAB>target                     or a header, and the columns named
pairs.jsonl    {"en": "a cat", "de": "eine Katze"}   an object a line
pairs.csv      en,de                                 a header, then rows
folder/        train.en train.de valid.en ...        as of Moses and fairseq, `.gz` too
```

and from anything that yields dictionaries, such as a Hugging Face `datasets.Dataset` or the
examples of `tensorflow_datasets`. What cannot be used is left out and counted by reason, with
the first places; with `strict` it is an error.
"""

import csv
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_seq2seq.data.readers import Pairs
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.data.splits import Splits
from keras_seq2seq.errors import InputError
from keras_seq2seq.wording import counted

SOURCE, TARGET = "source", "target"

# Names that a part of a folder has in different toolkits.
PARTS = {
    "train": ("train",),
    "validation": ("valid", "validation", "val", "dev"),
    "test": ("test",),
}

# What a line of a run's own files cannot hold.
_BREAKS = re.compile(r"[\t\n\v\f\r]+")

# `(place, source, target)`: values as they are in the file.
Row = tuple[str, Any, Any]


def read_records(
    path: str | Path,
    source: str | None = None,
    target: str | None = None,
    *,
    strict: bool = False,
) -> tuple[Pairs, list[str]]:
    """Reads pairs from a `.jsonl`, `.csv` or TSV file, UTF-8, `.gz` too.

    Tabs and line breaks inside a text become a space, and spaces at its ends go.

    Args:
        path: The file; the ending says what it is, any other than `.jsonl` and `.csv` is TSV.
        source: Column or key of the sources. Defaults to `"source"`; of a TSV, where it is
            not given, to the first of two columns and no header. `"translation.en"` is the
            key `en` of the object `translation`.
        target: Likewise of the targets. Defaults to `"target"`.
        strict: bool. The first entry that cannot be used is an error. Defaults to `False`.

    Returns:
        `Pairs`, and the lines of the report: what was left out and why.

    Raises:
        InputError: If the file cannot be read, lacks a column, or no entry can be used.
    """
    path = Path(path)
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    skipped = Skipped(strict)
    lines = _lines(path)
    names = source or SOURCE, target or TARGET
    if kind in (".jsonl", ".ndjson"):
        rows = _json_rows(lines, names, skipped)
    elif kind == ".csv":
        rows = _csv_rows(path, lines, names, skipped, csv.excel)
    elif source is None and target is None:
        rows = _tab_rows(lines, skipped)
    else:
        rows = _csv_rows(path, lines, names, skipped, _Tabs)
    return collect_pairs(str(path), rows, skipped)


def read_dataset(
    dataset: Iterable[Mapping[str, Any]], source: str, target: str, *, strict: bool = False
) -> tuple[Pairs, list[str]]:
    """Takes pairs from examples that are dictionaries.

    ```python
    read_dataset(datasets.load_from_disk("opus")["train"], "translation.en", "translation.de")
    read_dataset(tfds.load("ted_hrlr_translate/pt_to_en", split="train"), "pt", "en")
    ```

    Args:
        dataset: Such as a Hugging Face `datasets.Dataset`, or a `tf.data.Dataset` of
            dictionaries of strings.
        source: Key of the sources; `"translation.en"` for nested ones.
        target: Key of the targets.
        strict: bool. As of `read_records`.

    Returns:
        `Pairs`, and the lines of the report.

    Raises:
        InputError: If an example lacks a key, or none can be used.
    """
    skipped = Skipped(strict)
    return collect_pairs("the dataset", _dataset_rows(dataset, source, target), skipped)


def read_folder(
    folder: str | Path, source: str, target: str, *, strict: bool = False
) -> tuple[Splits, list[str]]:
    """Reads `train.SOURCE` and `train.TARGET`, and the other parts, of a folder.

    Args:
        folder: Holds `train`, `valid` (or `validation`, `val`, `dev`) and maybe `test`, each
            with the two languages as endings, `.gz` too.
        source: Ending of the sources, such as `"en"`.
        target: Ending of the targets.
        strict: bool. As of `read_records`.

    Returns:
        `Splits` (without validation pairs if the folder has none: an empty part), and the
        lines of the report.

    Raises:
        InputError: If there is no training part, or the files of a part differ in length.
    """
    folder, skipped = Path(folder), Skipped(strict)
    parts: dict[str, Pairs | None] = {}
    for part, names in PARTS.items():
        files = [
            tuple(_either(folder / f"{name}.{end}") for end in (source, target))
            for name in names
        ]
        found = [pair for pair in files if all(file.exists() for file in pair)]
        if not found:
            parts[part] = None
            continue
        one, other = ([*_lines(file)] for file in found[0])
        if len(one) != len(other):
            raise InputError(
                f"{found[0][0]} has {counted(len(one), 'line')} and {found[0][1]} has "
                f"{len(other)}; "
                "parallel files must have the same number of lines."
            )
        rows = (
            (place, line, answer) for (place, line), (_, answer) in zip(one, other, strict=True)
        )
        parts[part], _ = collect_pairs(str(folder), rows, skipped)
    if parts["train"] is None:
        raise InputError(
            f"{folder}: no train.{source} and train.{target}. Give the folder of these files, "
            "and their endings."
        )
    splits = Splits(parts["train"], parts["validation"] or Pairs([], []), parts["test"])
    return splits, skipped.lines()


def overlap(train: Pairs, other: Pairs) -> tuple[int, int]:
    """Pairs of `other` whose source occurs in `train`, and those whose target does as well."""
    answers = train.references()
    rows = [row for row in zip(other.sources, other.targets, strict=True) if row[0] in answers]
    return len(rows), sum(target in answers[source] for source, target in rows)


def collect_pairs(name: str, rows: Iterable[Row], skipped: Skipped) -> tuple[Pairs, list[str]]:
    """The rows that are two texts, and the report of those that are not.

    Raises:
        InputError: If there is none.
    """
    pairs = Pairs([], [])
    for place, *values in rows:
        texts = [_text(value) for value in values]
        for side, value, text in zip((SOURCE, TARGET), values, texts, strict=True):
            if text is None:
                skipped.add(place, f"the {side} is no text", repr(value)[:40])
                break
            if _is_broken(text):
                skipped.add(place, "not UTF-8, convert the file for example with iconv")
                break
            if not text:
                skipped.add(place, f"the {side} is empty")
                break
        else:
            pairs.sources.append(texts[0])
            pairs.targets.append(str(texts[1]))
    if not len(pairs):
        reasons = " ".join(skipped.lines()) or "It is empty."
        raise InputError(f"{name}: no entry can be used. {reasons}")
    return pairs, skipped.lines()


def _is_broken(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)


def _text(value: Any) -> str | None:
    """A text on one line; `None` for what is none."""
    if hasattr(value, "numpy"):  # A tensor of TensorFlow.
        value = value.numpy()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    return _BREAKS.sub(" ", value).strip() if isinstance(value, str) else None


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """`(place, line)`; bytes that are not UTF-8 become lone surrogates, which no text has."""
    if not path.is_file():
        raise InputError(f"{path}: no such file. Check the path.")
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    raw_lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if raw_lines[-1] == b"":
        raw_lines.pop()
    for number, raw in enumerate(raw_lines, 1):
        line = raw.removesuffix(b"\r").decode("utf-8", "surrogateescape")
        yield f"{path}, line {number}", line


class _Tabs(csv.excel_tab):
    """Tabs separate, and a quotation mark is a character like any other."""

    quoting = csv.QUOTE_NONE


def _tab_rows(lines: Iterable[tuple[str, str]], skipped: Skipped) -> Iterator[Row]:
    for place, line in lines:
        columns = line.split("\t")
        if len(columns) == 2:
            yield place, columns[0], columns[1]
        else:
            skipped.add(place, "not two columns (source, tab, target)", _shown(line))


def _csv_rows(
    path: Path,
    lines: Iterable[tuple[str, str]],
    names: tuple[str, str],
    skipped: Skipped,
    dialect: Any,
) -> Iterator[Row]:
    reader = csv.reader((f"{line}\n" for _, line in lines), dialect)
    try:
        header = next(reader, None)
        if header is None:
            return
        missing = [name for name in names if name not in header]
        if missing:
            raise InputError(
                f"{path}: no column {missing[0]!r}. Its header has: {', '.join(header)}. Name "
                "the columns with --source-column and --target-column."
            )
        places = [header.index(name) for name in names]
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            if len(row) != len(header):
                reason = f"not {len(header)} columns as the header"
                skipped.add(place, reason, f"{len(row)}: {_shown(' '.join(row))}")
            else:
                yield place, row[places[0]], row[places[1]]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: broken CSV ({error}).") from error


def _json_rows(
    lines: Iterable[tuple[str, str]], names: tuple[str, str], skipped: Skipped
) -> Iterator[Row]:
    for place, line in lines:
        try:
            record = json.loads(line)
        except ValueError as error:
            skipped.add(place, "broken JSON", str(error))
            continue
        if not isinstance(record, dict):
            skipped.add(place, "no JSON object", _shown(line))
            continue
        values = [_value(record, name) for name in names]
        missing = [name for name, value in zip(names, values, strict=True) if value is None]
        if missing:
            listed = ", ".join(map(str, record))
            skipped.add(place, f"no key {missing[0]!r}", f"there is {listed[:60]}")
        else:
            yield place, values[0], values[1]


def _dataset_rows(
    dataset: Iterable[Mapping[str, Any]], source: str, target: str
) -> Iterator[Row]:
    for number, example in enumerate(dataset, 1):
        values = [_value(example, name) for name in (source, target)]
        for name, value in zip((source, target), values, strict=True):
            if value is None:
                raise InputError(
                    f"Example {number} of the dataset has no {name!r}; it has: "
                    f"{', '.join(map(str, example))}."
                )
        yield f"example {number}", values[0], values[1]


def _value(record: Mapping[str, Any], name: str) -> Any:
    """`record["a.b"]`, else `record["a"]["b"]`; `None` if there is neither."""
    if name in record:
        return record[name]
    head, _, rest = name.partition(".")
    inner = record.get(head) if hasattr(record, "get") else None
    return _value(inner, rest) if rest and isinstance(inner, Mapping) else None


def _either(path: Path) -> Path:
    twin = path.with_name(f"{path.name}.gz")
    return twin if twin.exists() and not path.exists() else path


def _shown(line: str) -> str:
    return repr(line[:40])
