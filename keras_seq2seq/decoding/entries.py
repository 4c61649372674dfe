"""Tensors of a state made empty, longer, or repeated for the hypotheses of a source."""

import tensorflow as tf

from keras_seq2seq.arguments import checked

# Positions of the first stage.
FIRST_STAGE = 8


def empty_along(tensor: tf.Tensor, axis: int) -> tf.Tensor:
    """Nothing of the tensor, but its other sizes."""
    return tensor[(slice(None),) * axis + (slice(0),)]


def repeat_along(tensor: tf.Tensor, axis: int, times: int) -> tf.Tensor:
    """Of a tensor in which nothing is written yet: as many times as long."""
    return tf.tile(tensor, [times if one == axis else 1 for one in range(len(tensor.shape))])


def repeat_rows(tensor: tf.Tensor, times: int) -> tf.Tensor:
    """`(batch, ...)` -> `(batch * times, ...)`, each row `times` times in a run."""
    if times == 1:
        return tensor
    repeated = tf.tile(tensor[:, None], [1, times] + [1] * (len(tensor.shape) - 1))
    # Static sizes where they are known: converters need them.
    dynamic = tf.shape(tensor)
    rows, *rest = (
        dynamic[axis] if size is None else size for axis, size in enumerate(tensor.shape)
    )
    return tf.reshape(repeated, [rows * times, *rest])


def lengthened(tensor: tf.Tensor, shape: tf.TensorShape, filling: int = 0) -> tf.Tensor:
    """The tensor, filled up behind on every axis that is longer in `shape`."""
    sizes = list(zip(tensor.shape, shape, strict=True))
    if all(size == longer for size, longer in sizes):
        return tensor
    pads = [[0, 0 if size == longer else longer - size] for size, longer in sizes]
    return tf.pad(tensor, pads, constant_values=filling)


@checked
def stage_lengths(max_length: int) -> list[int]:
    """Each twice the one before, the last `max_length`: 8, 16, 25."""
    lengths = [FIRST_STAGE]
    while lengths[-1] < max_length:
        lengths.append(2 * lengths[-1])
    return [*lengths[:-1], max_length]
