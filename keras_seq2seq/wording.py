"""Numbers and nouns as a person reads them: every count that is printed goes through here."""


def plural(noun: str) -> str:
    """`word` -> `words`, `synopsis` -> `synopses`, `summary` -> `summaries`."""
    if noun.endswith("is"):
        return f"{noun.removesuffix('is')}es"
    if noun.endswith("y") and not noun.endswith(("ay", "ey", "oy", "uy")):
        return f"{noun.removesuffix('y')}ies"
    # Not every "ch": one epoch, two epochs.
    if noun.endswith(("s", "x", "sh", "tch", "nch", "eech")):
        return f"{noun}es"
    return f"{noun}s"


def counted(count: int, noun: str) -> str:
    """`1 epoch`, `2 epochs`, `1,200 training pairs`, `0 pairs`."""
    return f"{count:,} {noun if count == 1 else plural(noun)}"


def names(items: list[str], most: int = 3) -> str:
    """`a`, `a and b`, `a, b, c and 2 more`."""
    shown = items[:most]
    if len(items) > most:
        return f"{', '.join(shown)} and {len(items) - most:,} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
