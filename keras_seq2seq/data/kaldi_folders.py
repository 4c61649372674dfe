"""Folders of Kaldi's: which recording or segment of it says what.

```
wav.scp     KEY FILE                  or FILE.ark:BYTE, an entry of an archive
feats.scp   KEY FILE.ark:BYTE         likewise, of features
text        KEY the words
segments    UTTERANCE KEY BEGIN END   then `text` has utterances, and recordings are cut
```

Any white space separates the columns.
"""

import math
from collections.abc import Iterator
from pathlib import Path

from keras_seq2seq.data.disk import is_file
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.data.tables import Row
from keras_seq2seq.data.text import read_text_lines


def is_kaldi_folder(folder: Path) -> bool:
    """Whether the folder has a list of recordings or features."""
    return is_file(folder / "wav.scp") or is_file(folder / "feats.scp")


def kaldi_rows(folder: Path, kind: str, skipped: Skipped) -> Iterator[Row]:
    """Rows `(file, text, begin, end)`; `begin` is `None` where the file is not cut."""
    features = is_file(folder / "feats.scp") and kind == "features"
    scp = folder / ("feats.scp" if features or not is_file(folder / "wav.scp") else "wav.scp")
    where = f"{scp}, line"
    texts = _table(folder / "text", skipped)
    files = _table(scp, skipped)
    is_cut = scp.name == "wav.scp" and is_file(folder / "segments")
    if is_cut:
        yield from _segments(folder / "segments", files, texts, skipped)
    else:
        for key, (number, file) in files.items():
            if _is_command(file):
                skipped.add(f"{where} {number}", "a command, not a file", file[:40])
            elif key not in texts:
                skipped.add(f"{where} {number}", "no text", key)
            else:
                yield where, number, (file, texts.pop(key)[1], None, None)
    what = "a segment" if is_cut else "a file"
    for key, (number, _) in texts.items():
        skipped.add(f"{folder / 'text'}, line {number}", f"a text without {what}", key)


def _segments(
    path: Path,
    files: dict[str, tuple[int, str]],
    texts: dict[str, tuple[int, str]],
    skipped: Skipped,
) -> Iterator[Row]:
    where = f"{path}, line"
    for key, (number, rest) in _table(path, skipped).items():
        place = f"{where} {number}"
        recording, times = (rest.split()[0], _times(rest.split()[1:])) if rest else ("", None)
        if times is None:
            skipped.add(place, "not an utterance, a recording, begin and end", rest[:40])
        elif recording not in files:
            skipped.add(place, "a segment of no recording", recording)
        elif _is_command(files[recording][1]):
            skipped.add(place, "a command, not a file", files[recording][1][:40])
        elif key not in texts:
            skipped.add(place, "no text", key)
        else:
            yield where, number, (files[recording][1], texts.pop(key)[1], *times)


def _times(columns: list[str]) -> tuple[float, float | None] | None:
    """Begin and end in seconds (-1 is the end of the file), or `None` if they are none."""
    try:
        begin, end = map(float, columns[:2])
    except ValueError:
        return None
    if end == -1 and 0 <= begin < math.inf:
        return begin, None
    return (begin, end) if 0 <= begin < end < math.inf else None


def _table(path: Path, skipped: Skipped) -> dict[str, tuple[int, str]]:
    """Key -> number of its line, and the rest of it."""
    table: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(read_text_lines(path), 1):
        key, *rest = line.split(maxsplit=1)[:2] or [""]
        if not key:
            skipped.add(f"{path}, line {number}", "an empty line")
        elif key in table:
            skipped.add(f"{path}, line {number}", "a key that occurred before", key)
        else:
            table[key] = number, rest[0].strip() if rest else ""
    return table


def _is_command(file: str) -> bool:
    return file.endswith("|") or file.startswith("|")
