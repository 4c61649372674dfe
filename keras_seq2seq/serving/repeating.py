"""Which requests are sent again, and when."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from keras_seq2seq.errors import InputError

FIRST_WAIT = 0.1
Result = TypeVar("Result")


class Unanswered(InputError):
    """The server was not reached or has no room: the same request may be sent again.

    Args:
        message: One line.
        wait: Seconds that the server asks to wait, where it does.
    """

    def __init__(self, message: str, wait: float | None = None):
        super().__init__(message)
        self.wait = wait


def repeat(call: Callable[[], Result], retries: int, deadline: float) -> Result:
    """Calls, again after a wait while that raises `Unanswered`.

    The wait is what the server asks for, else a tenth of a second, doubled each time, and up
    to a half more or less, so that clients that failed together do not come back together.

    Args:
        call: Sends the request.
        retries: Calls after the first at most.
        deadline: Of `time.monotonic`; a wait that would end later is not begun.

    Raises:
        InputError: What the last call raises.
    """
    attempt = 0
    while True:
        try:
            return call()
        except Unanswered as error:
            wait = error.wait
            if wait is None:
                wait = FIRST_WAIT * 2**attempt * random.uniform(0.5, 1.5)
            if attempt >= retries or time.monotonic() + wait >= deadline:
                raise
            time.sleep(wait)
            attempt += 1
