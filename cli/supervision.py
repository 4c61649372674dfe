"""A command in a process of its own, of whose end one line is told, however it ends.

JAX ends a process from below, with pages of addresses, where a process that it computes with
has gone or does not come. Nothing in that process can say so in one line.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from keras_seq2seq.errors import InputError

CHILD = "KERAS_SEQ2SEQ_SUPERVISED"
# How absl begins a line before it ends the process.
FATAL = re.compile(r"F\d{4} ")


def is_child() -> bool:
    """Whether this process is the one that is supervised."""
    return CHILD in os.environ


def run_supervised(arguments: list[str]) -> int:
    """Runs `keras-seq2seq` with arguments; its exit status.

    Raises:
        InputError: If it was ended from below.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "keras_seq2seq", *arguments],
        env={**os.environ, CHILD: "1"},
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
    )

    def forward(number: int, frame: Any) -> None:
        child.send_signal(number)

    before: Callable[..., Any] | int | None = signal.signal(signal.SIGTERM, forward)
    try:
        told = _pass_on(child)
        status = child.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    if status >= 0:
        return status
    if told:
        return 2
    name = signal.Signals(-status).name
    raise InputError(
        f"The process was ended by {name}. Where other processes take part, one of "
        "them has ended, did not come in time, or cannot be reached. The same command in all "
        "processes goes on after the last epoch."
    )


def _pass_on(child: subprocess.Popen) -> bool:
    """Passes on what the process says on standard error until it is ended from below;
    whether it has told an error by itself."""
    told = ended = False
    for line in child.stderr or ():
        ended = ended or FATAL.match(line) is not None
        if not ended:
            sys.stderr.write(line)
            told = told or line.startswith("error: ")
    return told


def _end_with_parent() -> None:
    """Asks Linux to end this process with its parent, which may get no time to."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
