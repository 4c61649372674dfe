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

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.disk import file_or_gz, is_file
from keras_seq2seq.data.lexicons import is_lexicon, lexicon_rows
from keras_seq2seq.data.readers import Pairs, parallel_lines
from keras_seq2seq.data.rows import SOURCE, TARGET, collect_pairs, tab_row
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.data.splits import Splits
from keras_seq2seq.data.stored.index import stored_pairs
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
from keras_seq2seq.data.text import iterate_lines
from keras_seq2seq.data.translations import po_rows, tmx_rows
from keras_seq2seq.errors import InputError

# Source, target and weight, by name or number, as they were given.
Columns = tuple[str | None, str | None, str | None]

# What is no table of tabs.
_OTHER_FORMS = ("jsonl", "csv", "tmx", "po", "pot")

# Names that a part of a folder has in different toolkits.
PARTS = {
    "train": ("train",),
    "validation": ("valid", "validation", "val", "dev"),
    "test": ("test",),
}


@checked
def read_records(
    path: str | Path,
    source: str | None = None,
    target: str | None = None,
    *,
    weight: str | None = None,
    strict: bool = False,
    on_disk: bool = False,
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
        weight: Likewise of what each pair weighs in the loss, a number above 0, optional.
        strict: bool. The first entry that cannot be used is an error. Defaults to `False`.
        on_disk: bool. The texts stay on the disk (`StoredTexts`), and an index of a large file
            beside it. Defaults to `False`.

    Returns:
        `Pairs`, and the lines of the report: what was left out and why.

    Raises:
        InputError: If the file cannot be read, lacks a column, or no entry can be used.
    """
    path, columns, skipped = Path(path), (source, target, weight), Skipped(strict)
    if on_disk:
        return stored_records(path, columns, skipped), skipped.lines()
    return collect_pairs(str(path), _rows_of(path, columns, skipped), skipped)


def stored_records(path: Path, columns: Columns, skipped: Skipped) -> Pairs:
    """The pairs of a file as `StoredTexts`; what is left out is counted in `skipped`.

    Raises:
        InputError: As of `read_records`.
    """
    plain = columns == (None, None, None) and kind_of(path) not in _OTHER_FORMS
    tabs = plain and not is_lexicon(path) and path.suffix.lower() != ".gz"

    def rows(own: Skipped) -> Iterator[Row]:
        return _rows_of(path, columns, own)

    return stored_pairs(str(path), [path], rows, skipped, key=columns, tabs=tabs)


def _rows_of(path: Path, columns: Columns, skipped: Skipped) -> Iterator[Row]:
    kind, where = kind_of(path), f"{path}, line"
    *sides, weight = columns
    if kind in ("tmx", "po", "pot") or (is_lexicon(path) and kind not in _OTHER_FORMS):
        if weight is not None:
            raise InputError(f"{path}: a file of this form has no column {weight!r}.")
    if kind in ("tmx", "po", "pot"):
        of_sides = (sides[0], sides[1])
        return tmx_rows(path, of_sides) if kind == "tmx" else po_rows(path, of_sides, skipped)
    names = [sides[0] or SOURCE, sides[1] or TARGET, *([weight] if weight else [])]
    if names[0] == names[1]:
        skipped.note(str(path), "one column for source and target", names[0], error=True)
    lines = iterate_lines(path)
    if kind == "jsonl":
        return _json_rows(where, lines, names, skipped)
    if kind == "csv":
        # A row may take many lines, and one that is broken is read again: all are needed.
        return column_rows(path, comma_fields(where, [*lines], skipped), names, skipped)
    if columns != (None, None, None):
        header = not all(map(is_number, names))
        return column_rows(path, tab_fields(lines), names, skipped, header)
    if is_lexicon(path):
        return lexicon_rows(where, [*lines], skipped)
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


@checked
def read_folder(
    folder: str | Path,
    source: str,
    target: str,
    *,
    strict: bool = False,
    on_disk: bool = False,
) -> tuple[Splits, list[str]]:
    """Reads `train.SOURCE` and `train.TARGET`, and the other parts, of a folder.

    Args:
        folder: Holds `train`, `valid` (or `validation`, `val`, `dev`) and maybe `test`, each
            with the two languages as endings, `.gz` too.
        source: Ending of the sources, such as `"en"`.
        target: Ending of the targets.
        strict, on_disk: bool. As of `read_records`.

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
        found = next((pair for pair in files if all(map(is_file, pair))), None)
        if found is None:
            parts[part] = None
            continue
        name = str(folder)
        parts[part] = _parallel_pairs(name, found, skipped, on_disk)
    if parts["train"] is None:
        raise InputError(
            f"{folder}: no train.{source} and train.{target}. Give the folder of these files, "
            "and their endings."
        )
    splits = Splits(parts["train"], parts["validation"] or Pairs([], []), parts["test"])
    return splits, skipped.lines()


@checked
def read_parallel_records(
    source_path: str | Path,
    target_path: str | Path,
    *,
    strict: bool = False,
    on_disk: bool = False,
) -> tuple[Pairs, list[str]]:
    """Reads two files of which line i of one belongs to line i of the other, `.gz` too.

    Args:
        source_path: The sources.
        target_path: The targets.
        strict, on_disk: bool. As of `read_records`.

    Returns:
        `Pairs`, and the lines of the report.

    Raises:
        InputError: If a file cannot be read, their numbers of lines differ, or no line can be
            used.
    """
    skipped, files = Skipped(strict), (Path(source_path), Path(target_path))
    name = f"{source_path} and {target_path}"
    return _parallel_pairs(name, files, skipped, on_disk), skipped.lines()


def _parallel_pairs(
    name: str, files: tuple[Path, ...], skipped: Skipped, on_disk: bool
) -> Pairs:
    where = f"{files[0]} and {files[1]}, line"

    def rows(_: Skipped) -> Iterator[Row]:
        lines = parallel_lines(*files, whole=False)
        return ((where, number, row) for number, row in enumerate(lines, 1))

    if on_disk:
        return stored_pairs(name, files, rows, skipped)
    return collect_pairs(name, rows(skipped), skipped)[0]


@checked
def overlap(train: Pairs, other: Pairs) -> tuple[int, int]:
    """Pairs of `other` whose source occurs in `train`, and those whose target does as well."""
    asked = other.references()
    answers: dict[Any, set[str]] = {}
    # What is looked for is held, not what is looked through: that may be large.
    for source, target in zip(train.sources, train.targets, strict=True):
        if source in asked:
            answers.setdefault(source, set()).add(target)
    rows = [row for row in zip(other.sources, other.targets, strict=True) if row[0] in answers]
    return len(rows), sum(target in answers[source] for source, target in rows)


def _tab_rows(where: str, lines: Iterable[str], skipped: Skipped) -> Iterator[Row]:
    for number, columns in tab_fields(lines):
        if row := tab_row(where, number, columns, skipped):
            yield row


def _json_rows(
    where: str, lines: Iterable[str], names: list[str], skipped: Skipped
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
    for name in (source, target):
        if not isinstance(name, str):
            raise InputError(f"A key of the examples is a string. Received: {name!r:.60}.")
    if not isinstance(dataset, Iterable):
        raise InputError(f"A dataset gives examples. Received: {dataset!r:.60}.")
    for number, example in enumerate(dataset, 1):
        if not isinstance(example, Mapping):
            raise InputError(
                f"Example {number} of the dataset must be a dictionary. Received: "
                f"{type(example).__name__} {example!r:.60}."
            )
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
