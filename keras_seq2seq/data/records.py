"""Pairs of texts from records with named columns, and from folders of parallel files.

```
pairs.tsv      source<TAB>target                     or columns by name or number
pairs.jsonl    {"en": "a cat", "de": "eine Katze"}   an object a line
pairs.csv      en,de                                 a header, then rows
words.dict     WORD  P H O N E S                     a pronunciation dictionary
memory.tmx     <tu><tuv xml:lang="en"> ...           translation memories
catalog.po     msgid "a cat"                         catalogues of gettext
folder/        train.en train.de valid.en ...        as of Moses and fairseq, `.gz` too
```

and from anything that yields dictionaries, such as a Hugging Face `datasets.Dataset` or the
examples of `tensorflow_datasets`. What cannot be used is left out and counted by reason, with
the first places; with `strict` it is an error.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_seq2seq.data.disk import file_or_gz, is_file
from keras_seq2seq.data.lexicons import is_lexicon, lexicon_rows
from keras_seq2seq.data.readers import Pairs
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.data.splits import Splits
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
from keras_seq2seq.data.text import CONTROLS, NotText, clean_text, read_text_lines
from keras_seq2seq.data.translations import po_rows, tmx_rows
from keras_seq2seq.errors import InputError
from keras_seq2seq.wording import counted

SOURCE, TARGET = "source", "target"

# Names that a part of a folder has in different toolkits.
PARTS = {
    "train": ("train",),
    "validation": ("valid", "validation", "val", "dev"),
    "test": ("test",),
}

# First lines that say what the columns are; a file has them with columns that are named.
HEADERS = {(SOURCE, TARGET), ("src", "tgt"), ("input", "output"), ("word", "pronunciation")}

# A longer text is more likely a mistake of its file than a text.
LONG = 100_000


def read_records(
    path: str | Path,
    source: str | None = None,
    target: str | None = None,
    *,
    strict: bool = False,
) -> tuple[Pairs, list[str]]:
    """Reads pairs from a file in one of the forms above, UTF-8, `.gz` too.

    Tabs and line breaks inside a text become a space, and spaces at its ends go.

    Args:
        path: The file; the ending says what it is, any other than those above is TSV.
        source: Column or key of the sources. Defaults to `"source"`; of a TSV, where it is
            not given, to the first of two columns and no header. `"translation.en"` is the
            key `en` of the object `translation`; `"2"` the second column (a TSV has no header
            then); `"lemma,features"` or `"1,3"` both, with a space between. Of a translation
            memory, its language.
        target: Likewise of the targets. Defaults to `"target"`.
        strict: bool. The first entry that cannot be used is an error. Defaults to `False`.

    Returns:
        `Pairs`, and the lines of the report: what was left out and why.

    Raises:
        InputError: If the file cannot be read, lacks a column, or no entry can be used.
    """
    path, skipped = Path(path), Skipped(strict)
    kind, columns = kind_of(path), (source, target)
    if kind in ("tmx", "po", "pot"):
        rows = tmx_rows(path, columns) if kind == "tmx" else po_rows(path, columns, skipped)
    else:
        rows = _rows_of_lines(path, kind, read_text_lines(path), columns, skipped)
    return collect_pairs(str(path), rows, skipped)


def _rows_of_lines(
    path: Path,
    kind: str,
    lines: list[str],
    columns: tuple[str | None, str | None],
    skipped: Skipped,
) -> Iterator[Row]:
    where, names = f"{path}, line", (columns[0] or SOURCE, columns[1] or TARGET)
    if kind == "jsonl":
        return _json_rows(where, lines, names, skipped)
    if kind == "csv":
        return column_rows(path, comma_fields(where, lines, skipped), names, skipped)
    if columns != (None, None):
        header = not all(map(is_number, names))
        return column_rows(path, tab_fields(lines), names, skipped, header)
    if is_lexicon(path):
        return lexicon_rows(where, lines, skipped)
    return _tab_rows(where, lines, skipped)


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
            tuple(file_or_gz(folder / f"{name}.{end}") for end in (source, target))
            for name in names
        ]
        found = [pair for pair in files if all(map(is_file, pair))]
        if not found:
            parts[part] = None
            continue
        parts[part], _ = collect_pairs(str(folder), parallel_rows(*found[0]), skipped)
    if parts["train"] is None:
        raise InputError(
            f"{folder}: no train.{source} and train.{target}. Give the folder of these files, "
            "and their endings."
        )
    splits = Splits(parts["train"], parts["validation"] or Pairs([], []), parts["test"])
    return splits, skipped.lines()


def read_parallel_records(
    source_path: str | Path, target_path: str | Path, *, strict: bool = False
) -> tuple[Pairs, list[str]]:
    """Reads two files of which line i of one belongs to line i of the other, `.gz` too.

    Args:
        source_path: The sources.
        target_path: The targets.
        strict: bool. As of `read_records`.

    Returns:
        `Pairs`, and the lines of the report.

    Raises:
        InputError: If a file cannot be read, their numbers of lines differ, or no line can be
            used.
    """
    skipped = Skipped(strict)
    name = f"{source_path} and {target_path}"
    return collect_pairs(name, parallel_rows(source_path, target_path), skipped)


def parallel_rows(source_path: str | Path, target_path: str | Path) -> Iterator[Row]:
    """The lines of two files; `InputError` if there are not as many of one as of the other."""
    sources, targets = map(read_text_lines, (source_path, target_path))
    if len(sources) != len(targets):
        raise InputError(
            f"{source_path} has {counted(len(sources), 'line')} and {target_path} has "
            f"{len(targets)}; parallel files must have the same number of lines."
        )
    for number, row in enumerate(zip(sources, targets, strict=True), 1):
        yield f"{source_path} and {target_path}, line", number, row


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
    for where, number, values in rows:
        texts = []
        for side, value in zip((SOURCE, TARGET), values, strict=True):
            text = take_text(side, value, f"{where} {number}", skipped)
            if text is None:
                break
            texts.append(text)
        else:
            pairs.sources.append(texts[0])
            pairs.targets.append(texts[1])
            pairs.lines.append(number)
    return pairs, report_of(name, pairs, skipped)


def take_text(side: str, value: Any, place: str, skipped: Skipped) -> str | None:
    """`clean_text`; `None`, and counted, where it is none. What is strange is noted."""
    try:
        text = clean_text(value)
    except NotText as error:
        if error.reason == "is not UTF-8":
            skipped.add(place, "not UTF-8, convert the file for example with iconv")
        else:
            skipped.add(place, f"the {side} {error.reason}", error.detail)
        return None
    if not text.isprintable() and (found := CONTROLS.search(text)):
        skipped.note(place, f"control characters in the {side}", ascii(found[0]), error=True)
    if len(text) > LONG:
        what = f"more than {LONG:,} characters in the {side}"
        skipped.note(place, what, f"{len(text):,}", error=True)
    return text


def report_of(name: str, pairs: Pairs, skipped: Skipped) -> list[str]:
    """The lines of the report; `InputError` if there is no pair."""
    if not len(pairs):
        reasons = ". ".join(skipped.lines()) or "It is empty."
        raise InputError(f"{name}: no entry can be used. {reasons}")
    return skipped.lines()


def _tab_rows(where: str, lines: list[str], skipped: Skipped) -> Iterator[Row]:
    for number, columns in tab_fields(lines):
        if len(columns) == 2:
            if number == 1 and tuple(column.strip().lower() for column in columns) in HEADERS:
                what = "a first line that looks like a header, read as a pair"
                skipped.note(f"{where} 1", what, lines[0], error=True)
            yield where, number, columns
            continue
        reason = "not two columns (source, tab, target)"
        if len(columns) > 2:
            reason += "; name two, such as --source-column 1 --target-column 2"
        skipped.add(f"{where} {number}", reason, repr(lines[number - 1][:40]))


def _json_rows(
    where: str, lines: list[str], names: tuple[str, str], skipped: Skipped
) -> Iterator[Row]:
    for number, record in json_records(where, lines, skipped):
        values = []
        for name in names:
            try:
                values.append(value_of(record, name))
            except KeyError:
                listed = ", ".join(map(str, record))
                skipped.add(f"{where} {number}", f"no key {name!r}", f"there is {listed[:60]}")
                break
        else:
            yield where, number, values


def _dataset_rows(
    dataset: Iterable[Mapping[str, Any]], source: str, target: str
) -> Iterator[Row]:
    for number, example in enumerate(dataset, 1):
        values = []
        for name in (source, target):
            try:
                values.append(value_of(example, name))
            except KeyError as error:
                raise InputError(
                    f"Example {number} of the dataset has no {name!r}; it has: "
                    f"{', '.join(map(str, example))}."
                ) from error
        yield "example", number, values
