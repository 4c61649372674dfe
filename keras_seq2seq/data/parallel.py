"""Pairs from two files of lines."""

from collections.abc import Iterator
from pathlib import Path

from keras_seq2seq.data.readers import Pairs, parallel_lines
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.data.stored.index import stored_pairs
from keras_seq2seq.data.tables import Row
from keras_seq2seq.data.text import NotText, clean_text
from keras_seq2seq.errors import InputError


def read_parallel(
    source_path: str | Path, target_path: str | Path, *, on_disk: bool = False
) -> Pairs:
    """Reads two files of which line i of one belongs to line i of the other. Tabs inside a
    text become a space, and spaces at its ends go.

    Args:
        source_path: The sources.
        target_path: The targets.
        on_disk: bool. As of `read_records`. Defaults to `False`.

    Raises:
        InputError: As of `read_lines`, and if their numbers of lines differ, or a line is
            empty.
    """
    files = Path(source_path), Path(target_path)
    if on_disk:
        name = f"{source_path} and {target_path}"
        return stored_pairs(name, files, lambda _: _rows(*files), Skipped(), key=["whole"])
    rows = [row for _, _, row in _rows(*files)]
    sources, targets = [source for source, _ in rows], [target for _, target in rows]
    return Pairs(sources, targets, [*range(1, len(rows) + 1)])


def _rows(source_path: Path, target_path: Path) -> Iterator[Row]:
    where = f"{source_path} and {target_path}, line"
    for number, lines in enumerate(parallel_lines(source_path, target_path), 1):
        texts = []
        for name, text in zip(("source", "target"), lines, strict=True):
            try:
                texts.append(clean_text(text))
            except NotText as error:
                raise InputError(
                    f"{where} {number}: the {name} {error.reason}; fill or remove it."
                ) from error
        yield where, number, texts
