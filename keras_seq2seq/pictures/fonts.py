"""Fonts for pictures whose words may be of any script."""

import unicodedata
import warnings
from collections.abc import Iterable
from functools import cache

# Has a box for every character, and no glyphs.
PLACEHOLDER_FONT = "Last Resort"


def families_for(texts: Iterable[str]) -> list[str]:
    """Font families that together have a glyph for every character.

    The default font comes first; installed fonts follow for what it lacks. Matplotlib takes
    each character from the first family that has it, and lays out right-to-left text.

    Args:
        texts: Strings to be drawn.

    Returns:
        Family names, for the argument `fontfamily` of a matplotlib text.

    Warns:
        UserWarning: Naming the characters that no installed font has.
    """
    from matplotlib import font_manager

    default = font_manager.FontProperties().get_name()
    families = [default]
    needed = {ord(c) for text in texts for c in text if unicodedata.category(c)[0] not in "ZC"}
    missing = needed - _characters(font_manager.findfont(default))
    missing = _add_families(families, missing)
    # Matplotlib keeps a list of the fonts from an earlier day; some may have come since.
    if missing and _find_new_fonts():
        missing = _add_families(families, missing)
    if missing:
        named = ", ".join(
            f"{chr(code)} ({unicodedata.name(chr(code), f'U+{code:04X}')})"
            for code in sorted(missing)
        )
        warnings.warn(
            f"No installed font has {named}: drawn as a box. Install a font for this script, "
            "such as one of the Noto fonts.",
            stacklevel=2,
        )
    return families


def _add_families(families: list[str], missing: set[int]) -> set[int]:
    """Appends known families that have some of the characters; those that none has."""
    from matplotlib import font_manager

    fonts = {
        entry.name: str(entry.fname)
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and not entry.name.startswith(PLACEHOLDER_FONT)
    }
    while missing and fonts:
        name = max(sorted(fonts), key=lambda name: len(missing & _characters(fonts[name])))
        found = missing & _characters(fonts[name])
        if not found:
            break
        families.append(name)
        missing = missing - found
    return missing


def _find_new_fonts() -> bool:
    """Adds the fonts of the machine that Matplotlib does not know yet; whether there are."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    known = {str(entry.fname) for entry in manager.ttflist}
    new = set(map(str, font_manager.findSystemFonts())) - known - _unusable
    added = False
    for path in sorted(new):
        try:
            manager.addfont(path)
            added = True
        except (OSError, RuntimeError, ValueError, KeyError):
            _unusable.add(path)
    return added


# Font files that Matplotlib cannot read: bitmaps, damaged ones.
_unusable: set[str] = set()


@cache
def _characters(path: str) -> frozenset[int]:
    """The code points that a font file has glyphs for; none if it is gone or damaged."""
    from matplotlib.font_manager import get_font

    try:
        return frozenset(get_font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
