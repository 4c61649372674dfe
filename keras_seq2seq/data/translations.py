"""Pairs of texts from what translators keep: translation memories (TMX) and catalogues of
gettext (PO)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_seq2seq.data.disk import read_bytes
from keras_seq2seq.data.skipped import Skipped
from keras_seq2seq.data.tables import Row
from keras_seq2seq.data.text import decode_lines
from keras_seq2seq.errors import InputError

# Inside a segment these hold codes of another format, not text.
_CODES = {"bpt", "ept", "it", "ph", "ut"}
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_EXTRA = "`pip install keras-seq2seq[translations]`"


def tmx_rows(path: Path, languages: tuple[str | None, str | None]) -> Iterator[Row]:
    """Rows of a translation memory: a unit with both languages is one.

    A language stands for its variants too: `en` is `en-US` where there is no `en`. Entities
    are not expanded and nothing is fetched.

    Raises:
        InputError: If no languages are given, the file is no XML, or lxml is missing.
    """
    source, target = languages
    if not source or not target:
        raise InputError(
            f"{path}: a translation memory. Give its languages, such as --source-column en "
            "--target-column de."
        )
    try:
        from lxml import etree
    except ImportError as error:
        raise InputError(f"Reading TMX needs lxml: {_EXTRA}.") from error
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(read_bytes(path), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as TMX ({error}).") from error
    return (
        (f"{path}, line", unit.sourceline, [_segment(unit, source), _segment(unit, target)])
        for unit in root.iter("{*}tu")
    )


def _segment(unit: Any, language: str) -> str | None:
    """The text of a unit in a language; `None` if it has none."""
    found = None
    for variant in unit.iterchildren("{*}tuv"):
        name = (variant.get(_LANGUAGE) or variant.get("lang") or "").lower().replace("_", "-")
        wanted = language.lower().replace("_", "-")
        segment = variant.find("{*}seg")
        if segment is not None and name == wanted:
            return _text_of(segment)
        if segment is not None and name.startswith(f"{wanted}-") and found is None:
            found = _text_of(segment)
    return found


def _text_of(element: Any) -> str:
    parts = [element.text or ""]
    for child in element:
        is_text = isinstance(child.tag, str) and child.tag.rpartition("}")[2] not in _CODES
        parts.append(_text_of(child) if is_text else "")
        parts.append(child.tail or "")
    return "".join(parts)


def po_rows(
    path: Path, columns: tuple[str | None, str | None], skipped: Skipped
) -> Iterator[Row]:
    """Rows of a catalogue: `msgid` and `msgstr` of entries that are translated.

    What is fuzzy, obsolete, not translated or has plural forms is left out.

    Raises:
        InputError: If columns are given, the file is no catalogue, or polib is missing.
    """
    if columns not in ((None, None), ("msgid", "msgstr"), ("msgstr", "msgid")):
        raise InputError(
            f"{path}: a catalogue has the columns msgid and msgstr. Received: "
            f"{', '.join(map(repr, columns))}."
        )
    try:
        import polib
    except ImportError as error:
        raise InputError(f"Reading PO needs polib: {_EXTRA}.") from error
    # With a line break, which is the name of no file: polib takes both.
    text = "\n".join([*decode_lines(str(path), read_bytes(path)), ""]) + "\n"
    try:
        entries = polib.pofile(text)
    except (OSError, ValueError, LookupError, IndexError) as error:
        raise InputError(f"{path}: cannot be read as a catalogue ({error}).") from error
    for entry in entries:
        reason = next((reason for reason, holds in _unused(entry).items() if holds), None)
        if reason is not None:
            skipped.add(f"{path}, line {entry.linenum}", reason, repr(entry.msgid[:40]))
            continue
        row = (entry.msgid, entry.msgstr)
        yield f"{path}, line", entry.linenum, row[:: -1 if columns[0] == "msgstr" else 1]


def _unused(entry: Any) -> dict[str, bool]:
    return {
        "an obsolete entry": bool(entry.obsolete),
        "a fuzzy entry": entry.fuzzy,
        "an entry with plural forms": bool(entry.msgid_plural),
        "an entry that is not translated": not entry.msgstr.strip(),
    }
