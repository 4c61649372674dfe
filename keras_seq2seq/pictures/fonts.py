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
    if not missing:
        return families
    fonts = {
        entry.name: entry.fname
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and not entry.name.startswith(PLACEHOLDER_FONT)
    }
    while missing:
        name = max(sorted(fonts), key=lambda name: len(missing & _characters(fonts[name])))
        found = missing & _characters(fonts[name])
        if not found:
            break
        families.append(name)
        missing -= found
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


@cache
def _characters(path: str) -> frozenset[int]:
    """The code points that a font file has glyphs for."""
    from matplotlib.font_manager import get_font

    return frozenset(get_font(path).get_charmap())
