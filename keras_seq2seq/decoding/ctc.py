"""Joint CTC/attention decoding: a second opinion that cannot skip or repeat the source."""

import math
from typing import Any

import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.decoding.loop import State, Step
from keras_seq2seq.errors import InputError, check_counts

# Log of nothing. Finite, so that differences are numbers.
NEVER = -1e30

_LOG_PROBS, _NON_BLANK, _BLANK, _LAST = (
    f"ctc_{name}" for name in ("log_probs", "non_blank", "blank", "last")
)


_CHANGING = (_NON_BLANK, _BLANK, _LAST)
_ENTRIES = frozenset({_LOG_PROBS, *_CHANGING})


class JointCTC:
    """Adds CTC's log probability of every next token to the decoder's.

    With `psi(g)` the probability of all label sequences that begin with `g`, CTC gives the
    next token `log psi(g c) - log psi(g)`, and the end token `log p(g) - log psi(g)`; the sum
    over a whole target is its `log p_ctc(y | x)`. A step returns

    ```
    (1 - weight) log p_attention(c | g, x) + weight log p_ctc(c | g, x)
    ```

    which is no distribution: do not normalize it.

    Args:
        weight: float in [0, 1], or float64 scalar tensor: the share of CTC.
        end_id: int. The end token.
        start_id: int. The first input.
        longest: int. Positions of the memory at most.
        blank_id: int. Defaults to 0.

    Reference:
        [Hori et al., 2017](https://aclanthology.org/P17-1048), section 3.2, equations 13
        to 18; forward variables of
        [Graves et al., 2006](https://doi.org/10.1145/1143844.1143891).
    """

    @checked
    def __init__(
        self,
        weight: float | tf.Tensor,
        end_id: int,
        start_id: int,
        longest: int,
        blank_id: int = 0,
    ):
        if not tf.is_tensor(weight) and not 0 <= weight <= 1:
            raise InputError(f"`weight` must be from 0 to 1. Received: {weight}.")
        check_counts(longest=longest)
        # The difference before it is rounded, for a tensor as for a number.
        self._shares = [tf.cast(share, tf.float32) for share in (1 - weight, weight)]
        self.end_id = end_id
        self.start_id = start_id
        self.blank_id = blank_id
        self._doublings = max(1, math.ceil(math.log2(max(longest, 2))))

    @property
    def changing(self) -> tuple[str, ...]:
        """The entries of the state that a step changes."""
        return _CHANGING

    def start(self, logits: tf.Tensor, mask: tf.Tensor) -> State:
        """Entries of the state before the first token.

        Args:
            logits: `(batch, positions, vocabulary_size)` of the CTC projection.
            mask: `(batch, positions)`, bool: where there is source.
        """
        log_probs = tf.nn.log_softmax(tf.cast(logits, tf.float32))
        # Behind the source there are blanks alone: what was probable at its end stays so.
        is_blank = tf.range(log_probs.shape[-1]) == self.blank_id
        beyond = tf.where(is_blank, 0.0, NEVER)
        log_probs = tf.where(mask[:, :, None], log_probs, beyond[None, None])
        # Of the empty prefix, ahead of every position and behind the last.
        blank = tf.cumsum(log_probs[:, :, self.blank_id], axis=1)
        blank = tf.pad(blank, [[0, 0], [1, 0]])
        return {
            _LOG_PROBS: log_probs,
            _NON_BLANK: tf.fill(tf.shape(blank), NEVER),
            _BLANK: blank,
            _LAST: tf.fill(tf.shape(blank)[:1], self.blank_id),
        }

    def joined(self, step: Step) -> Step:
        """A step over the state with these entries; its first result are joint scores."""

        def joint(token: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            own = {name: tensor for name, tensor in state.items() if name in _ENTRIES}
            others = {name: tensor for name, tensor in state.items() if name not in _ENTRIES}
            logits, changed = step(token, others)
            attention = tf.nn.log_softmax(tf.cast(logits, tf.float32))
            ctc, forward = self._step(token, own)
            scores = self._shares[0] * attention + self._shares[1] * ctc
            return scores, {**changed, **forward}

        return joint

    def _step(self, token: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """`(rows,)` tokens -> log probabilities `(rows, V)` and the forward variables."""
        log_probs = state[_LOG_PROBS]
        spoken = tf.gather(log_probs, token, axis=2, batch_dims=1)
        silent = log_probs[:, :, self.blank_id]
        # A token that repeats the last one needs a blank between them.
        repeats = (token == state[_LAST])[:, None]
        either = _add(state[_BLANK], state[_NON_BLANK])
        enters = tf.where(repeats, state[_BLANK], either)[:, :-1]
        non_blank = self._forward(spoken, enters)
        blank = self._forward(silent, non_blank[:, :-1])
        # The start token says nothing.
        is_first = (token == self.start_id)[:, None]
        non_blank = tf.where(is_first, state[_NON_BLANK], non_blank)
        blank = tf.where(is_first, state[_BLANK], blank)
        last = tf.where(is_first[:, 0], state[_LAST], token)

        either = _add(blank, non_blank)
        whole = either[:, -1]
        begun = tf.reduce_logsumexp(either[:, :-1, None] + log_probs, axis=1)
        again = tf.gather(log_probs, last, axis=2, batch_dims=1)
        again = tf.reduce_logsumexp(blank[:, :-1] + again, axis=1)
        token_ids = tf.range(log_probs.shape[-1])[None]
        scores = tf.where(token_ids == last[:, None], again[:, None], begun)
        scores = tf.where(token_ids == self.end_id, whole[:, None], scores)
        scores = tf.where(token_ids == self.blank_id, NEVER, scores)
        # Every label sequence that begins with the prefix ends there or goes on with a token:
        # the sum is the prefix's own probability.
        scores = tf.nn.log_softmax(tf.maximum(scores, NEVER))
        return scores, {_NON_BLANK: non_blank, _BLANK: blank, _LAST: last}

    def _forward(self, log_probs: tf.Tensor, enters: tf.Tensor) -> tf.Tensor:
        """`x_t = (x_(t-1) + enter_(t-1)) p_t` in logs, `x_0` nothing: `(rows, positions + 1)`.

        A step maps `x` to `x w + b`; neighbours are composed, then pairs, then fours.
        """
        weight, bias = log_probs, enters + log_probs
        for doubling in range(self._doublings):
            weight_before = _shifted(weight, 2**doubling, 0.0)
            bias_before = _shifted(bias, 2**doubling, NEVER)
            bias = _add(bias_before + weight, bias)
            weight = tf.maximum(weight_before + weight, NEVER)
        return tf.pad(tf.maximum(bias, NEVER), [[0, 0], [1, 0]], constant_values=NEVER)


def _add(one: Any, other: Any) -> tf.Tensor:
    """Log of the sum of two probabilities."""
    high, low = tf.maximum(one, other), tf.minimum(one, other)
    return high + tf.math.log(1.0 + tf.exp(low - high))


def _shifted(tensor: tf.Tensor, by: int, fill: float) -> tf.Tensor:
    """Columns moved to the right, `fill` on the left."""
    padded = tf.pad(tensor, [[0, 0], [by, 0]], constant_values=fill)
    return padded[:, : tf.shape(tensor)[1]]
