"""Greedy search: the most probable token at every step."""

import tensorflow as tf

from keras_seq2seq.decoding.loop import Carry, Hypotheses
from keras_seq2seq.decoding.rules import IMPOSSIBLE


class GreedySearch:
    """Takes the most probable token until the end token: one hypothesis.

    Args:
        end_id: int. The end token.
        pad_id: int. Fills the positions after the end. Defaults to 0.
    """

    num_beams = 1

    def __init__(self, end_id: int, pad_id: int = 0):
        self.end_id = end_id
        self.pad_id = pad_id

    def start(self, batch_size, max_length) -> Carry:
        return {
            "token_ids": tf.fill([batch_size, max_length], tf.constant(self.pad_id, tf.int32)),
            "lengths": tf.fill([batch_size], 0),
            "log_probs": tf.fill([batch_size], 0.0),
            "done": tf.fill([batch_size], False),
        }

    def advance(self, time, max_length, log_probs, carry):
        best = tf.argmax(log_probs[:, 0], axis=-1, output_type=tf.int32)
        best_log_prob = tf.reduce_max(log_probs[:, 0], axis=-1)
        live = ~carry["done"]
        token = tf.where(live, best, self.pad_id)
        ends = token == self.end_id
        position = tf.range(max_length)[None]
        return (
            token[:, None],
            None,
            {
                "token_ids": tf.where(position == time, token[:, None], carry["token_ids"]),
                "lengths": carry["lengths"] + tf.cast(live & ~ends, tf.int32),
                "log_probs": carry["log_probs"] + tf.where(live, best_log_prob, 0.0),
                # Where rules leave nothing possible there is nothing to go on with.
                "done": carry["done"] | ends | (best_log_prob <= IMPOSSIBLE / 2),
            },
        )

    def is_done(self, carry) -> tf.Tensor:
        return carry["done"]

    def finish(self, carry) -> Hypotheses:
        return Hypotheses(
            carry["token_ids"][:, None],
            carry["lengths"][:, None],
            carry["log_probs"][:, None],
            carry["log_probs"][:, None],
        )
