"""A batch in pieces of few different shapes, decoded side by side: what XLA wants."""

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.decoding.hypotheses import Hypotheses
from keras_seq2seq.errors import InputError

# Rows of a piece at least: fewer do not pay for a search of their own.
LEAST_ROWS = 8

Inputs = dict[str, tf.Tensor]


@checked
def decode_by_pieces(
    function: Callable[..., Hypotheses],
    inputs: Inputs,
    *,
    num_pieces: int,
    longest: int | None = None,
    prepare: Callable[[Inputs], Any] | None = None,
) -> Hypotheses:
    """Compiles `function` by XLA and calls it on pieces of the batch at the same time.

    XLA compiles once for every shape, so sizes are rounded up by at most a quarter: there are
    four shapes from one power of two to the next. Sources are padded with zeros, the batch
    with copies of its last row, which end when that one does. Call it inside a `tf.function`;
    the pieces are run by its threads.

    Args:
        function: From inputs to hypotheses, a batch of any size; zeros behind a source
            change nothing.
        inputs: `(batch, ...)` tensors; the second axis, where its size is not static, is the
            length of the source.
        num_pieces: int, at least 1. A batch too small for pieces of `LEAST_ROWS` is one.
        longest: int, optional. Sources are not padded beyond this length.
        prepare: From a piece to tensors that `function` is given after it, optional: what has
            shapes that depend on values, which XLA does not compile.

    Returns:
        `Hypotheses` of the batch; the alignments are as wide as the padded sources.

    Raises:
        InputError: If a part writes into a `tf.TensorArray` that grows.
    """
    inputs = {name: _pad_source(tensor, longest) for name, tensor in inputs.items()}
    batch_size = tf.shape(next(iter(inputs.values())))[0]

    @tf.function(autograph=False, jit_compile=True)
    def compiled(*piece: Any) -> tuple[tf.Tensor, ...]:
        # Without the alignments where there are none.
        return tuple(tensor for tensor in function(*piece) if tensor is not None)

    def by(count: int) -> tuple[tf.Tensor, ...]:
        rows = round_up(-(-batch_size // count))
        # A row of zeros stands for the last of an empty batch.
        chosen = tf.minimum(tf.range(count * rows), tf.maximum(batch_size - 1, 0))
        padded = {
            name: tf.gather(_at_least_a_row(tensor), chosen) for name, tensor in inputs.items()
        }
        pieces = [
            {name: tensor[rows * i : rows * (i + 1)] for name, tensor in padded.items()}
            for i in range(count)
        ]
        prepared = [() if prepare is None else (prepare(piece),) for piece in pieces]
        # No piece waits for another: the threads run them side by side.
        found = [compiled(piece, *more) for piece, more in zip(pieces, prepared, strict=True)]
        # The trace that the calls have made.
        _check_arrays(compiled.get_concrete_function(pieces[0], *prepared[0]).graph)
        parts = zip(*found, strict=True)
        return tuple(tf.concat(tensors, axis=0)[:batch_size] for tensors in parts)

    if num_pieces == 1:
        return Hypotheses(*by(1))
    is_large = batch_size >= num_pieces * LEAST_ROWS
    return Hypotheses(*tf.cond(is_large, lambda: by(num_pieces), lambda: by(1)))


def _check_arrays(graph: tf.Graph) -> None:
    """Refuses what XLA (TensorFlow 2.21) compiles and gets wrong without an error: of a
    `TensorArray` that grows, what is written past its first size is lost."""
    definition = graph.as_graph_def()
    bodies = [definition.node, *(one.node_def for one in definition.library.function)]
    for node in (node for body in bodies for node in body):
        if node.op == "TensorListSetItem" and node.attr["resize_if_index_out_of_bounds"].b:
            raise InputError(
                "This model cannot be compiled by XLA: a part writes into a `tf.TensorArray` "
                "that grows, and XLA loses what is written past its first size. Received: "
                f"{node.name!r} with dynamic_size=True. Give the array its size and "
                "dynamic_size=False, or leave `jit_compile` out (export as saved_model)."
            )


def num_threads() -> int:
    """How many pieces can be decoded side by side: the threads TensorFlow runs operations on;
    1 with a GPU, which needs no pieces."""
    if tf.config.list_logical_devices("GPU"):
        return 1
    return tf.config.threading.get_inter_op_parallelism_threads() or os.cpu_count() or 1


def round_up(size: tf.Tensor) -> tf.Tensor:
    """The least of 1, 2, ..., 8, 10, 12, 14, 16, 20, ... that is not below `size`, int32."""
    size = tf.maximum(size, 1)
    powers = tf.constant([2**exponent for exponent in range(31)], tf.int32)
    # Four steps from the highest power of two below the size to the next.
    below = tf.reduce_max(tf.where(powers < tf.maximum(size, 2), powers, 1))
    step = tf.maximum(below // 4, 1)
    return -(-size // step) * step


def _pad_source(tensor: tf.Tensor, longest: int | None) -> tf.Tensor:
    if len(tensor.shape) == 1 or tensor.shape[1] is not None:
        return tensor
    length = tf.shape(tensor)[1]
    padded = round_up(length)
    if longest is not None:
        padded = tf.minimum(padded, tf.maximum(longest, length))
    rest = [[0, 0]] * (len(tensor.shape) - 2)
    return tf.pad(tensor, [[0, 0], [0, padded - length], *rest])


def _at_least_a_row(tensor: tf.Tensor) -> tf.Tensor:
    missing = tf.cast(tf.shape(tensor)[0] == 0, tf.int32)
    return tf.pad(tensor, [[0, missing]] + [[0, 0]] * (len(tensor.shape) - 1))
