"""Rules that change the log probabilities before a strategy chooses."""

from collections.abc import Sequence
from typing import Protocol

import tensorflow as tf

# Log probability of what is impossible. Finite, because minus infinity times zero is not a
# number; a sum below IMPOSSIBLE / 2 counts as impossible.
IMPOSSIBLE = -1e9


class Rule(Protocol):
    """Called as `rule(time, log_probs)`; returns log probabilities of the same shape.

    Args:
        time: int32 scalar, 0 for the first token.
        log_probs: `(rows, vocabulary_size)`, float32, a row a live hypothesis.
    """

    def __call__(self, time: tf.Tensor, log_probs: tf.Tensor) -> tf.Tensor: ...


class SuppressTokens:
    """Makes the given token ids impossible.

    The other tokens keep their log probabilities: a score stays `log P(y | x)`.
    """

    def __init__(self, token_ids: Sequence[int]):
        self.token_ids = tuple(token_ids)

    def __call__(self, time: tf.Tensor, log_probs: tf.Tensor) -> tf.Tensor:
        vocabulary_size = log_probs.shape[-1]
        mask = [IMPOSSIBLE if i in self.token_ids else 0.0 for i in range(vocabulary_size)]
        return log_probs + tf.constant(mask, tf.float32)
