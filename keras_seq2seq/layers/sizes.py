"""Sizes of tensors, for graphs that look up as few of them as they can."""

from typing import Any

import keras
import tensorflow as tf


def size_of(tensor: Any, axis: int) -> Any:
    """The size of an axis: a number where it is known, else an int32 scalar.

    `keras.ops.shape` looks up every size that is not known, each in four operations; here it
    is two for all. A model asks hundreds of times.
    """
    known = tensor.shape[axis]
    if known is not None or isinstance(tensor, keras.KerasTensor):
        return known
    return tf.unstack(tf.shape(tensor), num=len(tensor.shape))[axis]


def rows_of(tensor: Any) -> int:
    """The batch size for a reshape. -1 where it is not known when the graph is made: so it is
    not looked up in every layer of every step."""
    return tensor.shape[0] or -1
