"""Which tokens a sampler may draw, and how probable each is then.

A filter maps log probabilities `(..., vocabulary_size)` to scores of the same shape, not
normalized; what may not be drawn is impossible. The most probable token always stays.
"""

import math
from typing import Any, Protocol

import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.decoding.rules import IMPOSSIBLE, size_of
from keras_seq2seq.errors import InputError, check_counts


class Filter(Protocol):
    """Called as `filter(log_probs)`."""

    def __call__(self, log_probs: tf.Tensor) -> tf.Tensor: ...


def _check(name: str, value: Any, above: float, most: float = math.inf) -> None:
    """Raises `InputError` for a number out of range; a tensor is not looked into."""
    if not tf.is_tensor(value) and not above < value <= most:
        limits = f"above {above:g}" + ("" if most == math.inf else f" and at most {most:g}")
        raise InputError(f"`{name}` must be {limits}. Received: {name}={value}.")


def _least(one: Any, other: Any) -> Any:
    known = not tf.is_tensor(one) and not tf.is_tensor(other)
    return min(one, other) if known else tf.minimum(one, other)


class Temperature:
    """`log p / temperature`: below 1 sharper, above 1 flatter.

    Args:
        temperature: float, or float32 tensor, scalar or `(batch, 1, 1)`; above 0.
    """

    @checked
    def __init__(self, temperature: float | tf.Tensor):
        _check("temperature", temperature, above=0.0)
        self.temperature = temperature

    def __call__(self, log_probs):
        # What TensorFlow makes of a division by a constant, so that a tensor gives the same.
        return tf.maximum(log_probs * tf.math.reciprocal(self.temperature), IMPOSSIBLE)


class TopK:
    """The `k` most probable tokens (more where several are equal to the last).

    Args:
        k: int, or int32 scalar tensor; at least 1.
        most: int, optional: `k` at most, for XLA, which must know how many are looked for.
    """

    @checked
    def __init__(self, k: int | tf.Tensor, most: int | None = None):
        if not tf.is_tensor(k):
            check_counts(k=k)
        self.k = k
        self.most = most

    def __call__(self, log_probs):
        size = size_of(log_probs)
        k, most = _least(self.k, size), self.k if self.most is None else self.most
        found = tf.math.top_k(log_probs, _least(most, size))
        last = tf.gather(found.values, [k - 1], axis=-1)
        return tf.where(log_probs < last, IMPOSSIBLE, log_probs)


class TopP:
    """The fewest most probable tokens whose probabilities reach `p` in total.

    Reference:
        [Holtzman et al., 2019](https://arxiv.org/abs/1904.09751), section 3.1.
    """

    @checked
    def __init__(self, p: float | tf.Tensor):
        _check("p", p, above=0.0, most=1.0)
        self.p = p

    def __call__(self, log_probs):
        probabilities = tf.nn.softmax(log_probs)
        ordered = tf.sort(probabilities, direction="DESCENDING")
        before = tf.cumsum(ordered, axis=-1, exclusive=True)
        # The least probable token that is needed: all before it do not reach p.
        needed = tf.where(before < self.p, ordered, 2.0)
        least = tf.reduce_min(needed, axis=-1, keepdims=True)
        return tf.where(probabilities < least, IMPOSSIBLE, log_probs)


class MinP:
    """Tokens of at least `min_p` times the highest probability.

    Reference:
        [Nguyen et al., 2024](https://arxiv.org/abs/2407.01082), section 3.
    """

    @checked
    def __init__(self, min_p: float | tf.Tensor):
        _check("min_p", min_p, above=0.0, most=1.0)
        self.min_p = min_p

    def __call__(self, log_probs):
        highest = tf.reduce_max(log_probs, axis=-1, keepdims=True)
        allowed = log_probs >= highest + tf.math.log(self.min_p)
        return tf.where(allowed, log_probs, IMPOSSIBLE)
