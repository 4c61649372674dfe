"""Scores of positions to weights."""

from typing import Any

import keras


def attention_weights(scores: Any) -> Any:
    """Softmax of scores over the last axis, float32: sums of many half precision exponentials
    lose too much."""
    scores = keras.ops.cast(scores, "float32")
    if scores.shape[-1] == 1:
        # A first step has one position, and a source may: Keras warns of its own softmax there.
        return keras.ops.exp(keras.ops.log_softmax(scores, axis=-1))
    return keras.ops.softmax(scores, axis=-1)
