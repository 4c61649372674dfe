"""Notes of LiteRT's C++ side, which it prints past Python, kept off standard error."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_notes() -> Iterator[None]:
    """While the block runs, lines on standard error that begin with `INFO:` are held back,
    such as `INFO: Created TensorFlow Lite XNNPACK delegate for CPU.`; others come when it
    ends."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held:
                if not line.startswith(b"INFO:"):
                    os.write(2, line)
