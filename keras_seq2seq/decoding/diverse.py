"""Beam search in groups that avoid each other's tokens."""

import math

import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.decoding.beam import BeamSearch
from keras_seq2seq.decoding.coverage import CoveragePenalty
from keras_seq2seq.decoding.hypotheses import Hypotheses
from keras_seq2seq.decoding.length import LengthRule
from keras_seq2seq.decoding.loop import Carry
from keras_seq2seq.decoding.rules import size_of
from keras_seq2seq.decoding.tracks import Tracks, gather
from keras_seq2seq.errors import InputError


class DiverseBeamSearch:
    """Diverse beam search with Hamming diversity.

    The beams are cut into groups, each a `BeamSearch` of its own. At every step the groups
    choose one after the other; a token that `n` hypotheses of earlier groups chose at this
    step counts `n * diversity_penalty` less. The penalty bears on the choice at its step
    alone: log probabilities and scores stay those of the model. The end token counts as a
    token like others. With one group this is beam search.

    The hypotheses of all groups are ranked together, the best first. Two groups may find the
    same one.

    Args:
        num_beams: int. Beams of all groups together.
        num_groups: int, divides `num_beams`.
        diversity_penalty: float at least 0, or float32 scalar tensor; the paper uses 0.2 to
            0.8.
        end_id: int. The end token.
        num_hypotheses: int. How many to return, at most `num_beams`. Defaults to
            `num_beams`.
        length_rule: Such as `LengthPenalty`. Defaults to ranking by probability.
        patience: As of `BeamSearch`, for each group. Defaults to 1.
        coverage: `CoveragePenalty`, optional.

    Raises:
        InputError: If `num_groups` does not divide `num_beams`, `diversity_penalty` is
            negative or not finite, or as `BeamSearch`.

    Reference:
        [Vijayakumar et al., 2016](https://arxiv.org/abs/1610.02424), algorithm 1.
    """

    competes = True

    @checked
    def __init__(
        self,
        num_beams: int,
        num_groups: int,
        diversity_penalty: float | tf.Tensor,
        end_id: int,
        num_hypotheses: int | None = None,
        length_rule: LengthRule | None = None,
        patience: float | tf.Tensor = 1.0,
        coverage: CoveragePenalty | None = None,
    ):
        if num_groups < 1 or num_beams % num_groups:
            raise InputError(
                "`num_groups` must divide `num_beams`. Received: "
                f"num_groups={num_groups}, num_beams={num_beams}."
            )
        if not tf.is_tensor(diversity_penalty) and not 0 <= diversity_penalty < math.inf:
            raise InputError(
                "`diversity_penalty` must be at least 0. Received: "
                f"diversity_penalty={diversity_penalty}."
            )
        num_hypotheses = num_beams if num_hypotheses is None else num_hypotheses
        if not 1 <= num_hypotheses <= num_beams:
            raise InputError(
                "`num_hypotheses` must be from 1 to `num_beams`. Received: "
                f"num_hypotheses={num_hypotheses}, num_beams={num_beams}."
            )
        self.num_beams = num_beams
        self.num_groups = num_groups
        self.diversity_penalty = diversity_penalty
        self.num_hypotheses = num_hypotheses
        self.group = BeamSearch(
            num_beams // num_groups,
            end_id,
            length_rule=length_rule,
            patience=patience,
            coverage=coverage,
        )

    def start(self, tracks: Tracks) -> Carry:
        size = self.group.num_beams
        one = self.group.start({name: track[:, :size] for name, track in tracks.items()})
        return {f"group_{index}": one for index in range(self.num_groups)}

    def live(self, carry) -> Hypotheses:
        return _join([self.group.live(group) for group in carry.values()])

    def advance(self, time, limits, log_probs, observed, carry):
        size, vocabulary_size = self.group.num_beams, size_of(log_probs)
        counts = tf.zeros_like(log_probs[:, 0])
        tokens, parents, new_carry = [], [], {}
        for index, (name, group) in enumerate(carry.items()):
            begin = index * size
            own = slice(begin, begin + size)
            chosen, chosen_parents, num_ended, new_carry[name] = self.group.choose(
                time,
                limits,
                log_probs[:, own],
                {key: tensor[:, own] for key, tensor in observed.items()},
                group,
                self.diversity_penalty * counts if index else None,
            )
            chosen_counts = tf.reduce_sum(tf.one_hot(chosen, vocabulary_size), 1)
            chosen_counts += tf.cast(num_ended, tf.float32)[:, None] * tf.one_hot(
                self.group.end_id, vocabulary_size
            )
            # What a group that was done already goes on with, nobody sees.
            counts += tf.where(self.group.is_done(group)[:, None], 0.0, chosen_counts)
            tokens.append(chosen)
            parents.append(chosen_parents + begin)
        return tf.concat(tokens, 1), tf.concat(parents, 1), new_carry

    def is_done(self, carry) -> tf.Tensor:
        done = [self.group.is_done(group) for group in carry.values()]
        return tf.reduce_all(tf.stack(done), 0)

    def finish(self, carry) -> Hypotheses:
        pools = _join([self.group.finish(group) for group in carry.values()])
        _, order = tf.math.top_k(pools.scores, self.num_hypotheses)
        fields = {name: t for name, t in pools._asdict().items() if t is not None}
        return Hypotheses(**gather(fields, order))


def _join(groups: list[Hypotheses]) -> Hypotheses:
    return Hypotheses(
        *(
            None if tensors[0] is None else tf.concat(tensors, 1)
            for tensors in zip(*groups, strict=True)
        )
    )
