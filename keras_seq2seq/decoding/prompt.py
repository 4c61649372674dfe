"""What every target of a model begins with, as rules."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.decoding.rules import IMPOSSIBLE, BiasRule, Rule, apply_rules, suppression


class Prompt:
    """Makes every target begin with tokens of given choices; other rules start after them.

    Of each choice the most probable token alone is possible, and keeps its probability.

    Args:
        choices: Ids of each position, at least one.
        rules: The rules for what follows.
    """

    @checked
    def __init__(self, choices: Sequence[Sequence[int]], rules: Sequence[Rule] = ()):
        self.choices = [list(choice) for choice in choices]
        self.rules = tuple(rules)

    def __call__(self, time, token_ids, log_probs):
        size, count = log_probs.shape[-1], len(self.choices)
        free = apply_rules(self.rules, time, token_ids, log_probs)
        table = np.full((count, size), IMPOSSIBLE, np.float32)
        for row, choice in zip(table, self.choices, strict=True):
            row[choice] = 0
        here = tf.minimum(time, count - 1)
        chosen = log_probs + tf.gather(tf.constant(table), here)
        if max(map(len, self.choices)) > 1:
            best = tf.reduce_max(chosen, -1, keepdims=True)
            chosen = tf.where(chosen < best, IMPOSSIBLE, chosen)
        # A sum of products: LiteRT chooses between values more slowly.
        begins = tf.cast(time < count, tf.float32)
        return begins * chosen + (1 - begins) * free


class SuppressAt(BiasRule):
    """Makes the given token ids impossible at one step.

    Args:
        time: int. 0 for the first token.
        token_ids: Ids.
    """

    @checked
    def __init__(self, time: int, token_ids: Sequence[int]):
        self.time = time
        self.token_ids = token_ids

    def bias(self, time, vocabulary_size):
        is_here = tf.cast(tf.equal(time, self.time), tf.float32)
        return is_here * tf.constant(suppression(self.token_ids, vocabulary_size))
