"""Which tokens a sampler may draw, and how probable each is then.

A filter maps log probabilities `(..., vocabulary_size)` to scores of the same shape, not
normalized; what may not be drawn is impossible. The most probable token always stays.
"""

from typing import Protocol

import tensorflow as tf

from keras_seq2seq.decoding.rules import IMPOSSIBLE


class Filter(Protocol):
    """Called as `filter(log_probs)`."""

    def __call__(self, log_probs: tf.Tensor) -> tf.Tensor: ...


class Temperature:
    """`log p / temperature`: below 1 sharper, above 1 flatter.

    Args:
        temperature: float, or float32 tensor, scalar or `(batch, 1, 1)`; above 0.
    """

    def __init__(self, temperature: float | tf.Tensor):
        self.temperature = temperature

    def __call__(self, log_probs):
        return tf.maximum(log_probs / self.temperature, IMPOSSIBLE)


class TopK:
    """The `k` most probable tokens (more where several are equal to the last)."""

    def __init__(self, k: int):
        self.k = k

    def __call__(self, log_probs):
        last = tf.math.top_k(log_probs, min(self.k, log_probs.shape[-1])).values[..., -1:]
        return tf.where(log_probs < last, IMPOSSIBLE, log_probs)


class TopP:
    """The fewest most probable tokens whose probabilities reach `p` in total.

    Reference:
        [Holtzman et al., 2019](https://arxiv.org/abs/1904.09751), section 3.1.
    """

    def __init__(self, p: float):
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

    def __init__(self, min_p: float):
        self.min_p = min_p

    def __call__(self, log_probs):
        highest = tf.reduce_max(log_probs, axis=-1, keepdims=True)
        allowed = log_probs >= highest + tf.math.log(self.min_p)
        return tf.where(allowed, log_probs, IMPOSSIBLE)
