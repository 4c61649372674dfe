"""How the length of a hypothesis enters its score."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import tensorflow as tf

from keras_seq2seq.errors import InputError


class LengthRule(Protocol):
    """Ranks hypotheses of different length. Lengths count the end token."""

    def score(self, log_probs: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Scores of hypotheses of `length` tokens, shape of `log_probs`."""
        ...

    def best_case(
        self, log_probs: tf.Tensor, length: tf.Tensor, max_length: tf.Tensor
    ) -> tf.Tensor:
        """No continuation of a live hypothesis of `length` tokens scores higher.

        Beam search stops by it, so it must hold for every continuation of at least one and
        at most `max_length - length` tokens, each of log probability at most 0.
        """
        ...


# A number; or a float32 tensor of a graph, scalar or one a row `(batch, 1)`, whose caller
# then checks its range.
Strength = Any


def _check_alpha(alpha: Strength) -> None:
    if not tf.is_tensor(alpha) and not alpha >= 0:
        raise InputError(f"`alpha` must be at least 0. Received: alpha={alpha}.")


@dataclass(frozen=True)
class LengthPenalty:
    """`score = log P(y | x) / |y|^alpha`.

    Args:
        alpha: float, at least 0. 0 (default) ranks by probability, 1 by the mean log
            probability of a token; larger values favour longer hypotheses.

    Raises:
        InputError: If `alpha` is negative.
    """

    alpha: Strength = 0.0

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)

    def score(self, log_probs: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        if not tf.is_tensor(self.alpha) and self.alpha == 0:
            return log_probs
        return log_probs / tf.cast(length, tf.float32) ** self.alpha

    def best_case(
        self, log_probs: tf.Tensor, length: tf.Tensor, max_length: tf.Tensor
    ) -> tf.Tensor:
        # Dividing a number at most 0 by more makes it larger: the greatest length is best.
        return self.score(log_probs, max_length)


@dataclass(frozen=True)
class GNMTLengthPenalty:
    """`score = log P(y | x) / ((5 + |y|) / 6)^alpha`.

    Args:
        alpha: float, at least 0. Defaults to 0.6.

    Raises:
        InputError: If `alpha` is negative.

    Reference:
        [Wu et al., 2016](https://arxiv.org/abs/1609.08144), equation 14.
    """

    alpha: Strength = 0.6

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)

    def score(self, log_probs: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        return log_probs / ((5 + tf.cast(length, tf.float32)) / 6) ** self.alpha

    def best_case(
        self, log_probs: tf.Tensor, length: tf.Tensor, max_length: tf.Tensor
    ) -> tf.Tensor:
        return self.score(log_probs, max_length)


@dataclass(frozen=True)
class WordReward:
    """`score = log P(y | x) + reward * |y|`.

    Args:
        reward: float. Added for every token; negative values favour short hypotheses.

    Raises:
        InputError: If `reward` is not finite.
    """

    reward: Strength = 0.0

    def __post_init__(self) -> None:
        if not tf.is_tensor(self.reward) and not math.isfinite(self.reward):
            raise InputError(f"`reward` must be finite. Received: reward={self.reward}.")

    def score(self, log_probs: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        return log_probs + self.reward * tf.cast(length, tf.float32)

    def best_case(
        self, log_probs: tf.Tensor, length: tf.Tensor, max_length: tf.Tensor
    ) -> tf.Tensor:
        # Positive: as many tokens as possible; negative: the one that is certain to come.
        return self.score(log_probs, tf.where(self.reward > 0, max_length, length + 1))
