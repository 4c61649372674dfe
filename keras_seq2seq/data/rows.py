"""Rows of values as pairs of texts: what is none is left out and counted, in one place."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_seq2seq.data.readers import Pairs
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.data.tables import Row
from keras_seq2seq.data.text import CONTROLS, NotText, clean_text
from keras_seq2seq.errors import InputError

SOURCE, TARGET = "source", "target"

# First lines that say what the columns are; a file has them with columns that are named.
HEADERS = {(SOURCE, TARGET), ("src", "tgt"), ("input", "output"), ("word", "pronunciation")}

# A longer text is more likely a mistake of its file than a text.
LONG = 100_000


def text_pair(row: Row, skipped: Skipped) -> tuple[str, str, float | None] | None:
    """Source, target and weight of a row `(where, number, (source, target))`, whose weight is
    `None`, or of one with a weight behind; `None`, and counted, where it is no pair."""
    where, number, values = row
    place = f"{where} {number}"
    source = take_text(SOURCE, values[0], place, skipped)
    target = None if source is None else take_text(TARGET, values[1], place, skipped)
    if source is None or target is None:
        return None
    if len(values) == 2:
        return source, target, None
    weight = _weight(values[2])
    if weight is None:
        skipped.add(place, "the weight is no number above 0", repr(values[2])[:40])
        return None
    return source, target, weight


def _weight(value: Any) -> float | None:
    try:
        weight = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return weight if 0 < weight < math.inf else None


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


def tab_row(where: str, number: int, columns: list[str], skipped: Skipped) -> Row | None:
    """A line of a file without a header as a row; `None`, and counted, if it is no pair."""
    if len(columns) == 2:
        if number == 1 and tuple(column.strip().lower() for column in columns) in HEADERS:
            what = "a first line that looks like a header, read as a pair"
            skipped.note(f"{where} 1", what, "\t".join(columns), error=True)
        return where, number, columns
    reason = "not two columns (source, tab, target)"
    if len(columns) > 2:
        reason += "; name two, such as --source-column 1 --target-column 2"
    line = "\t".join(columns)
    skipped.add(f"{where} {number}", reason, repr(line[:40]))
    return None


def collect_pairs(name: str, rows: Iterable[Row], skipped: Skipped) -> tuple[Pairs, list[str]]:
    """The rows that are two texts, and the report of those that are not.

    Raises:
        InputError: If there is none.
    """
    sources: list[str] = []
    targets: list[str] = []
    lines: list[int] = []
    weights: list[float] = []
    for row in rows:
        if pair := text_pair(row, skipped):
            source, target, weight = pair
            sources.append(source)
            targets.append(target)
            lines.append(row[1])
            if weight is not None:
                weights.append(weight)
    pairs = Pairs(sources, targets, lines, np.array(weights, np.float32) if weights else None)
    return pairs, report_of(name, pairs, skipped)


def report_of(name: str, pairs: Any, skipped: Skipped) -> list[str]:
    """The lines of the report; `InputError` if there is no pair."""
    if not len(pairs):
        reasons = ". ".join(skipped.lines()) or "It is empty."
        raise InputError(f"{name}: no entry can be used. {reasons}")
    return skipped.lines()
