"""Rules that change the log probabilities before a strategy chooses.

A rule is a small class; `decode` applies rules in order. A new rule changes no other file.
"""

from collections.abc import Sequence
from typing import Protocol

import tensorflow as tf

# Log probability of what is impossible. Finite, because minus infinity times zero is not a
# number; a sum below IMPOSSIBLE / 2 counts as impossible.
IMPOSSIBLE = -1e9


class Rule(Protocol):
    """Called as `rule(time, token_ids, log_probs)`.

    Args:
        time: int32 scalar, 0 for the first token.
        token_ids: `(rows, max_length)`, int32, a row a live hypothesis: the tokens chosen so
            far at positions below `time`.
        log_probs: `(rows, vocabulary_size)`, float32.

    Returns:
        Log probabilities of the same shape. The tokens left keep theirs: a score stays
        `log P(y | x)`.
    """

    def __call__(
        self, time: tf.Tensor, token_ids: tf.Tensor, log_probs: tf.Tensor
    ) -> tf.Tensor: ...


class SuppressTokens:
    """Makes the given token ids impossible."""

    def __init__(self, token_ids: Sequence[int]):
        self.token_ids = tuple(token_ids)

    def __call__(self, time, token_ids, log_probs):
        vocabulary_size = log_probs.shape[-1]
        mask = [IMPOSSIBLE if i in self.token_ids else 0.0 for i in range(vocabulary_size)]
        return log_probs + tf.constant(mask, tf.float32)


class MinLength:
    """Makes the end token impossible before `min_length` other tokens."""

    def __init__(self, min_length: int, end_id: int):
        self.min_length = min_length
        self.end_id = end_id

    def __call__(self, time, token_ids, log_probs):
        is_end = tf.one_hot(self.end_id, log_probs.shape[-1], IMPOSSIBLE, 0.0)
        return tf.where(time < self.min_length, log_probs + is_end, log_probs)


class RepetitionPenalty:
    """Multiplies the log probability of every token that occurred already by `penalty`.

    The rule of [Keskar et al., 2019](https://arxiv.org/abs/1909.05858), section 4.1, divides
    positive scores and multiplies negative ones; log probabilities are never positive. The
    changed values count in the score.
    """

    def __init__(self, penalty: float):
        self.penalty = penalty

    def __call__(self, time, token_ids, log_probs):
        past = tf.range(tf.shape(token_ids)[1])[None] < time
        occurred = _mark(token_ids, past, log_probs)
        return tf.where(occurred, log_probs * self.penalty, log_probs)


class NoRepeatNGram:
    """Makes impossible what would complete an n-gram that the hypothesis has already.

    Reference:
        [Paulus et al., 2017](https://arxiv.org/abs/1705.04304), section 2.5 (trigrams).
    """

    def __init__(self, size: int):
        self.size = size

    def __call__(self, time, token_ids, log_probs):
        size, length = self.size, tf.shape(token_ids)[1]
        count = tf.maximum(length - size + 1, 0)  # n-grams that fit
        starts = tf.range(count)[None]
        # An n-gram is complete if its last token is chosen already.
        repeats = tf.fill([tf.shape(token_ids)[0], count], True) & (starts + size <= time)
        for offset in range(size - 1):
            latest = tf.gather(token_ids, tf.maximum(time - size + 1 + offset, 0), axis=1)[
                :, None
            ]
            repeats &= token_ids[:, offset : offset + count] == latest
        forbidden = _mark(token_ids[:, size - 1 : size - 1 + count], repeats, log_probs)
        return tf.where(forbidden, IMPOSSIBLE, log_probs)


def _mark(token_ids: tf.Tensor, chosen: tf.Tensor, log_probs: tf.Tensor) -> tf.Tensor:
    """`(rows, vocabulary_size)`, bool: the tokens at the chosen positions of each row."""
    rows = tf.broadcast_to(tf.range(tf.shape(token_ids)[0])[:, None], tf.shape(token_ids))
    counts = tf.scatter_nd(
        tf.stack([rows, token_ids], -1),
        tf.cast(tf.broadcast_to(chosen, tf.shape(token_ids)), tf.int32),
        tf.shape(log_probs),
    )
    return counts > 0
