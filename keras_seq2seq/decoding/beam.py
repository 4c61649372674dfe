"""Beam search with finished hypotheses kept apart, their scores frozen."""

import math
from typing import Any

import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.decoding.coverage import CoveragePenalty
from keras_seq2seq.decoding.hypotheses import Hypotheses
from keras_seq2seq.decoding.length import LengthPenalty, LengthRule
from keras_seq2seq.decoding.loop import Carry
from keras_seq2seq.decoding.rules import IMPOSSIBLE, size_of
from keras_seq2seq.decoding.top_k import best_continuations
from keras_seq2seq.decoding.tracks import Observed, Tracks, extend, merge
from keras_seq2seq.errors import InputError


class BeamSearch:
    """Beam search over the `num_beams` most probable unfinished hypotheses.

    At every step, of all one-token continuations:

    1. the `2 K` most probable are taken (`K = num_beams`; at most `K` of them end);
    2. those that end and are among the first `K` go to the pool of finished hypotheses,
       which keeps the best `K` by score; a finished hypothesis is never extended, so its
       score cannot change;
    3. the first `K` that do not end live on;
    4. the search of a row stops when `patience * K` hypotheses have ended, or when no live
       one can still enter the pool, whatever it goes on with.

    With one beam this is greedy search. With a beam as large as the number of hypotheses it
    is exhaustive. What still lives at `max_length` enters the pool as it is, without an end
    token.

    Args:
        num_beams: int, at least 1.
        end_id: int. The end token.
        num_hypotheses: int. How many to return, at most `num_beams`. Defaults to
            `num_beams`.
        length_rule: Such as `LengthPenalty`. Defaults to ranking by probability.
        patience: float above 0, or float64 scalar tensor; `math.inf` stops by the second rule
            of 4 alone, which loses nothing. Defaults to 1.
        coverage: `CoveragePenalty`, optional: added to the score of an ended hypothesis;
            needs recorded attention. Defaults to none.

    Raises:
        InputError: If `num_beams` is below 1, `num_hypotheses` is not in
            [1, num_beams], or `patience` is not above 0.

    Reference:
        [Kasai et al., 2022](https://arxiv.org/abs/2204.05424), algorithm 1 (patience).
    """

    competes = True

    @checked
    def __init__(
        self,
        num_beams: int,
        end_id: int,
        num_hypotheses: int | None = None,
        length_rule: LengthRule | None = None,
        patience: float | tf.Tensor = 1.0,
        coverage: CoveragePenalty | None = None,
    ):
        if num_beams < 1:
            raise InputError(
                f"`num_beams` must be at least 1. Received: num_beams={num_beams}."
            )
        num_hypotheses = num_beams if num_hypotheses is None else num_hypotheses
        if not 1 <= num_hypotheses <= num_beams:
            raise InputError(
                "`num_hypotheses` must be from 1 to `num_beams`. Received: "
                f"num_hypotheses={num_hypotheses}, num_beams={num_beams}."
            )
        if not tf.is_tensor(patience) and not patience > 0:
            raise InputError(f"`patience` must be above 0. Received: patience={patience}.")
        self.num_beams = num_beams
        self.end_id = end_id
        self.num_hypotheses = num_hypotheses
        self.length_rule = length_rule or LengthPenalty()
        self._enough = _rounded_up(patience * num_beams)
        self.coverage = coverage

    def start(self, tracks: Tracks) -> Carry:
        num_beams = self.num_beams
        shape = tf.shape(tracks["token_ids"])
        batch_size = tracks["token_ids"].shape[0] or shape[0]
        nothing = tf.fill([batch_size, num_beams], IMPOSSIBLE)
        # One live hypothesis, the empty one: the other beams must not repeat it.
        first = tf.one_hot(0, num_beams, 0.0, IMPOSSIBLE)[None]
        return {
            "live": tracks,
            "live_log_probs": tf.tile(first, [batch_size, 1]),
            "live_length": tf.constant(0),
            "pool": tracks,
            "pool_lengths": tf.fill([batch_size, num_beams], 0),
            "pool_log_probs": nothing,
            "pool_scores": nothing,
            "num_ended": tf.fill([batch_size], 0),
            "done": tf.fill([batch_size], False),
        }

    def live(self, carry) -> Hypotheses:
        # Where a row is done, nothing lives.
        log_probs = tf.where(carry["done"][:, None], IMPOSSIBLE, carry["live_log_probs"])
        lengths = tf.fill(tf.shape(log_probs), carry["live_length"])
        return _hypotheses(carry["live"], lengths, log_probs, log_probs)

    def advance(self, time, limits, log_probs, observed, carry):
        tokens, parents, _, carry = self.choose(time, limits, log_probs, observed, carry)
        return tokens, parents, carry

    def choose(
        self,
        time: tf.Tensor,
        limits: tf.Tensor,
        log_probs: tf.Tensor,
        observed: Observed,
        carry: Carry,
        penalties: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, Carry]:
        """`advance`, where the choice may weigh more than probability.

        Args:
            penalties: `(batch, vocabulary_size)`, float32, optional: subtracted from the log
                probabilities when the continuations are chosen, and then only.

        Returns:
            Tokens, parents, how many of the chosen ended `(batch,)` int32, and the carry.
        """
        num_beams, vocabulary_size = self.num_beams, size_of(log_probs)
        totals = carry["live_log_probs"]
        merits, index = best_continuations(
            totals,
            log_probs if penalties is None else log_probs - penalties[:, None],
            # A list of tokens has the special ones at least.
            num_beams * min(2, log_probs.shape[-1] or 2),
        )
        parents = index // vocabulary_size
        tokens = index - parents * vocabulary_size
        ends = tokens == self.end_id
        # Of each candidate: the log probability of its last token alone, and of all of it.
        last = tf.gather_nd(log_probs, tf.stack([parents, tokens], -1), batch_dims=1)
        candidates = tf.gather(totals, parents, batch_dims=1) + last

        first = slice(None), slice(num_beams)
        cut = (time + 1 >= limits)[:, None]
        enters = (ends[first] | cut) & (candidates[first] > IMPOSSIBLE / 2)
        enters &= ~carry["done"][:, None]
        extended = extend(
            carry["live"], parents[first], time, tokens[first], last[first], observed
        )
        ended_now = tf.reduce_sum(tf.cast(enters & ends[first], tf.int32), 1)
        lengths = time + 1 - tf.cast(ends[first], tf.int32)
        carry = self._add_to_pool(time, enters, candidates[first], lengths, extended, carry)

        # The candidates come in order of merit, and the ended ones sink.
        _, chosen = tf.math.top_k(tf.where(ends, 2 * IMPOSSIBLE, merits), num_beams)
        live_log_probs, parents, tokens, last, ends = (
            tf.gather(tensor, chosen, batch_dims=1)
            for tensor in (candidates, parents, tokens, last, ends)
        )
        # An impossible hypothesis must stay impossible and not sink without limit.
        live_log_probs = tf.maximum(tf.where(ends, IMPOSSIBLE, live_log_probs), IMPOSSIBLE)
        carry["live"] = extend(carry["live"], parents, time, tokens, last, observed)
        carry["live_log_probs"] = live_log_probs
        carry["live_length"] = time + 1
        carry["done"] |= self._cannot_improve(time, limits, carry)
        return tokens, parents, ended_now, carry

    def _add_to_pool(
        self,
        time: tf.Tensor,
        enters: tf.Tensor,
        log_probs: tf.Tensor,
        lengths: tf.Tensor,
        extended: Tracks,
        carry: Carry,
    ) -> Carry:
        """The pool with the candidates that enter, ended or cut at the greatest length."""
        scores = self.length_rule.score(log_probs, time + 1)
        if self.coverage is not None:
            scores += self.coverage.score(extended["alignments"])
        blank = {name: tf.zeros_like(track) for name, track in extended.items()}
        extended = {
            name: tf.where(_like(enters, track), track, blank[name])
            for name, track in extended.items()
        }
        pool_scores, kept = tf.math.top_k(
            tf.concat([carry["pool_scores"], tf.where(enters, scores, IMPOSSIBLE)], 1),
            self.num_beams,
        )

        def merged(old, new):
            return tf.gather(tf.concat([old, new], 1), kept, batch_dims=1)

        return {
            **carry,
            "pool": merge(carry["pool"], extended, kept),
            "pool_scores": pool_scores,
            "pool_log_probs": merged(
                carry["pool_log_probs"], tf.where(enters, log_probs, IMPOSSIBLE)
            ),
            "pool_lengths": merged(carry["pool_lengths"], tf.where(enters, lengths, 0)),
            "num_ended": carry["num_ended"] + tf.reduce_sum(tf.cast(enters, tf.int32), 1),
        }

    def _cannot_improve(self, time, limits, carry: Carry) -> tf.Tensor:
        best_live = tf.reduce_max(carry["live_log_probs"], 1)
        # A coverage penalty is at most 0, so the best case needs none.
        best_case = self.length_rule.best_case(best_live[:, None], time + 1, limits[:, None])[
            :, 0
        ]
        worst_of_pool = carry["pool_scores"][:, -1]
        done = (best_live <= IMPOSSIBLE / 2) | (best_case <= worst_of_pool)
        done |= time + 1 >= limits
        if self._enough is not None:
            done |= carry["num_ended"] >= self._enough
        return done

    def is_done(self, carry) -> tf.Tensor:
        return carry["done"]

    def finish(self, carry) -> Hypotheses:
        count = self.num_hypotheses
        return Hypotheses(
            *(
                None if tensor is None else tensor[:, :count]
                for tensor in _hypotheses(
                    carry["pool"],
                    carry["pool_lengths"],
                    carry["pool_log_probs"],
                    carry["pool_scores"],
                )
            )
        )


def _hypotheses(tracks: Tracks, lengths, log_probs, scores) -> Hypotheses:
    return Hypotheses(
        token_ids=tracks["token_ids"],
        lengths=lengths,
        log_probs=log_probs,
        scores=scores,
        token_log_probs=tracks["token_log_probs"],
        alignments=tracks.get("alignments"),
    )


def _rounded_up(number: Any) -> Any:
    """A number as int, a tensor as int32; `None` for one without end."""
    if tf.is_tensor(number):
        return tf.cast(tf.minimum(tf.math.ceil(number), tf.int32.max), tf.int32)
    return math.ceil(number) if math.isfinite(number) else None


def _like(flags: tf.Tensor, track: tf.Tensor) -> tf.Tensor:
    """`(batch, hypotheses)` with as many axes as the track."""
    for _ in range(len(track.shape) - 2):
        flags = flags[..., None]
    return flags
