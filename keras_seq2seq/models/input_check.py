"""What `encode` is given, checked before any tensor work."""

from collections.abc import Mapping, Set
from contextlib import suppress
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.data.preprocessor import raise_problems
from keras_seq2seq.data.text import why_no_text
from keras_seq2seq.errors import InputError

NAMES_OF_ONE = {"prefixes": "Prefix", "targets": "Target"}


def check_encoder_inputs(
    inputs: Any, spec: Mapping[str, tf.TensorSpec], vocabulary_size: int | None
) -> None:
    """Checks names, rank, sizes and dtype; and ids, where they are values and not symbols.

    Args:
        inputs: Dictionary of arrays or tensors, by name.
        spec: What the encoder takes, by name.
        vocabulary_size: int. Ids are below it; `None` for a source that is not ids.

    Raises:
        InputError: Names the input, what was received and what is needed.
    """
    if not isinstance(inputs, Mapping) or set(inputs) != set(spec):
        received = sorted(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__
        raise InputError(
            f"The encoder takes a dictionary of {sorted(spec)}. Received: {received}."
        )
    for name, expected in spec.items():
        value = inputs[name]
        if not tf.is_tensor(value):
            value = np.asarray(value)
        is_right_kind = (
            np.issubdtype(_numpy_dtype(value), np.integer)
            if expected.dtype.is_integer
            else np.issubdtype(_numpy_dtype(value), np.floating)
        )
        if not is_right_kind or not expected.shape.is_compatible_with(value.shape):
            raise InputError(
                f"`{name}` must be {expected.dtype.name} of shape {_shape(expected.shape)}. "
                f"Received: {_numpy_dtype(value).name} of shape {_shape(value.shape)}."
            )
        if 0 in value.shape:
            raise InputError(
                f"`{name}` needs at least one row and one position. Received: shape "
                f"{_shape(value.shape)}."
            )
        if vocabulary_size is not None and expected.dtype.is_integer:
            _check_ids(name, value, vocabulary_size)


def _check_ids(name: str, value: Any, vocabulary_size: int) -> None:
    if tf.is_tensor(value):
        if not isinstance(value, tf.__internal__.EagerTensor):
            return  # A symbol: the lookup in the graph says what is out of range.
        value = value.numpy()
    if value.size and not (0 <= value.min() and value.max() < vocabulary_size):
        wrong = value[(value < 0) | (value >= vocabulary_size)]
        raise InputError(
            f"`{name}` must hold ids from 0 to {vocabulary_size - 1}, the source vocabulary of "
            f"this model. Received: {wrong.size} others, the first is {wrong[0]}. Make the ids "
            "with the tokenizer that the model was trained with."
        )


def _numpy_dtype(value: Any) -> np.dtype:
    dtype = value.dtype
    return np.dtype(dtype.as_numpy_dtype if isinstance(dtype, tf.DType) else dtype)


def _shape(shape: Any) -> str:
    sizes = ["any" if size is None else str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def list_of_sources(sources: Any) -> list[Any]:
    """The sources as a list; `InputError` for what holds none."""
    if isinstance(sources, (bytes, bytearray)):
        raise InputError(f"A source is a string. Received: {sources!r:.60}. Decode it first.")
    return _listed("sources", sources)


def list_of_texts(name: str, texts: Any) -> list[str]:
    """Strings as a list; `InputError` for a single string and for what is no list of them."""
    if isinstance(texts, (str, bytes, bytearray)):
        raise InputError(
            f"`{name}` must be a list of strings. Received one: {texts!r:.60}. Put it into a "
            "list."
        )
    texts = _listed(name, texts)
    problems = {i: why for i, text in enumerate(texts) if (why := why_no_text(text))}
    raise_problems(problems, len(texts), NAMES_OF_ONE[name])
    return texts


def _listed(name: str, values: Any) -> list[Any]:
    # Of a dictionary a list has the keys alone, and a set has no order for the answers.
    # Nor has a table of several columns.
    if not isinstance(values, (Mapping, Set)) and getattr(values, "ndim", 1) == 1:
        with suppress(TypeError):
            return list(values)
    raise InputError(
        f"`{name}` must be a list. Received: {type(values).__name__} {values!r:.60}."
    )
