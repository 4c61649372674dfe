"""What a reader of a data set leaves out, counted by reason; nothing is left out silently."""

from collections.abc import Sequence

from keras_seq2seq.errors import InputError

EXAMPLES = 3


class Skipped:
    """Counts entries that cannot be used; with `strict` the first of them is an error.

    Args:
        strict: bool. Defaults to `False`.
    """

    def __init__(self, strict: bool = False):
        self.strict = strict
        self.places: dict[str, list[str]] = {}

    def add(self, place: str, reason: str, detail: str = "") -> None:
        """Counts one entry.

        Args:
            place: File and line, or file.
            reason: A few words that many entries can share.
            detail: More about this one, optional.

        Raises:
            InputError: If `strict`.
        """
        if self.strict:
            raise InputError(f"{place}: {reason}{detail and f' ({detail})'}.")
        self.places.setdefault(reason, []).append(f"{place}{detail and f' ({detail})'}")

    def __len__(self) -> int:
        return sum(map(len, self.places.values()))

    def lines(self) -> list[str]:
        """One line a reason: how many, and the first of them."""
        return [
            f"Left out, {reason}: {len(places)}. {_examples(places)}"
            for reason, places in self.places.items()
        ]


def _examples(places: Sequence[str]) -> str:
    shown = "; ".join(places[:EXAMPLES])
    return f"{shown}; ..." if len(places) > EXAMPLES else shown
