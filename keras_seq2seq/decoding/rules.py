"""Rules that change the log probabilities before a strategy chooses.

A rule is a small class; `Search` applies rules in order. A new rule changes no other file.
What differs from row to row (a prefix, a least length) is a tensor with the batch first that
the rule holds: rules are built where the batch is known.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError, check_counts

# Log probability of what is impossible. Finite, because minus infinity times zero is not a
# number; a sum below IMPOSSIBLE / 2 counts as impossible.
IMPOSSIBLE = -1e9


class Rule(Protocol):
    """Called as `rule(time, token_ids, log_probs)`.

    Args:
        time: int32 scalar, 0 for the first token.
        token_ids: `(batch, num_beams, max_length)`, int32: the tokens that each live
            hypothesis has chosen, at positions below `time`.
        log_probs: `(batch, num_beams, vocabulary_size)`, float32.

    Returns:
        Log probabilities of the same shape. The tokens left keep theirs: a score stays
        `log P(y | x)`.
    """

    def __call__(
        self, time: tf.Tensor, token_ids: tf.Tensor, log_probs: tf.Tensor
    ) -> tf.Tensor: ...


class BiasRule(ABC):
    """A rule that adds the same to all hypotheses of a row, whatever their tokens are."""

    @abstractmethod
    def bias(self, time: tf.Tensor, vocabulary_size: Any) -> tf.Tensor:
        """What is added at `time`: float32, `(vocabulary_size,)` or `(batch, 1,
        vocabulary_size)`; the size is an int or a scalar."""

    def __call__(
        self, time: tf.Tensor, token_ids: tf.Tensor, log_probs: tf.Tensor
    ) -> tf.Tensor:
        return log_probs + self.bias(time, size_of(log_probs))


def size_of(log_probs: tf.Tensor) -> Any:
    """How many tokens there are: int, or int32 scalar where a batch decides on it."""
    return log_probs.shape[-1] or tf.shape(log_probs)[-1]


def apply_rules(
    rules: Sequence[Rule], time: tf.Tensor, token_ids: tf.Tensor, log_probs: tf.Tensor
) -> tf.Tensor:
    """The rules in their order; biases that follow one another are added in one pass."""
    biases: list[tf.Tensor] = []
    for rule in rules:
        if isinstance(rule, BiasRule):
            biases.append(rule.bias(time, size_of(log_probs)))
            continue
        log_probs = rule(time, token_ids, log_probs + sum(biases) if biases else log_probs)
        biases = []
    return log_probs + sum(biases) if biases else log_probs


class SuppressTokens(BiasRule):
    """Makes the given token ids impossible.

    Args:
        token_ids: Ids; or float32 `(vocabulary_size,)` as of `suppression`.
    """

    @checked
    def __init__(self, token_ids: Sequence[int] | np.ndarray | tf.Tensor):
        self.token_ids = token_ids

    def bias(self, time, vocabulary_size):
        if isinstance(self.token_ids, np.ndarray) or tf.is_tensor(self.token_ids):
            return tf.convert_to_tensor(self.token_ids)
        return tf.constant(suppression(self.token_ids, vocabulary_size))


class TokenBias(BiasRule):
    """Adds to the log probabilities of given tokens; the changed values count in the score.

    Args:
        biases: Token id -> float: above 0 favours the token; or float32 `(vocabulary_size,)`
            as of `token_biases`.
    """

    @checked
    def __init__(self, biases: Mapping[int, float] | np.ndarray | tf.Tensor):
        self.biases = biases

    def bias(self, time, vocabulary_size):
        if isinstance(self.biases, Mapping):
            return tf.constant(token_biases(self.biases, vocabulary_size))
        return tf.convert_to_tensor(self.biases)


@checked
def suppression(token_ids: Iterable[int], vocabulary_size: int) -> np.ndarray:
    """`(vocabulary_size,)`, float32: `IMPOSSIBLE` for the given ids, 0 for the others."""
    # An id that the vocabulary lacks is no token to suppress.
    within = [one for one in token_ids if 0 <= one < vocabulary_size]
    return token_biases(dict.fromkeys(within, IMPOSSIBLE), vocabulary_size)


@checked
def token_biases(biases: Mapping[int, float], vocabulary_size: int) -> np.ndarray:
    """`(vocabulary_size,)`, float32: what is added to each log probability."""
    vector = np.zeros(vocabulary_size, np.float32)
    vector[list(biases)] = list(biases.values())
    return vector


class MinLength(BiasRule):
    """Makes the end token impossible before `min_length` other tokens.

    Args:
        min_length: int, or int32, scalar or `(batch,)`.
        end_id: int. The end token.
    """

    @checked
    def __init__(self, min_length: Any, end_id: int):
        self.min_length = min_length
        self.end_id = end_id

    def bias(self, time, vocabulary_size):
        return _if(time < self.min_length) * _is(self.end_id, vocabulary_size)


class MaxLength(BiasRule):
    """Makes the end token alone possible after `max_length` other tokens.

    So every hypothesis ends, and its score holds the probability of ending.

    Args:
        max_length: int, or int32, scalar or `(batch,)`.
        end_id: int. The end token.
    """

    @checked
    def __init__(self, max_length: Any, end_id: int):
        self.max_length = max_length
        self.end_id = end_id

    def bias(self, time, vocabulary_size):
        too_late = _if(time >= self.max_length)
        return too_late - too_late * _is(self.end_id, vocabulary_size)


class RepetitionPenalty:
    """Multiplies the log probability of every token that occurred already by `penalty`.

    The rule of [Keskar et al., 2019](https://arxiv.org/abs/1909.05858), section 4.1, divides
    positive scores and multiplies negative ones; a log probability is positive after a bias
    alone. The changed values count in the score.

    Args:
        penalty: float, or float32 scalar tensor; above 0.
        signed: bool. Whether a value may be positive. Defaults to `False`.
    """

    @checked
    def __init__(self, penalty: float | tf.Tensor, signed: bool = False):
        if not tf.is_tensor(penalty) and not penalty > 0:
            raise InputError(f"`penalty` must be above 0. Received: penalty={penalty}.")
        self.penalty = penalty
        self.signed = signed

    def __call__(self, time, token_ids, log_probs):
        past = tf.broadcast_to(tf.range(tf.shape(token_ids)[-1]) < time, tf.shape(token_ids))
        occurred = _mark(token_ids, past, log_probs)
        penalized = log_probs * self.penalty
        if self.signed:
            penalized = tf.where(log_probs > 0, log_probs / self.penalty, penalized)
        return tf.where(occurred, penalized, log_probs)


class NoRepeatNGram:
    """Makes impossible what would complete an n-gram that the hypothesis has already.

    Reference:
        [Paulus et al., 2017](https://arxiv.org/abs/1705.04304), section 2.5 (trigrams).
    """

    @checked
    def __init__(self, size: int):
        check_counts(size=size)
        self.size = size

    def __call__(self, time, token_ids, log_probs):
        size, length = self.size, tf.shape(token_ids)[-1]
        count = tf.maximum(length - size + 1, 0)  # n-grams that fit
        # An n-gram is complete if its last token is chosen already.
        complete = tf.range(count) + size <= time
        last = token_ids[..., size - 1 : size - 1 + count]
        repeats = tf.broadcast_to(complete, tf.shape(last))
        for offset in range(size - 1):
            latest = tf.gather(token_ids, tf.maximum(time - size + 1 + offset, 0), axis=-1)
            repeats &= token_ids[..., offset : offset + count] == latest[..., None]
        return tf.where(_mark(last, repeats, log_probs), IMPOSSIBLE, log_probs)


class AllowedTargets:
    """Only whole targets of a given list: constrained decoding.

    A token is possible where the hypothesis with it is the beginning of an allowed target.
    A step compares `batch * num_beams * targets * length` ids.

    Args:
        targets: `(targets, length)`, int32, array or tensor: tokens, the end token, and
            padding.
    """

    @checked
    def __init__(self, targets: np.ndarray | tf.Tensor):
        self.targets = targets

    def __call__(self, time, token_ids, log_probs):
        targets = tf.convert_to_tensor(self.targets, tf.int32)
        length = targets.shape[1] or tf.shape(targets)[1]
        past = token_ids[..., :length]
        size = past.shape[-1] or tf.shape(past)[-1]
        agree = past[..., None, :] == targets[:, :size]
        agree |= tf.range(size) >= time
        begins = tf.reduce_all(agree, -1) & (time < length)
        column = tf.gather(targets, tf.minimum(time, length - 1), axis=1)
        allowed = _mark(tf.broadcast_to(column, tf.shape(begins)), begins, log_probs)
        return tf.where(allowed, log_probs, IMPOSSIBLE)


class ForcedPrefix:
    """Makes every target begin with given tokens; other rules start after them.

    Within the prefix its next token alone is possible, and keeps its probability: a score
    stays `log P(y | x)`.

    Args:
        token_ids: `(batch, prefix_length)`, int32, padded.
        lengths: `(batch,)`, int32: tokens of each prefix; 0 for none.
        rules: The rules for what follows the prefix.
    """

    @checked
    def __init__(self, token_ids: Any, lengths: Any, rules: Sequence[Rule] = ()):
        self.token_ids = token_ids
        self.lengths = lengths
        self.rules = tuple(rules)

    def __call__(self, time, token_ids, log_probs):
        free = apply_rules(self.rules, time, token_ids, log_probs)
        last = tf.shape(self.token_ids)[1] - 1
        # A column of padding in front: there is one to read for a batch without prefixes.
        padded = tf.pad(self.token_ids, [[0, 0], [1, 0]])
        token = tf.gather(padded, tf.minimum(time, last) + 1, axis=1)
        is_forced = tf.one_hot(token, size_of(log_probs), on_value=True, off_value=False)
        forced = tf.where(is_forced[:, None], log_probs, IMPOSSIBLE)
        return tf.where((time < self.lengths)[:, None, None], forced, free)


def _is(token_id: int, vocabulary_size: Any) -> tf.Tensor:
    """1 for this token, 0 for the others."""
    return tf.one_hot(token_id, vocabulary_size)


def _if(flags: tf.Tensor) -> tf.Tensor:
    """`IMPOSSIBLE` or 0: of a scalar a scalar, of `(batch,)` `(batch, 1, 1)`.

    To be multiplied with what `_is` says: LiteRT chooses between values for every token more
    slowly than it multiplies.
    """
    flags = flags[:, None, None] if flags.shape.rank else flags
    return tf.where(flags, IMPOSSIBLE, 0.0)


def _mark(token_ids: tf.Tensor, chosen: tf.Tensor, log_probs: tf.Tensor) -> tf.Tensor:
    """`(..., vocabulary_size)`, bool: the tokens at the chosen positions `(..., length)`."""
    shape = tf.shape(log_probs)
    rows = tf.reduce_prod(shape[:-1])
    length = tf.shape(token_ids)[-1]
    flat = tf.reshape(token_ids, [rows, length])
    row = tf.broadcast_to(tf.range(rows)[:, None], tf.shape(flat))
    counts = tf.scatter_nd(
        tf.stack([row, flat], -1),
        tf.cast(tf.reshape(chosen, [rows, length]), tf.int32),
        tf.stack([rows, shape[-1]]),
    )
    return tf.reshape(counts > 0, shape)
