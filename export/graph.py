"""Traced functions to a SavedModel on disk, each of them traced once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf


def write_graph(folder: Path | str, functions: dict[str, Any], tables: Iterable = ()) -> None:
    """Writes a SavedModel that has signatures alone.

    `keras.export.ExportArchive` also keeps the functions for Python callers, for which
    TensorFlow traces each of them a second time; nobody calls them there.

    Args:
        folder: Where to write.
        functions: By the name of their signature, each a concrete function, or a `tf.function`
            with an `input_signature`, which keeps the defaults of its arguments. The latter is
            traced by saving alone: its weights must be those of a concrete one.
        tables: Lookup tables and other resources that the functions use.
    """
    root = tf.Module()
    variables: dict[int, tf.Variable] = {}
    for function in functions.values():
        if isinstance(function, tf.types.experimental.ConcreteFunction):
            variables |= {id(variable): variable for variable in function.variables}
    # TensorFlow gives them in the order of their addresses: another one in every process.
    root.weights = sorted(variables.values(), key=lambda variable: variable.name)
    root.tables = list(tables)
    tf.saved_model.save(root, str(folder), signatures=functions)
