"""The command line: the front door, which alone may open every room."""

from keras_seq2seq.cli.commands import main

__all__ = ["main"]
