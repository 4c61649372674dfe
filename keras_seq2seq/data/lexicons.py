"""Pronunciation dictionaries: `WORD  P H O N E S`, several entries a word, with or without
probabilities between them."""

import re
from collections.abc import Iterator
from pathlib import Path

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.readers import Pairs, read_lines
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.data.tables import Row
from keras_seq2seq.errors import InputError

_COMMENT = re.compile(r"\s#.*")
_COMMENT_LINE = ";;;"
_VARIANT = re.compile(r"\(\d+\)$")
_STRESS = re.compile(r"(?<=[A-Z])[0-2]\b")

# Probabilities that an entry has at most: of the pronunciation, and three of silence.
MOST_PROBABILITIES = 4
_NUMBER = re.compile(r"\d+(\.\d*)?([eE][-+]?\d+)?|\.\d+")


@checked
def read_lexicon(path: str | Path, *, keep_stress: bool = False) -> Pairs:
    """Reads a dictionary in the format of CMUdict.

    ```
    line     "hello(2) HH EH0 L OW1 # comment"
    source   "hello"
    target   "HH EH L OW"        with keep_stress=True "HH EH0 L OW1"
    ```

    Probabilities before the phonemes, as of Kaldi's `lexiconp.txt` and of the dictionaries of
    the Montreal Forced Aligner (separated by tabs), are left out.

    Args:
        path: File, UTF-8, `.gz` too. Lines that start with `;;;` are comments.
        keep_stress: bool. Keep the stress digits of vowels. Defaults to `False`. Entries
            that differ in stress alone then become one.

    Raises:
        InputError: If a line has a word and no phonemes.
    """
    entries: dict[tuple[str, str], None] = {}
    lines = read_lines(path)
    for number, word, phonemes in _entries(lines):
        if not phonemes:
            raise InputError(
                f"{path}, line {number}: expected a word and its phonemes: "
                f"{lines[number - 1][:60]!r}."
            )
        target = " ".join(phonemes)
        entries[word, target if keep_stress else _STRESS.sub("", target)] = None
    if not entries:
        raise InputError(f"{path}: the file has comments alone; it must hold an entry.")
    return Pairs([word for word, _ in entries], [target for _, target in entries])


def is_lexicon(path: Path) -> bool:
    """Whether the name is one that dictionaries have: `cmudict.dict`, `lexiconp.txt`."""
    return re.search(r"\.dict(\.gz)?$|(^|/)lexicon[^/]*\.txt(\.gz)?$", path.name) is not None


def lexicon_rows(where: str, lines: list[str], skipped: Skipped) -> Iterator[Row]:
    """Rows of a dictionary; phonemes as they are, stress included."""
    comments = [n for n, line in enumerate(lines, 1) if line.startswith(_COMMENT_LINE)]
    ends = [n for n, line in enumerate(lines, 1) if _COMMENT.search(line)]
    for what, numbers in (
        ("comment lines", comments),
        ("comments behind an entry, not read", sorted({*ends} - {*comments})),
    ):
        if numbers:
            skipped.note(f"{where} {numbers[0]}", what, count=len(numbers))
    for number, word, phonemes in _entries(lines):
        if phonemes:
            yield where, number, (word, " ".join(phonemes))
        else:
            shown = repr(lines[number - 1][:40])
            skipped.add(f"{where} {number}", "not a word and its phonemes", shown)


def _entries(lines: list[str]) -> Iterator[tuple[int, str, list[str]]]:
    """Number, word and phonemes of each line that is no comment."""
    rows = []
    for number, line in enumerate(lines, 1):
        if line.startswith(_COMMENT_LINE):
            continue
        text = _COMMENT.sub("", line)
        # A word may have spaces where tabs separate the columns.
        word, _, rest = text.partition("\t") if "\t" in text else ("", "", text)
        columns = rest.split()
        if not word.strip():
            word, *columns = columns or [""]
        rows.append((number, _VARIANT.sub("", word.strip()), columns))
    drop = _probabilities([columns for _, _, columns in rows if columns])
    for number, word, columns in rows:
        begins = _leading_numbers(columns) >= drop
        yield number, word, columns[drop:] if begins else columns


def _probabilities(rows: list[list[str]]) -> int:
    """How many columns before the phonemes are probabilities.

    A phoneme can be a digit, so an entry counts whose first column has a decimal point; where
    all entries begin with a number and one of them with such a one, all count.
    """
    counts = [_leading_numbers(row) for row in rows]
    decimal = [c for c, row in zip(counts, rows, strict=True) if c and "." in row[0]]
    return min(decimal) if decimal else 0


def _leading_numbers(columns: list[str]) -> int:
    count = 0
    for column in columns[:MOST_PROBABILITIES]:
        if _NUMBER.fullmatch(column) is None:
            break
        count += 1
    return count
