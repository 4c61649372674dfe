"""Beam search with finished hypotheses kept apart, their scores frozen."""

import math

import tensorflow as tf

from keras_seq2seq.decoding.length import LengthPenalty, LengthRule
from keras_seq2seq.decoding.loop import Carry, Hypotheses
from keras_seq2seq.decoding.rules import IMPOSSIBLE


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
        patience: float, above 0; `math.inf` stops by the second rule of 4 alone, which loses
            nothing. Defaults to 1.
        pad_id: int. Fills the positions after the end. Defaults to 0.

    Raises:
        ValueError: If `num_beams` is below 1, `num_hypotheses` is not in
            [1, num_beams], or `patience` is not above 0.

    Reference:
        [Kasai et al., 2022](https://arxiv.org/abs/2204.05424), algorithm 1 (patience).
    """

    def __init__(
        self,
        num_beams: int,
        end_id: int,
        num_hypotheses: int | None = None,
        length_rule: LengthRule | None = None,
        patience: float = 1.0,
        pad_id: int = 0,
    ):
        if num_beams < 1:
            raise ValueError(
                f"`num_beams` must be at least 1. Received: num_beams={num_beams}."
            )
        num_hypotheses = num_beams if num_hypotheses is None else num_hypotheses
        if not 1 <= num_hypotheses <= num_beams:
            raise ValueError(
                "`num_hypotheses` must be from 1 to `num_beams`. Received: "
                f"num_hypotheses={num_hypotheses}, num_beams={num_beams}."
            )
        if not patience > 0:
            raise ValueError(f"`patience` must be above 0. Received: patience={patience}.")
        self.num_beams = num_beams
        self.end_id = end_id
        self.num_hypotheses = num_hypotheses
        self.length_rule = length_rule or LengthPenalty()
        self.patience = patience
        self.pad_id = pad_id

    def start(self, batch_size, max_length) -> Carry:
        num_beams = self.num_beams
        pad = tf.constant(self.pad_id, tf.int32)
        nothing = tf.fill([batch_size, num_beams], IMPOSSIBLE)
        # One live hypothesis, the empty one: the other beams must not repeat it.
        first = tf.one_hot(0, num_beams, 0.0, IMPOSSIBLE)[None]
        return {
            "live_token_ids": tf.fill([batch_size, num_beams, max_length], pad),
            "live_log_probs": tf.tile(first, [batch_size, 1]),
            "pool_token_ids": tf.fill([batch_size, num_beams, max_length], pad),
            "pool_lengths": tf.fill([batch_size, num_beams], 0),
            "pool_log_probs": nothing,
            "pool_scores": nothing,
            "num_ended": tf.fill([batch_size], 0),
            "done": tf.fill([batch_size], False),
        }

    def live_token_ids(self, carry):
        return carry["live_token_ids"]

    def advance(self, time, max_length, log_probs, carry):
        num_beams, vocabulary_size = self.num_beams, log_probs.shape[-1]
        totals = carry["live_log_probs"][:, :, None] + log_probs
        totals = tf.reshape(totals, [-1, num_beams * vocabulary_size])
        num_candidates = num_beams * min(2, vocabulary_size)
        candidates, index = tf.math.top_k(totals, num_candidates)
        parents = index // vocabulary_size
        tokens = index - parents * vocabulary_size
        ends = tokens == self.end_id

        carry = self._add_to_pool(time, max_length, candidates, parents, tokens, ends, carry)

        live_log_probs, chosen = tf.math.top_k(
            tf.where(ends, IMPOSSIBLE, candidates), num_beams
        )
        # An impossible hypothesis must stay impossible and not sink without limit.
        live_log_probs = tf.maximum(live_log_probs, IMPOSSIBLE)
        parents = tf.gather(parents, chosen, batch_dims=1)
        tokens = tf.gather(tokens, chosen, batch_dims=1)
        carry["live_token_ids"] = _extend(carry["live_token_ids"], parents, tokens, time)
        carry["live_log_probs"] = live_log_probs
        carry["done"] |= self._cannot_improve(time, max_length, carry)
        return tokens, parents, carry

    def _add_to_pool(
        self, time, max_length, candidates, parents, tokens, ends, carry: Carry
    ) -> Carry:
        num_beams = self.num_beams
        # The candidates are sorted, so only the first K can enter.
        log_probs = candidates[:, :num_beams]
        parents, tokens = parents[:, :num_beams], tokens[:, :num_beams]
        ends = ends[:, :num_beams]
        # At the last step everything enters, ended or cut.
        enters = (ends | (time + 1 >= max_length)) & (log_probs > IMPOSSIBLE / 2)
        enters &= ~carry["done"][:, None]
        scores = tf.where(enters, self.length_rule.score(log_probs, time + 1), IMPOSSIBLE)
        lengths = time + 1 - tf.cast(ends, tf.int32)
        token_ids = _extend(carry["live_token_ids"], parents, tokens, time)
        pool_scores, kept = tf.math.top_k(
            tf.concat([carry["pool_scores"], scores], 1), num_beams
        )

        def merge(old, new):
            return tf.gather(tf.concat([old, new], 1), kept, batch_dims=1)

        return {
            **carry,
            "pool_scores": pool_scores,
            "pool_log_probs": merge(
                carry["pool_log_probs"], tf.where(enters, log_probs, IMPOSSIBLE)
            ),
            "pool_lengths": merge(carry["pool_lengths"], tf.where(enters, lengths, 0)),
            "pool_token_ids": merge(
                carry["pool_token_ids"], tf.where(enters[:, :, None], token_ids, self.pad_id)
            ),
            "num_ended": carry["num_ended"] + tf.reduce_sum(tf.cast(enters, tf.int32), 1),
        }

    def _cannot_improve(self, time, max_length, carry: Carry) -> tf.Tensor:
        best_live = carry["live_log_probs"][:, 0]
        best_case = self.length_rule.best_case(best_live, time + 1, max_length)
        worst_of_pool = carry["pool_scores"][:, -1]
        done = (best_live <= IMPOSSIBLE / 2) | (best_case <= worst_of_pool)
        if math.isfinite(self.patience):
            done |= carry["num_ended"] >= math.ceil(self.patience * self.num_beams)
        return done

    def is_done(self, carry) -> tf.Tensor:
        return carry["done"]

    def finish(self, carry) -> Hypotheses:
        count = self.num_hypotheses
        return Hypotheses(
            carry["pool_token_ids"][:, :count],
            carry["pool_lengths"][:, :count],
            carry["pool_log_probs"][:, :count],
            carry["pool_scores"][:, :count],
        )


def _extend(token_ids, parents, tokens, time):
    """`(batch, beams, length)`: the sequences of the parents with a token written at `time`."""
    position = tf.range(tf.shape(token_ids)[2])[None, None]
    sequences = tf.gather(token_ids, parents, batch_dims=1)
    return tf.where(position == time, tokens[:, :, None], sequences)
