"""Pronunciation dictionaries: `WORD  P H O N E S`, several entries a word."""

import re
from pathlib import Path

from keras_seq2seq.data.readers import Pairs, read_lines
from keras_seq2seq.errors import InputError

_COMMENT = re.compile(r"\s#.*")
_VARIANT = re.compile(r"\(\d+\)$")
_STRESS = re.compile(r"(?<=[A-Z])[0-2]\b")


def read_lexicon(path: str | Path, *, keep_stress: bool = False) -> Pairs:
    """Reads a dictionary in the format of CMUdict.

    ```
    line     "hello(2) HH EH0 L OW1 # comment"
    source   "hello"
    target   "HH EH L OW"        with keep_stress=True "HH EH0 L OW1"
    ```

    Args:
        path: File, UTF-8, `.gz` too. Lines that start with `;;;` are comments.
        keep_stress: bool. Keep the stress digits of vowels. Defaults to `False`. Entries
            that differ in stress alone then become one.

    Raises:
        InputError: If a line has a word and no phonemes.
    """
    entries: dict[tuple[str, str], None] = {}
    for number, line in enumerate(read_lines(path), 1):
        if line.startswith(";;;"):
            continue
        word, *phonemes = _COMMENT.sub("", line).split() or [""]
        if not phonemes:
            raise InputError(
                f"{path}, line {number}: expected a word and its phonemes: {line[:60]!r}."
            )
        target = " ".join(phonemes)
        entries[_VARIANT.sub("", word), target if keep_stress else _STRESS.sub("", target)] = (
            None
        )
    if not entries:
        raise InputError(f"{path}: the file has comments alone; it must hold an entry.")
    return Pairs([word for word, _ in entries], [target for _, target in entries])
