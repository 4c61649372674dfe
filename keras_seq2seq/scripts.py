"""Which scripts part words with spaces, and which way a text runs."""

import unicodedata
from collections.abc import Iterable

# Begin and end of the blocks of scripts that write no spaces between words: Thai, Lao,
# Tibetan, Burmese, Khmer, kana and bopomofo, Han and its compatibility forms, Yi, halfwidth
# kana. (Korean has spaces.)
_UNSEGMENTED = (
    (0x0E00, 0x0EFF),
    (0x0F00, 0x0FFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3005, 0x3007),
    (0x3040, 0x312F),
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA000, 0xA4CF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),
)


def is_unsegmented(character: str) -> bool:
    """Whether a character is of a script that writes no spaces; of `""` `False`."""
    code = ord(character) if character else 0
    return any(low <= code <= high for low, high in _UNSEGMENTED)


def unsegmented_share(texts: Iterable[str]) -> float:
    """Share of the letters of texts that are written without spaces around words."""
    letters = unsegmented = 0
    for text in texts:
        words = text.split()
        # Characters with spaces between each other are segmented already.
        parted = len(words) * 2 > sum(map(len, words))
        for character in text:
            if unicodedata.category(character)[0] == "L":
                letters += 1
                unsegmented += is_unsegmented(character) and not parted
    return unsegmented / max(1, letters)


def runs_right_to_left(text: str) -> bool:
    """Whether the first letter that has a direction is written from right to left."""
    for character in text:
        if (direction := unicodedata.bidirectional(character)) in ("L", "R", "AL"):
            return direction != "L"
    return False
