"""Rows of tables: fields of TSV and CSV, records of JSON Lines, and the columns that are asked
for, by name or number. Lines in are rows out and lines that are named: none is lost."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.errors import InputError

# `(where, number, values)`: `"pairs.tsv, line"`, 7 and the values as they are in the file.
Row = tuple[str, int, Sequence[Any]]

# A field over more lines is taken for a quotation mark that is not closed.
MOST_LINES = 10_000
# A field over so many lines that all look like rows, likewise.
FEWEST_ROWS = 3

# More than the length of a file in memory; no limit of the module `csv` by its own accord.
_NO_LIMIT = 2**31 - 1


def kind_of(path: Path) -> str:
    """`"tsv"`, `"csv"`, `"jsonl"` or the ending of another form, without `.gz`."""
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    ending = name.suffix.lower().removeprefix(".")
    return {"ndjson": "jsonl", "json": "jsonl"}.get(ending, ending)


def tab_fields(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Number from 1, and fields of each line of a TSV; a quotation mark is a character like
    any other."""
    return ((number, line.split("\t")) for number, line in enumerate(lines, 1))


def comma_fields(
    where: str, lines: Sequence[str], skipped: Skipped
) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line, and fields of each row of a CSV.

    A row that is not well-formed (a quotation mark that is not closed, or that ends before
    its field) is left out as the one line where it begins, and reading goes on after it. A
    row over several lines is noted; one whose lines look like rows is left out.
    """
    start, width = 0, 0
    while start < len(lines):
        # Where the last whole row ended, which what feeds the reader looks at.
        end = [start]
        reader = csv.reader(_fed(lines, start, end), strict=True)
        try:
            while (row := _next_row(reader)) is not None:
                begin, end[0] = end[0], start + reader.line_num
                width = width or len(row)
                of_row = lines[begin : end[0]]
                if len(of_row) == 1 or not _is_several(
                    where, of_row, begin + 1, width, skipped
                ):
                    yield begin + 1, row
        except csv.Error as error:
            reason = "broken CSV, is a quotation mark not closed"
            shown = f"{error}: {lines[end[0]][:40]!r}"
            skipped.add(f"{where} {end[0] + 1}", reason, shown)
            start = end[0] + 1
        else:
            return


def _fed(lines: Sequence[str], start: int, end: list[int]) -> Iterator[str]:
    for number in range(start, len(lines)):
        if number - end[0] > MOST_LINES:
            raise csv.Error(f"a field of more than {MOST_LINES:,} lines")
        yield lines[number].replace("\r", " ") + "\n"


def _next_row(reader: Any) -> list[str] | None:
    """The next row, of any length; the limit of the module is that of the process."""
    limit = csv.field_size_limit(_NO_LIMIT)
    try:
        return next(reader, None)
    finally:
        csv.field_size_limit(limit)


def _is_several(
    where: str, lines: Sequence[str], number: int, width: int, skipped: Skipped
) -> bool:
    """Whether these lines of one row are several rows, which leaves them out."""
    inner = lines[1:-1]
    count, place = len(lines), f"{where} {number}"
    if len(inner) >= FEWEST_ROWS and all(line.count(",") == width - 1 for line in inner):
        reason = "a field whose lines look like rows, is a quotation mark not closed"
        skipped.add(place, reason, f"{count} lines: {lines[0][:40]!r}", count)
        return True
    skipped.note(place, "lines that go on the row before them", f"{count} lines", count - 1)
    return False


def column_rows(
    path: Path,
    fields: Iterator[tuple[int, list[str]]],
    names: Sequence[str],
    skipped: Skipped,
    header: bool = True,
) -> Iterator[Row]:
    """Rows of the named columns.

    ```
    header   lemma  form  features
    names    ["lemma,features", "form"], or ["1,3", "2"], which need no header
    values   ["go V;PST", "went"]
    ```

    Args:
        path: For messages.
        fields: As of `tab_fields`.
        names: Column names or numbers from 1; several with commas between are joined by a
            space.
        skipped: Where rows of another width go.
        header: bool. Whether the first row is a header. Defaults to `True`.

    Raises:
        InputError: If there is no such column.
    """
    first = next(fields, None)
    if first is None:
        return
    number, columns = first
    chosen = [_chosen(path, name, columns, header) for name in names]
    where = f"{path}, line"
    if all(map(is_number, names)):
        what = "as the header" if header else "as data, not as a header"
        skipped.note(f"{where} {number}", f"the first line {what}", " | ".join(columns)[:60])

    def rows() -> Iterator[tuple[int, list[str]]]:
        if not header:
            yield number, columns
        yield from fields

    for number, row in rows():
        if len(row) != len(columns):
            reason = f"not {len(columns)} columns as the {'header' if header else 'first line'}"
            shown = repr(" ".join(row)[:40])
            skipped.add(f"{where} {number}", reason, f"{len(row)}: {shown}")
        else:
            values = [
                row[places[0]] if len(places) == 1 else " ".join(row[i] for i in places)
                for places in chosen
            ]
            yield where, number, values


def is_number(name: str) -> bool:
    """Whether this names columns by their numbers, such as `"2"` or `"1,3"`."""
    return re.fullmatch(r"[0-9]+(,[0-9]+)*", name) is not None


def _chosen(path: Path, name: str, columns: Sequence[str], header: bool) -> list[int]:
    """Places of the columns of a name."""
    if header and name in columns:
        return [columns.index(name)]
    places = []
    for part in name.split(","):
        if header and part in columns:
            places.append(columns.index(part))
        elif is_number(part) and 1 <= int(part) <= len(columns):
            places.append(int(part) - 1)
        else:
            has = "Its header has" if header else "Its first line has"
            listed = ", ".join(columns) if header else f"{len(columns)} columns"
            raise InputError(
                f"{path}: no column {part!r}. {has}: {listed}. Name the columns with "
                "--source-column, --target-column and --weight-column: all by numbers where "
                "there is no header."
            )
    return places


def json_records(
    where: str, lines: Iterable[str], skipped: Skipped
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number, and the object of each line of a JSON Lines file."""
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            skipped.add(f"{where} {number}", "broken JSON", str(error))
            continue
        if isinstance(record, dict):
            yield number, record
        else:
            skipped.add(f"{where} {number}", "no JSON object", repr(line[:40]))


def value_of(record: Mapping[str, Any], name: str) -> Any:
    """`record["a.b"]`, else `record["a"]["b"]`; for `"a,b"` both, joined by a space.

    Raises:
        KeyError: If there is no such key.
    """
    try:
        return _nested(record, name)
    except KeyError:
        if "," not in name:
            raise
    parts = [_nested(record, part) for part in name.split(",")]
    return " ".join(parts) if all(isinstance(part, str) for part in parts) else parts


def _nested(record: Mapping[str, Any], name: str) -> Any:
    if name in record:
        return record[name]
    head, _, rest = name.partition(".")
    inner = record[head] if head in record else None
    if not rest or not isinstance(inner, Mapping):
        raise KeyError(name)
    return _nested(inner, rest)
