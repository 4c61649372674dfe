"""How much of the source a hypothesis has attended to, as a part of its score."""

import math
from typing import Any

import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError

# Attention below this counts as this, so that the logarithm is finite.
LEAST_ATTENTION = 1e-6


class CoveragePenalty:
    """`cp = beta * sum_i log(min(sum_j p_ij, 1))`, added to the score.

    `p_ij` is the attention to source position `i` when target token `j` was chosen, the end
    token included on both sides. A position that got no attention counts as one with 1e-6.
    At most 0; it ranks ended hypotheses and does not steer the search among live ones.

    Args:
        beta: float above 0, or float32 scalar tensor.
        source_mask: `(batch, source_length)`, bool, `True` where there is source.

    Raises:
        InputError: If `beta` is not a finite number above 0.

    Reference:
        [Wu et al., 2016](https://arxiv.org/abs/1609.08144), equation 14.
    """

    @checked
    def __init__(self, beta: float | tf.Tensor, source_mask: Any):
        if not tf.is_tensor(beta) and not 0 < beta < math.inf:
            raise InputError(f"`beta` must be finite and above 0. Received: beta={beta}.")
        self.beta = beta
        self.source_mask = source_mask

    def score(self, alignments: tf.Tensor) -> tf.Tensor:
        """`(batch, hypotheses, length, source_length)` -> `(batch, hypotheses)`."""
        attention = tf.reduce_sum(alignments, axis=2)
        logs = tf.math.log(tf.clip_by_value(attention, LEAST_ATTENTION, 1.0))
        return self.beta * tf.reduce_sum(tf.where(self.source_mask[:, None], logs, 0.0), -1)
