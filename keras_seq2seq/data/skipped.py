"""What a reader of a data set leaves out or remarks, counted; nothing is left out silently."""

from keras_seq2seq.data.text import printable
from keras_seq2seq.errors import InputError

EXAMPLES = 3


class Skipped:
    """Counts entries that cannot be used; with `strict` the first of them is an error.

    Args:
        strict: bool. Defaults to `False`.
    """

    def __init__(self, strict: bool = False):
        self.strict = strict
        self.left_out: dict[str, int] = {}
        self.noted: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, place: str, reason: str, detail: str = "", count: int = 1) -> None:
        """Counts an entry that is left out.

        Args:
            place: File and line, or file.
            reason: A few words that many entries can share.
            detail: More about this one, optional.
            count: int. Lines that it takes. Defaults to 1.

        Raises:
            InputError: If `strict`.
        """
        self._count(self.left_out, place, reason, detail, count, self.strict)

    def note(
        self, place: str, what: str, detail: str = "", count: int = 1, error: bool = False
    ) -> None:
        """Counts an entry that is used, but deserves a line of the report.

        Args:
            place, detail, count: As of `add`.
            what: What it is, a few words.
            error: bool. Whether it is an error where `strict`. Defaults to `False`.

        Raises:
            InputError: If `strict` and `error`.
        """
        self._count(self.noted, place, what, detail, count, self.strict and error)

    def _count(
        self,
        counts: dict[str, int],
        place: str,
        reason: str,
        detail: str,
        count: int,
        fail: bool,
    ) -> None:
        shown = detail and f" ({printable(detail)})"
        if fail:
            raise InputError(f"{printable(place)}: {reason}{shown}.")
        counts[reason] = counts.get(reason, 0) + count
        examples = self._examples.setdefault(reason, [])
        if len(examples) <= EXAMPLES:
            examples.append(f"{printable(place)}{shown}")

    def __len__(self) -> int:
        return sum(self.left_out.values())

    def lines(self) -> list[str]:
        """One line a reason: how many, and the first of them."""
        counts = [("Left out", self.left_out), ("Noted", self.noted)]
        return [
            self._line(f"{title}, {reason}", count, reason)
            for title, reasons in counts
            for reason, count in reasons.items()
        ]

    def _line(self, title: str, count: int, reason: str) -> str:
        examples = self._examples[reason]
        shown = "; ".join(examples[:EXAMPLES]) + ("; ..." if len(examples) > EXAMPLES else "")
        return f"{title}: {count}. {shown}"
