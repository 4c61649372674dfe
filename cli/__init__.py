"""The command line: the front door, which alone may open every room."""

from .commands import main

__all__ = ["main"]
