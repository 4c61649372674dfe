"""Strategies whose hypotheses do not compete: greedy search and sampling."""

from collections.abc import Sequence

import tensorflow as tf

from keras_seq2seq.decoding.filters import Filter
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

    def choose(self, time: tf.Tensor, log_probs: tf.Tensor) -> tf.Tensor:
        """`(batch, num_beams, vocabulary_size)` -> tokens `(batch, num_beams)`, int32."""
        return tf.argmax(log_probs, axis=-1, output_type=tf.int32)

    def start(self, batch_size, max_length) -> Carry:
        shape = [batch_size, self.num_beams]
        return {
            "token_ids": tf.fill([*shape, max_length], tf.constant(self.pad_id, tf.int32)),
            "lengths": tf.fill(shape, 0),
            "log_probs": tf.fill(shape, 0.0),
            "done": tf.fill(shape, False),
        }

    def live_token_ids(self, carry):
        return carry["token_ids"]

    def advance(self, time, max_length, log_probs, carry):
        chosen = self.choose(time, log_probs)
        log_prob = tf.gather(log_probs, chosen, batch_dims=2)
        live = ~carry["done"]
        # Where rules leave nothing possible there is nothing to go on with.
        stuck = log_prob <= IMPOSSIBLE / 2
        token = tf.where(live & ~stuck, chosen, self.pad_id)
        ends = token == self.end_id
        position = tf.range(max_length)[None, None]
        grows = tf.cast(live & ~ends & ~stuck, tf.int32)
        token_ids = tf.where(position == time, token[:, :, None], carry["token_ids"])
        return (
            token,
            None,
            {
                "token_ids": token_ids,
                "lengths": carry["lengths"] + grows,
                "log_probs": carry["log_probs"] + tf.where(live, log_prob, 0.0),
                "done": carry["done"] | ends | stuck,
            },
        )

    def is_done(self, carry):
        return tf.reduce_all(carry["done"], axis=1)

    def finish(self, carry) -> Hypotheses:
        return Hypotheses(
            carry["token_ids"], carry["lengths"], carry["log_probs"], carry["log_probs"]
        )


class Sampling(GreedySearch):
    """Draws every token at random: `num_samples` independent hypotheses a source.

    By the Gumbel trick: the argument of the maximum of `score + g`, with `g` independent
    standard Gumbel noise, is a draw from `softmax(score)`. The noise depends on `seed`, the
    step and the row alone: no state, the same seed gives the same targets, also when
    exported. `log_probs` are those of the model, not of the filtered distribution.

    Args:
        num_samples: int, at least 1.
        end_id: int. The end token.
        filters: Applied in this order before drawing. Defaults to none.
        seed: int. Defaults to 0.
        pad_id: int. Fills the positions after the end. Defaults to 0.

    Raises:
        ValueError: If `num_samples` is below 1.

    Reference:
        [Gumbel, 1954]; [Kool et al., 2019](https://arxiv.org/abs/1903.06059), section 2.2.
    """

    def __init__(
        self,
        num_samples: int,
        end_id: int,
        filters: Sequence[Filter] = (),
        seed: int = 0,
        pad_id: int = 0,
    ):
        if num_samples < 1:
            raise ValueError(
                f"`num_samples` must be at least 1. Received: num_samples={num_samples}."
            )
        super().__init__(end_id, pad_id)
        self.num_beams = num_samples
        self.filters = tuple(filters)
        self.seed = seed

    def choose(self, time, log_probs):
        scores = log_probs
        for filter_ in self.filters:
            scores = filter_(scores)
        uniform = tf.random.stateless_uniform(
            tf.shape(scores), seed=tf.stack([self.seed, time]), minval=1e-12
        )
        # What is impossible stays so: noise of double the greatest size does not lift it.
        return super().choose(time, scores - tf.math.log(-tf.math.log(uniform)))

    def finish(self, carry) -> Hypotheses:
        log_probs, order = tf.math.top_k(carry["log_probs"], self.num_beams)
        return Hypotheses(
            tf.gather(carry["token_ids"], order, batch_dims=1),
            tf.gather(carry["lengths"], order, batch_dims=1),
            log_probs,
            log_probs,
        )
