"""Strategies whose hypotheses do not compete: greedy search and sampling."""

from collections.abc import Sequence

import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.decoding.filters import Filter
from keras_seq2seq.decoding.hypotheses import Hypotheses
from keras_seq2seq.decoding.loop import Carry
from keras_seq2seq.decoding.rules import IMPOSSIBLE
from keras_seq2seq.decoding.tracks import Tracks, extend, gather
from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import PAD_ID


class GreedySearch:
    """Takes the most probable token until the end token: one hypothesis.

    Args:
        end_id: int. The end token.
    """

    num_beams = 1
    competes = False

    @checked
    def __init__(self, end_id: int):
        self.end_id = end_id

    def choose(self, time: tf.Tensor, log_probs: tf.Tensor) -> tf.Tensor:
        """`(batch, num_beams, vocabulary_size)` -> tokens `(batch, num_beams)`, int32."""
        return tf.argmax(log_probs, axis=-1, output_type=tf.int32)

    def start(self, tracks: Tracks) -> Carry:
        shape = [
            size or tf.shape(tracks["token_ids"])[axis]
            for axis, size in enumerate(tracks["token_ids"].shape[:2])
        ]
        return {
            "tracks": tracks,
            "lengths": tf.fill(shape, 0),
            "log_probs": tf.fill(shape, 0.0),
            "done": tf.fill(shape, False),
        }

    def live(self, carry) -> Hypotheses:
        tracks = carry["tracks"]
        return Hypotheses(
            token_ids=tracks["token_ids"],
            lengths=carry["lengths"],
            log_probs=carry["log_probs"],
            scores=carry["log_probs"],
            token_log_probs=tracks["token_log_probs"],
            alignments=tracks.get("alignments"),
        )

    def advance(self, time, limits, log_probs, observed, carry):
        chosen = self.choose(time, log_probs)
        log_prob = tf.gather(log_probs, chosen, batch_dims=2)
        live = ~carry["done"]
        # Where rules leave nothing possible there is nothing to go on with.
        stuck = log_prob <= IMPOSSIBLE / 2
        token = tf.where(live & ~stuck, chosen, PAD_ID)
        log_prob = tf.where(live, log_prob, 0.0)
        ends = token == self.end_id
        grows = tf.cast(live & ~ends & ~stuck, tf.int32)
        observed = {
            name: tf.where((live & ~stuck)[:, :, None], tensor, 0.0)
            for name, tensor in observed.items()
        }
        return (
            token,
            None,
            {
                "tracks": extend(carry["tracks"], None, time, token, log_prob, observed),
                "lengths": carry["lengths"] + grows,
                "log_probs": carry["log_probs"] + log_prob,
                "done": carry["done"] | ends | stuck | (time + 1 >= limits)[:, None],
            },
        )

    def is_done(self, carry):
        return tf.reduce_all(carry["done"], axis=1)

    def finish(self, carry) -> Hypotheses:
        return self.live(carry)


class Sampling(GreedySearch):
    """Draws every token at random: `num_samples` independent hypotheses a source.

    By the Gumbel trick: the argument of the maximum of `score + g`, with `g` independent
    standard Gumbel noise, is a draw from `softmax(score)`. The noise depends on `seed`, the
    step and the row alone: no state, the same seed gives the same targets, also when
    exported; compiled by XLA, which makes noise in its own way, it gives others. `log_probs`
    are those of the model, not of the filtered distribution.

    Args:
        num_samples: int, at least 1.
        end_id: int. The end token.
        filters: Applied in this order before drawing. Defaults to none.
        seed: int, or int32 scalar. Defaults to 0.

    Raises:
        InputError: If `num_samples` is below 1.

    Reference:
        [Gumbel, 1954]; [Kool et al., 2019](https://arxiv.org/abs/1903.06059), section 2.2.
    """

    @checked
    def __init__(
        self,
        num_samples: int,
        end_id: int,
        filters: Sequence[Filter] = (),
        seed: int | tf.Tensor = 0,
    ):
        if num_samples < 1:
            raise InputError(
                f"`num_samples` must be at least 1. Received: num_samples={num_samples}."
            )
        super().__init__(end_id)
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
        samples = self.live(carry)
        _, order = tf.math.top_k(samples.scores, self.num_beams)
        fields = {name: t for name, t in samples._asdict().items() if t is not None}
        return Hypotheses(**gather(fields, order))
