"""What every target of a model begins with, as rules."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.decoding.rules import (
    IMPOSSIBLE,
    BiasRule,
    Rule,
    SuppressTokens,
    apply_rules,
    size_of,
)


class Prompt:
    """Makes every target begin with tokens of given choices; other rules start after them.

    Of each choice the most probable token alone is possible, and keeps its probability.

    Args:
        choices: Ids of each position, at least one; a list or an int32 tensor each.
        rules: The rules for what follows.
    """

    @checked
    def __init__(self, choices: Sequence[Any], rules: Sequence[Rule] = ()):
        self.choices = list(choices)
        self.rules = tuple(rules)

    def __call__(self, time, token_ids, log_probs):
        count = len(self.choices)
        free = apply_rules(self.rules, time, token_ids, log_probs)
        rows = [_all_but(choice, size_of(log_probs)) for choice in self.choices]
        table = tf.stack(rows) if any(map(tf.is_tensor, rows)) else tf.constant(np.stack(rows))
        here = tf.minimum(time, count - 1)
        chosen = log_probs + tf.gather(table, here)
        if max(map(len, self.choices)) > 1:
            best = tf.reduce_max(chosen, -1, keepdims=True)
            chosen = tf.where(chosen < best, IMPOSSIBLE, chosen)
        # A sum of products: LiteRT chooses between values more slowly.
        begins = tf.cast(time < count, tf.float32)
        return begins * chosen + (1 - begins) * free


def _all_but(choice: Any, size: Any) -> Any:
    """`(size,)`, float32: 0 for the chosen ids, `IMPOSSIBLE` for the others."""
    if tf.is_tensor(choice):
        return (1.0 - tf.reduce_max(tf.one_hot(choice, size), 0)) * IMPOSSIBLE
    row = np.full(size, IMPOSSIBLE, np.float32)
    row[list(choice)] = 0
    return row


class SuppressAt(BiasRule):
    """Makes the given token ids impossible at one step.

    Args:
        time: int. 0 for the first token.
        token_ids: Ids; or float32 `(vocabulary_size,)` as of `suppression`.
    """

    @checked
    def __init__(self, time: int, token_ids: Sequence[int] | tf.Tensor):
        self.time = time
        self.token_ids = token_ids

    def bias(self, time, vocabulary_size):
        is_here = tf.cast(tf.equal(time, self.time), tf.float32)
        return is_here * SuppressTokens(self.token_ids).bias(time, vocabulary_size)
