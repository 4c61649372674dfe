"""The one door for text: bytes become lines, and values become texts, here alone.

```
bytes    UTF-8, a byte order mark dropped; UTF-16 and UTF-32 are refused by name
lines    end with a line feed, a carriage return before it, or a carriage return alone where a
         file has nothing else
texts    one line without white space at its ends: tabs and line breaks of any kind inside
         become a space
```

What is no text (a number, nothing, half a surrogate pair, a NUL character, a byte that is not
UTF-8) is `NotText`, which says why; a reader leaves it out and counts it.
"""

import re
import reprlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_seq2seq.data.disk import read_bytes, read_pieces
from keras_seq2seq.errors import InputError

UTF8_MARK = b"\xef\xbb\xbf"
# The longer ones first: that of UTF-32 begins with that of UTF-16.
_OTHER_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}

# What a line of a run's own files cannot hold, and what else Unicode calls a line break.
BREAKS = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
CONTROLS = re.compile("[\x01-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f]")
_HALF_PAIRS = re.compile("[\ud800-\udfff]")
# A byte that is not UTF-8, as `surrogateescape` reads it.
_BYTES = re.compile("[\udc80-\udcff]")
# White space, and the byte order mark that joining files leaves inside.
_ENDS = "\ufeff" + "".join(c for c in map(chr, range(0x3001)) if c.isspace())


EMPTY = "is empty"


class NotText(ValueError):
    """A value that is no text.

    Args:
        reason: Such as `"is empty"`.
        detail: What was received, optional.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def clean_text(value: Any) -> str:
    """A value as a text on one line.

    ```
    " der\\tBall\\n"   "der Ball"
    ```

    Args:
        value: A string, UTF-8 bytes, or a tensor of one.

    Raises:
        NotText: If it is none of these, is empty, or holds what no text has.
    """
    if not isinstance(value, str):
        value = _string_of(value)
    if not value.isprintable():
        if half := _HALF_PAIRS.search(value):
            is_byte = all(map(_BYTES.match, _HALF_PAIRS.findall(value)))
            reason = "is not UTF-8" if is_byte else "holds half a surrogate pair"
            raise NotText(reason, ascii(half[0]))
        if "\0" in value:
            raise NotText("holds a NUL character")
        value = BREAKS.sub(" ", value).strip(_ENDS)
    else:
        value = value.strip()
    if not value:
        raise NotText(EMPTY)
    return value


def _string_of(value: Any) -> str:
    if hasattr(value, "numpy"):  # A tensor of TensorFlow.
        value = value.numpy()
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if not isinstance(value, str):
        raise NotText("is no text", reprlib.repr(value)[:40])
    return value


def check_texts(what: str, values: Sequence[Any]) -> None:
    """Raises `InputError` for the first value that is no string or no valid Unicode.

    Unlike `clean_text` this changes nothing and takes empty strings: it guards what comes
    from Python and from the command line.

    Args:
        what: Such as `"Source"`: names a value with its number.
        values: Strings, or UTF-8 bytes.
    """
    for number, value in enumerate(values, 1):
        if isinstance(value, str) and value.isascii():
            continue
        place = f"{what} {number} of {len(values)}"
        if not isinstance(value, (str, bytes)):
            raise InputError(
                f"{place} is no text: {reprlib.repr(value)[:40]}. Give strings alone."
            )
        text = value if isinstance(value, str) else _string_of(value)
        if half := _HALF_PAIRS.search(text):
            raise InputError(
                f"{place} is not valid Unicode (half a surrogate pair or a byte that is not "
                f"UTF-8, {ascii(half[0])}): {ascii(text[:40])}."
            )


def why_no_text(value: Any) -> str:
    """Why this is no string that can be encoded, or an empty string: what follows the name
    of a value."""
    if not isinstance(value, str):
        decode = " Decode it first." if isinstance(value, bytes) else ""
        return f"must be a string. Received: {type(value).__name__} {value!r:.40}.{decode}"
    if "\0" in value:
        return "holds a NUL character, which is no text."
    if not value.isascii() and (half := _HALF_PAIRS.search(value)):
        return f"holds {half[0]!r}, half of a surrogate pair, which is no character."
    return ""


def why_no_source(line: str) -> str:
    """Why a line cannot be asked of a model, or an empty string; that it is empty, the model
    says."""
    try:
        clean_text(line)
    except NotText as error:
        return "" if error.reason == EMPTY else error.reason
    return ""


def as_asked(line: str) -> str:
    """A line as the readers of pairs take texts: what is asked of a model goes the way that
    it went in training. What is no text stays as it is, for `why_no_source` to name."""
    try:
        return clean_text(line)
    except NotText as error:
        return "" if error.reason == EMPTY else line


def printable(text: str) -> str:
    """The text with what cannot be printed as escapes, for messages."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def read_text_lines(path: str | Path) -> list[str]:
    """The lines of a file, which may be empty; bytes that are not UTF-8 become lone
    surrogates, which no text has.

    Raises:
        InputError: If the file cannot be read, or has another encoding.
    """
    return split_lines(str(path), read_bytes(path))


def split_lines(name: str, content: bytes) -> list[str]:
    """Lines of UTF-8 bytes, as `read_text_lines`; `name` is for messages."""
    check_encoding(name, content)
    text = content.removeprefix(UTF8_MARK).decode("utf-8", "surrogateescape")
    if "\r" not in text:
        lines = text.split("\n")
    elif "\n" not in text:
        lines = text.split("\r")
    else:
        lines = [line.removesuffix("\r") for line in text.split("\n")]
    if lines[-1] == "":
        lines.pop()
    return lines


def iterate_lines(path: str | Path, *, whole: bool = False) -> Iterator[str]:
    """The lines of `read_text_lines` one after the other, or with `whole` those of
    `decode_lines`; a piece of the file is in memory at a time.

    Raises:
        InputError: As of these, when the line is reached.
    """
    number, fed = 0, False
    rest: list[bytes] = []
    for place, piece in enumerate(read_pieces(path)):
        if place == 0:
            check_encoding(str(path), piece)
            piece = piece.removeprefix(UTF8_MARK)
        end = piece.rfind(b"\n") + 1
        if not end:
            rest.append(piece)
            continue
        fed = True
        lines = _decoded(path, b"".join([*rest, piece[:end]]), number, whole)[:-1]
        yield from lines
        number += len(lines)
        rest = [piece[end:]]
    last = b"".join(rest)
    if fed and last:
        yield from _decoded(path, last, number, whole)
    elif last:  # One line, or lines that end with carriage returns.
        yield from (decode_lines if whole else split_lines)(str(path), last)


def _decoded(path: str | Path, content: bytes, number: int, whole: bool) -> list[str]:
    """Lines of a file that has line feeds; `number` lines were before."""
    if whole:
        _require_utf8(str(path), content, number)
    text = content.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    return [line.removesuffix("\r") for line in lines] if "\r" in text else lines


def decode_lines(name: str, content: bytes) -> list[str]:
    """Lines of UTF-8 bytes of which none may be left out.

    Raises:
        InputError: If a line is not UTF-8; names it.
    """
    lines = split_lines(name, content)
    _require_utf8(name, content.removeprefix(UTF8_MARK))
    return lines


def _require_utf8(name: str, content: bytes, before: int = 0) -> None:
    """Raises `InputError` for the first byte that is not UTF-8; `before` lines were before."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        number = before + content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise InputError(
            f"{name}, line {number}: not UTF-8 (byte 0x{content[error.start]:02x} at column "
            f"{column}). Convert the file, for example with `iconv -f latin1 -t utf-8`."
        ) from error


def texts_of_lines(name: str, content: bytes) -> list[str]:
    """`decode_lines` as `one_line_texts`."""
    return one_line_texts(f"{name}, line", decode_lines(name, content))


def one_line_texts(where: str, lines: Sequence[str]) -> list[str]:
    """Lines as the readers of pairs take texts, empty ones kept: what is asked of a model
    goes the way that it went in training.

    Args:
        where: Such as `"standard input, line"`: names a line with its number.
        lines: The lines.

    Raises:
        InputError: If a line holds a NUL character or is no valid Unicode; names it.
    """
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            texts.append(clean_text(line))
        except NotText as error:
            if error.reason != EMPTY:
                raise InputError(f"{where} {number}: the text {error.reason}.") from error
            texts.append("")
    return texts


def check_encoding(name: str, content: bytes) -> None:
    """Raises `InputError` for bytes of UTF-16 or UTF-32, or what begins as these do."""
    encoding = next((e for mark, e in _OTHER_MARKS.items() if content.startswith(mark)), None)
    if encoding is None and b"\0" in content:
        encoding = _encoding_of_zeros(content[:65536])
    if encoding is not None:
        raise InputError(
            f"{name}: the text is {encoding}, not UTF-8. Convert it: `iconv -f {encoding} -t "
            f"UTF-8 {name} > NEW`."
        )


def _encoding_of_zeros(head: bytes) -> str | None:
    """The encoding that puts zero bytes where these are, if one does: nearly all at the same
    places of two or four bytes."""
    zeros = [head[place::4].count(0) for place in range(4)]
    total = sum(zeros)
    if total < 4 or total * 50 < len(head):
        return None
    quarter = len(head) / 4
    if min(zeros[2:]) > 0.9 * quarter and zeros[0] < 0.5 * quarter:
        return "UTF-32LE"
    if min(zeros[:2]) > 0.9 * quarter and zeros[3] < 0.5 * quarter:
        return "UTF-32BE"
    if zeros[1] + zeros[3] > 0.95 * total:
        return "UTF-16LE"
    return "UTF-16BE" if zeros[0] + zeros[2] > 0.95 * total else None
