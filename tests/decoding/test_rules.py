"""Every rule, filter and length rule against an independent one in plain Python."""

import math
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.decoding import (
    AllowedTargets,
    CoveragePenalty,
    ForcedPrefix,
    GNMTLengthPenalty,
    LengthPenalty,
    MaxLength,
    MinLength,
    MinP,
    NoRepeatNGram,
    RepetitionPenalty,
    Sampling,
    Search,
    SuppressTokens,
    Temperature,
    TokenBias,
    TopK,
    TopP,
    WordReward,
    build_rules,
)
from keras_seq2seq.decoding.rules import apply_rules
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.testing import check_rule

VOCABULARY, LENGTH = 5, 8
SEEDS = st.integers(0, 10_000)


def random_rows(seed, time):
    rng = np.random.default_rng(seed)
    log_probs = np.log(rng.dirichlet(np.ones(VOCABULARY), size=3)).astype("float32")
    token_ids = np.zeros((3, LENGTH), "int32")
    token_ids[:, :time] = rng.integers(0, VOCABULARY, (3, time))
    return token_ids, log_probs


def apply(rule, time, token_ids, log_probs):
    """A batch of as many rows, one beam each."""
    ids, values = tf.constant(token_ids)[:, None], tf.constant(log_probs)[:, None]
    return rule(tf.constant(time), ids, values).numpy()[:, 0]


RULES = [
    SuppressTokens([0, 2]),
    TokenBias({1: 0.5, 4: -1.0}),
    MinLength(3, 4),
    MaxLength(tf.constant([2, 4, 6]), 4),
    RepetitionPenalty(1.3),
    NoRepeatNGram(2),
]


@pytest.mark.parametrize(
    "rule",
    [*RULES, AllowedTargets(np.array([[3, 4, 1], [4, 3, 3]]))],
    ids=lambda rule: type(rule).__name__,
)
def test_a_rule_keeps_the_contract(rule):
    check_rule(rule, vocabulary_size=VOCABULARY, batch_size=3)


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(0, LENGTH - 1), st.permutations(RULES), st.integers(0, len(RULES)))
def test_rules_together_are_the_rules_one_after_the_other(seed, time, rules, count):
    token_ids, log_probs = random_rows(seed, time)
    together = apply(partial(apply_rules, rules[:count]), time, token_ids, log_probs)
    for rule in rules[:count]:
        log_probs = apply(rule, time, token_ids, log_probs)
    np.testing.assert_allclose(together, log_probs, rtol=1e-5)


@settings(deadline=None, max_examples=60)
@given(
    seed=SEEDS,
    time=st.integers(0, LENGTH - 1),
    bias=st.dictionaries(st.integers(1, 4), st.floats(-1e4, 1e4), max_size=4),
    penalty=st.floats(0.01, 100),
    suppressed=st.sets(st.integers(1, 3)),
    most=st.integers(0, LENGTH),
)
def test_no_bias_and_no_penalty_lifts_what_is_forbidden(
    seed, time, bias, penalty, suppressed, most
):
    token_ids, log_probs = random_rows(seed, time)
    rules = build_rules(
        GenerationSettings(repetition_penalty=penalty),
        end_id=4,
        suppressed=[0, *suppressed],
        token_biases=bias,
        max_length=most,
    )
    received = apply(partial(apply_rules, rules), time, token_ids, log_probs)
    possible = set(range(1, 5)) - suppressed if time < most else {4}
    for row in received:
        assert set(np.flatnonzero(row > -5e8)) == possible


def test_a_penalty_hinders_what_a_bias_made_positive():
    token_ids, log_probs = random_rows(0, 1)
    token_ids[:, 0] = 1
    received = apply(RepetitionPenalty(2.0, signed=True), 1, token_ids, log_probs + 10)
    np.testing.assert_allclose(received[:, 1], (log_probs[:, 1] + 10) / 2, rtol=1e-6)
    negative = apply(RepetitionPenalty(2.0, signed=True), 1, token_ids, log_probs)
    plain = apply(RepetitionPenalty(2.0), 1, token_ids, log_probs)
    np.testing.assert_array_equal(negative, plain)


@settings(deadline=None, max_examples=60)
@given(seed=SEEDS, time=st.integers(0, LENGTH), size=st.integers(1, 4))
def test_no_ngram_is_completed_again(seed, time, size):
    token_ids, log_probs = random_rows(seed, time)
    received = apply(NoRepeatNGram(size), time, token_ids, log_probs)
    for row in range(3):
        past = token_ids[row, :time].tolist()
        seen = {tuple(past[i : i + size]) for i in range(len(past) - size + 1)}
        for token in range(VOCABULARY):
            ngram = (*past[len(past) - size + 1 :], token) if size > 1 else (token,)
            forbidden = ngram in seen
            assert (received[row, token] < -1e8) == forbidden
            if not forbidden:
                assert received[row, token] == log_probs[row, token]


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, time=st.integers(0, LENGTH), penalty=st.sampled_from([0.5, 1.3, 2.0]))
def test_repeated_tokens_are_penalized(seed, time, penalty):
    token_ids, log_probs = random_rows(seed, time)
    received = apply(RepetitionPenalty(penalty), time, token_ids, log_probs)
    for row in range(3):
        for token in range(VOCABULARY):
            factor = penalty if token in token_ids[row, :time] else 1
            assert received[row, token] == pytest.approx(factor * log_probs[row, token])


def test_the_end_waits_for_the_least_length():
    token_ids, log_probs = random_rows(0, 2)
    early = apply(MinLength(3, end_id=1), 2, token_ids, log_probs)
    assert (early[:, 1] < -1e8).all()
    np.testing.assert_array_equal(np.delete(early, 1, 1), np.delete(log_probs, 1, 1))
    np.testing.assert_array_equal(
        apply(MinLength(3, end_id=1), 3, token_ids, log_probs), log_probs
    )


def test_the_end_comes_after_the_greatest_length():
    token_ids, log_probs = random_rows(0, 3)
    received = apply(MaxLength(tf.constant([2, 3, 4]), end_id=1), 3, token_ids, log_probs)
    np.testing.assert_array_equal(received[2], log_probs[2])
    np.testing.assert_array_equal(received[:, 1], log_probs[:, 1])
    assert (np.delete(received[:2], 1, 1) < -1e8).all()


def test_a_least_length_can_differ_from_row_to_row():
    token_ids, log_probs = random_rows(0, 2)
    received = apply(MinLength(tf.constant([2, 3, 0]), end_id=1), 2, token_ids, log_probs)
    assert (received[:, 1] < -1e8).tolist() == [False, True, False]


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, token=st.integers(0, VOCABULARY - 1), bias=st.floats(-3, 3))
def test_suppressed_and_biased_tokens(seed, token, bias):
    token_ids, log_probs = random_rows(seed, 2)
    biased = apply(TokenBias({token: bias}), 2, token_ids, log_probs)
    suppressed = apply(SuppressTokens([token]), 2, token_ids, log_probs)
    for row in range(3):
        for other in range(VOCABULARY):
            expected = log_probs[row, other] + (bias if other == token else 0)
            assert biased[row, other] == pytest.approx(expected, abs=1e-5)
            assert (suppressed[row, other] < -1e8) == (other == token)


@settings(deadline=None, max_examples=60)
@given(
    seed=SEEDS,
    time=st.integers(0, LENGTH - 1),
    targets=st.lists(
        st.lists(st.integers(2, VOCABULARY - 1), max_size=4), min_size=1, max_size=5
    ),
)
def test_only_beginnings_of_allowed_targets_are_possible(seed, time, targets):
    _, log_probs = random_rows(seed, 0)
    rng = np.random.default_rng(seed)
    ended = [[*target, 1] for target in targets]
    table = np.zeros((len(ended), max(map(len, ended))), "int32")
    for row, target in zip(table, ended, strict=True):
        row[: len(target)] = target
    # Rows that follow a target as far as it goes, and one that follows none.
    token_ids = np.zeros((3, LENGTH), "int32")
    for row in token_ids[:2]:
        target = ended[rng.integers(len(ended))][:time]
        row[: len(target)] = target
    token_ids[2, :time] = 1
    received = apply(AllowedTargets(table), time, token_ids, log_probs)
    for row in range(3):
        past = token_ids[row, :time].tolist()
        for token in range(1, VOCABULARY):
            possible = any(target[: time + 1] == [*past, token] for target in ended)
            assert (received[row, token] > -1e8) == possible
            if possible:
                assert received[row, token] == log_probs[row, token]


@settings(deadline=None, max_examples=30)
@given(
    seed=SEEDS,
    time=st.integers(0, 5),
    lengths=st.lists(st.integers(0, 3), min_size=3, max_size=3),
)
def test_a_prefix_is_forced_and_other_rules_start_after_it(seed, time, lengths):
    token_ids, log_probs = random_rows(seed, time)
    prefixes = np.random.default_rng(seed).integers(1, VOCABULARY, (3, max(lengths)))
    prefixes = prefixes.astype("int32")
    rule = ForcedPrefix(tf.constant(prefixes), tf.constant(lengths), [SuppressTokens([2])])
    received = apply(rule, time, token_ids, log_probs)
    for row, length in enumerate(lengths):
        for token in range(VOCABULARY):
            possible = token == prefixes[row, time] if time < length else token != 2
            assert (received[row, token] > -1e8) == possible
            if possible:
                assert received[row, token] == log_probs[row, token]


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, beta=st.floats(0.01, 2))
def test_the_coverage_penalty_is_equation_14(seed, beta):
    rng = np.random.default_rng(seed)
    alignments = rng.dirichlet(np.ones(4), size=(2, 3, 5)).astype("float32")
    alignments[:, :, 3:] = 0  # Positions after the end.
    mask = np.array([[True] * 4, [True, True, False, False]])
    received = CoveragePenalty(beta, mask).score(tf.constant(alignments)).numpy()
    for row in range(2):
        for hypothesis in range(3):
            total = 0.0
            for source in range(4):
                if mask[row, source]:
                    attention = sum(alignments[row, hypothesis, t, source] for t in range(5))
                    total += math.log(min(max(attention, 1e-6), 1.0))
            assert received[row, hypothesis] == pytest.approx(beta * total, abs=1e-4)


def kept(filter_, log_probs):
    return filter_(tf.constant(log_probs)).numpy() > -1e8


@settings(deadline=None, max_examples=40)
@given(seed=SEEDS, k=st.integers(1, 7), p=st.floats(0.01, 1), min_p=st.floats(0.01, 0.99))
def test_filters_keep_what_their_definition_keeps(seed, k, p, min_p):
    _, log_probs = random_rows(seed, 0)
    for row, log_prob in enumerate(log_probs):
        order = sorted(range(VOCABULARY), key=lambda token: -log_prob[token])
        probabilities = np.exp(log_prob)
        top_p, total = set(), 0.0
        for token in order:
            top_p.add(token)
            total += probabilities[token]
            if total >= p + 1e-6:
                break
        allowed = kept(TopP(p), log_probs)[row]
        # Rounding may let in or leave out the token on the edge.
        assert len(top_p ^ set(np.flatnonzero(allowed))) <= 1
        assert allowed[order[0]]
        assert set(np.flatnonzero(kept(TopK(k), log_probs)[row])) == set(order[:k])
        expected = probabilities >= min_p * probabilities.max() * (1 + 1e-5)
        assert set(np.flatnonzero(expected)) <= set(
            np.flatnonzero(kept(MinP(min_p), log_probs)[row])
        )


def test_top_p_by_hand():
    log_probs = np.log(np.array([[0.5, 0.3, 0.15, 0.05]], "float32"))
    for p, expected in [(0.4, 1), (0.6, 2), (0.85, 3), (1.0, 4)]:
        assert kept(TopP(p), log_probs).sum() == expected


def test_temperature_divides_and_leaves_the_impossible_finite():
    np.testing.assert_allclose(Temperature(0.5)(tf.constant([-1.0, -1e9])), [-2.0, -1e9])


@pytest.mark.parametrize(
    "rule, expected",
    [
        (LengthPenalty(0.5), -3 / 2),
        (GNMTLengthPenalty(1.0), -3 / (9 / 6)),
        (WordReward(0.25), -2.0),
    ],
)
def test_length_rules_by_hand(rule, expected):
    assert float(rule.score(tf.constant(-3.0), tf.constant(4))) == pytest.approx(expected)


@settings(deadline=None, max_examples=100)
@given(
    kind=st.sampled_from([LengthPenalty, GNMTLengthPenalty, WordReward]),
    alpha=st.floats(0, 3),
    negative=st.booleans(),
    log_prob=st.floats(-50, 0),
    length=st.integers(1, 9),
    more=st.lists(st.floats(-5, 0), min_size=1, max_size=5),
)
def test_no_continuation_beats_the_best_case(kind, alpha, negative, log_prob, length, more):
    rule = kind(-alpha if negative and kind is WordReward else alpha)
    best = rule.best_case(tf.constant(log_prob), tf.constant(length), tf.constant(length + 5))
    total = tf.constant(log_prob + math.fsum(more))
    assert float(rule.score(total, tf.constant(length + len(more)))) <= float(best) + 1e-4


def test_sampled_frequencies_pass_a_chi_square_test():
    probabilities = np.array([0.02, 0.08, 0.15, 0.25, 0.5])
    count = 5000

    def step(token, state):
        logits = tf.math.log(tf.constant(probabilities, tf.float32))
        return tf.tile(logits[None], [tf.shape(token)[0], 1]), {}

    result = Search(
        step, {"row": tf.zeros([1, 1])}, Sampling(count, 99, seed=3), max_length=1, start_id=0
    ).decode()
    observed = np.bincount(result.token_ids.numpy().ravel(), minlength=5)
    statistic = ((observed - count * probabilities) ** 2 / (count * probabilities)).sum()
    # 0.999 quantile of chi-square with 4 degrees of freedom.
    assert statistic < 18.47


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="`num_samples` must be at least 1"):
        Sampling(0, 1)


def test_a_coverage_penalty_of_nothing_is_refused():
    with pytest.raises(ValueError, match="`beta` must be finite and above 0. Received: beta=0"):
        CoveragePenalty(0, None)
