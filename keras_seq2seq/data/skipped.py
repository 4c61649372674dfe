"""What a reader of a data set leaves out or remarks, counted; nothing is left out silently."""

from typing import Any

from keras_seq2seq.data.text import printable
from keras_seq2seq.errors import InputError

EXAMPLES = 3


class Skipped:
    """Counts entries that cannot be used; with `strict` the first of them is an error.

    Args:
        strict: bool. Defaults to `False`.

    Attributes:
        errors: int. Entries that `strict` would not have taken.
    """

    def __init__(self, strict: bool = False):
        self.strict = strict
        self.left_out: dict[str, int] = {}
        self.noted: dict[str, int] = {}
        self.errors = 0
        self._examples: dict[str, list[str]] = {}
        self._said: list[str] = []

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
        self._count(self.left_out, place, reason, detail, count, True)

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
        self._count(self.noted, place, what, detail, count, error)

    def _count(
        self,
        counts: dict[str, int],
        place: str,
        reason: str,
        detail: str,
        count: int,
        error: bool,
    ) -> None:
        shown = detail and f" ({printable(detail)})"
        self.errors += error
        if error and self.strict:
            raise InputError(f"{printable(place)}: {reason}{shown}.")
        counts[reason] = counts.get(reason, 0) + count
        examples = self._examples.setdefault(reason, [])
        if len(examples) <= EXAMPLES:
            examples.append(f"{printable(place)}{shown}")

    def say(self, line: str) -> None:
        """Adds a line to the report."""
        self._said.append(line)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `add_all` takes."""
        return {
            "left_out": self.left_out,
            "noted": self.noted,
            "errors": self.errors,
            "examples": self._examples,
        }

    def add_all(self, counted: dict[str, Any]) -> None:
        """Adds what another one counted, as `to_dict` gives it."""
        self.errors += counted["errors"]
        for counts, name in ((self.left_out, "left_out"), (self.noted, "noted")):
            for reason, count in counted[name].items():
                counts[reason] = counts.get(reason, 0) + count
        for reason, examples in counted["examples"].items():
            known = self._examples.setdefault(reason, [])
            known += examples[: EXAMPLES + 1 - len(known)]

    def __len__(self) -> int:
        return sum(self.left_out.values())

    def lines(self) -> list[str]:
        """One line a reason: how many, and the first of them; and what else was said."""
        counts = [("Left out", self.left_out), ("Noted", self.noted)]
        lines = [
            self._line(f"{title}, {reason}", count, reason)
            for title, reasons in counts
            for reason, count in reasons.items()
        ]
        return lines + self._said

    def _line(self, title: str, count: int, reason: str) -> str:
        examples = self._examples[reason]
        shown = "; ".join(examples[:EXAMPLES]) + ("; ..." if len(examples) > EXAMPLES else "")
        return f"{title}: {count}. {shown}"
