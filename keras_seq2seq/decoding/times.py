"""Marks of time in a transcript, as a rule."""

import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.decoding.rules import IMPOSSIBLE


class MarkTimes:
    """Text between marks of time: a segment has one in front and one behind.

    - The first token is a mark, of at most `latest_first` steps.
    - After the mark behind a segment comes that of the next segment, or the end; after the
      mark in front comes text.
    - A mark is not before the one before it, and behind a text later than in front.
    - Where all marks together are more probable than every other token, a mark comes.

    Tokens that are left keep their probability.

    Args:
        first_id: int. The mark of 0 seconds; every id from there on is a later one.
        end_id: int. The end token.
        begin: int. Tokens that every target begins with.
        latest_first: int. Defaults to 50, which is one second.

    Reference:
        [Radford et al., 2022](https://arxiv.org/abs/2212.04356), sections 2.3 and 4.5.
    """

    @checked
    def __init__(self, first_id: int, end_id: int, begin: int, latest_first: int = 50):
        self.first_id = first_id
        self.end_id = end_id
        self.begin = begin
        self.latest_first = latest_first

    def __call__(self, time, token_ids, log_probs):
        ids = tf.range(log_probs.shape[-1])
        is_mark = ids >= self.first_id
        count = time - self.begin  # Tokens so far, without the beginning.
        last, before = (
            tf.gather(token_ids, tf.maximum(time - back, 0), axis=-1) for back in (1, 2)
        )
        after_mark = (count >= 1) & (last >= self.first_id)
        after_two = after_mark & ((count < 2) | (before >= self.first_id))
        past = tf.range(tf.shape(token_ids)[-1]) < time
        latest = tf.reduce_max(tf.where(past, token_ids, 0), -1)
        # A segment that is closed at its own beginning would be empty.
        closes = after_mark & ~after_two
        least = tf.where(closes, latest, latest + 1)
        wrong = is_mark & (after_two[..., None] | (ids < least[..., None]))
        wrong |= closes[..., None] & (ids < self.first_id) & (ids != self.end_id)
        is_first = tf.equal(count, 0)
        wrong |= is_first & (~is_mark | (ids > self.first_id + self.latest_first))
        left = tf.where(wrong, IMPOSSIBLE, log_probs)
        marks = tf.reduce_logsumexp(tf.where(is_mark, left, IMPOSSIBLE), -1, keepdims=True)
        others = tf.reduce_max(tf.where(is_mark, IMPOSSIBLE, left), -1, keepdims=True)
        return tf.where((marks > others) & ~is_mark, IMPOSSIBLE, left)
