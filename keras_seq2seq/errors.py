"""The one exception that means "the input is wrong", as opposed to a bug."""

import numbers
from typing import Any


class InputError(ValueError):
    """Input that cannot be used: says what was wrong, what was received and what to do.

    The command line prints its message as one line and exits with status 2.
    """


def check_counts(least: int = 1, **counts: Any) -> None:
    """Raises `InputError` for what is no whole number, or below `least`; by its name."""
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise InputError(f"`{name}` must be a whole number. Received: {value!r:.60}.")
        if int(value) < least:
            raise InputError(
                f"`{name}` must be at least {least}. Received: {name}={int(value)}."
            )
