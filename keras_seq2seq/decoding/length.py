"""How the length of a hypothesis enters its score."""

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class LengthPenalty:
    """`score = log P(y | x) / |y| ** alpha`, with `|y|` the tokens of `y`, the end included.

    Args:
        alpha: float, at least 0. 0 (default) ranks by probability, 1 by the mean log
            probability of a token; larger values favour longer hypotheses.

    Raises:
        ValueError: If `alpha` is negative.
    """

    alpha: float = 0.0

    def __post_init__(self) -> None:
        if not self.alpha >= 0:
            raise ValueError(f"`alpha` must be at least 0. Received: alpha={self.alpha}.")

    def score(self, log_probs: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Scores of hypotheses of `length` tokens, shape of `log_probs`."""
        if self.alpha == 0:
            return log_probs
        return log_probs / tf.cast(length, tf.float32) ** self.alpha

    def best_case(self, log_probs: tf.Tensor, max_length: tf.Tensor) -> tf.Tensor:
        """The highest score that any continuation of a live hypothesis can reach.

        Every further token has log probability at most 0, and dividing a number at most 0
        by more makes it larger: so all further tokens certain, at the greatest length.
        """
        return self.score(log_probs, max_length)
