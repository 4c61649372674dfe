"""Finding the pairs of a file with a tab in each line, as fast as its bytes can be looked at.

What the text door would leave as it is, is found by looking at all bytes of a piece at once;
every other line goes through the door.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_seq2seq.data.disk import read_pieces
from keras_seq2seq.data.rows import LONG, tab_row, text_pair
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.data.stored.writer import IndexWriter
from keras_seq2seq.data.text import UTF8_MARK, check_encoding

# What the door may change or remark inside a line: control characters, and white space and
# marks beyond ASCII.
_ODD = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|\xc2[\x80-\xa0]|\xe1\x9a\x80"
    rb"|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80|\xef\xbb\xbf"
)
# Bytes that begin nothing of that.
_PLAIN = bytes({*range(256)} - {*range(9), *range(11, 32), 0x7F, 0xC2, 0xE1, 0xE2, 0xE3, 0xEF})
_FEED, _TAB, _RETURN, _SPACE = b"\n\t\r "


class _Lines(NamedTuple):
    """The lines of a piece: where each begins and ends, and whether the door would leave it
    as it is."""

    starts: np.ndarray
    stops: np.ndarray
    plain: np.ndarray


def index_tabs(path: Path, writer: IndexWriter, skipped: Skipped) -> bool:
    """Indexes the pairs of a file of `source<TAB>target` lines that end with line feeds.

    Returns:
        Whether it could: a file without a line feed is left to the reader of lines.
    """
    rest, offset, number = b"", 0, 0
    for place, piece in enumerate(read_pieces(path, 2**23)):
        if place == 0:
            check_encoding(str(path), piece)
            if piece.startswith(UTF8_MARK):
                offset = len(UTF8_MARK)
                piece = piece[offset:]
        content = rest + piece
        end = content.rfind(b"\n") + 1
        if not end:
            if place == 0:
                return False
            rest = content
            continue
        number += _index_piece(path, content[:end], offset, number, writer, skipped)
        rest, offset = content[end:], offset + end
    if rest:
        _index_piece(path, rest + b"\n", offset, number, writer, skipped)
    return True


def _index_piece(
    path: Path, content: bytes, offset: int, number: int, writer: IndexWriter, skipped: Skipped
) -> int:
    """Indexes whole lines; `offset` bytes and `number` lines were before. How many they are."""
    lines = _lines(content, is_first=number == 0)
    offsets = lines.starts + offset
    sizes = lines.stops - lines.starts
    if not lines.plain.all():
        kept = np.ones(len(sizes), bool)
        for line in np.flatnonzero(~lines.plain):
            raw = content[lines.starts[line] : lines.stops[line]]
            text = raw.decode("utf-8", "surrogateescape")
            row = tab_row(f"{path}, line", number + int(line) + 1, text.split("\t"), skipped)
            pair = text_pair(row, skipped) if row else None
            kept[line] = pair is not None
            if pair:
                clean = f"{pair[0]}\t{pair[1]}".encode()
                if clean != raw:
                    offsets[line], sizes[line] = writer.rewrite(clean), len(clean)
        offsets, sizes = offsets[kept], sizes[kept]
    writer.extend(offsets, sizes)
    return len(lines.starts)


def _lines(content: bytes, is_first: bool) -> _Lines:
    values = np.frombuffer(content, np.uint8)
    feeds = np.flatnonzero(values == _FEED)
    tabs = np.flatnonzero(values == _TAB)
    starts = np.concatenate([[0], feeds[:-1] + 1])
    # An empty line has nothing before its end.
    stops = feeds - ((values[feeds - 1] == _RETURN) & (feeds > starts))
    if len(tabs) == len(feeds) and bool(((tabs >= starts) & (tabs < feeds)).all()):
        plain = np.ones(len(feeds), bool)
    else:
        first, last = (np.searchsorted(tabs, edges) for edges in (starts, feeds))
        plain = last - first == 1
        tabs = (
            np.where(plain, tabs[np.minimum(first, len(tabs) - 1)], starts)
            if len(tabs)
            else starts
        )
    plain &= (tabs > starts) & (tabs + 1 < stops) & (stops - starts <= LONG)
    for edges in (starts, tabs - 1, tabs + 1, stops - 1):
        plain &= values[np.minimum(edges, len(values) - 1)] != _SPACE
    if content.translate(None, _PLAIN):
        odd = [match.start() for match in _ODD.finditer(content)]
        plain[np.searchsorted(feeds, odd)] = False
    if not content.isascii():
        _mark_broken(content, values, feeds, starts, plain)
    plain[0] &= not is_first  # Maybe a header.
    return _Lines(starts, stops, plain)


def _mark_broken(
    content: bytes,
    values: np.ndarray,
    feeds: np.ndarray,
    starts: np.ndarray,
    plain: np.ndarray,
) -> None:
    """Lines that are not UTF-8 are not plain."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        for line in np.unique(np.searchsorted(feeds, np.flatnonzero(values >= 128))):
            try:
                content[starts[line] : feeds[line]].decode("utf-8")
            except UnicodeDecodeError:
                plain[line] = False
