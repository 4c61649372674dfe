"""Searches against exhaustive enumeration over random step functions."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.decoding import (
    BeamSearch,
    GreedySearch,
    LengthPenalty,
    SuppressTokens,
    decode,
)

START, END = 0, 1


class RandomModel:
    """A recurrent step function with random weights, and the same in NumPy."""

    def __init__(self, vocabulary_size: int, seed: int, batch_size: int = 1):
        rng = np.random.default_rng(seed)
        self.vocabulary_size = vocabulary_size
        self.embeddings = rng.normal(size=(vocabulary_size, 4)).astype("float32")
        self.recurrent = rng.normal(size=(4, 4)).astype("float32")
        self.output = 2 * rng.normal(size=(4, vocabulary_size)).astype("float32")
        self.bias = rng.normal(size=(batch_size, vocabulary_size)).astype("float32")

    def state(self):
        batch_size = len(self.bias)
        return {"hidden": tf.zeros([batch_size, 4]), "bias": tf.constant(self.bias)}

    def step(self, token, state):
        hidden = tf.tanh(tf.gather(self.embeddings, token) + state["hidden"] @ self.recurrent)
        return hidden @ self.output + state["bias"], {"hidden": hidden}

    def log_prob(self, tokens, row=0):
        hidden, total, previous = np.zeros(4), 0.0, START
        for token in tokens:
            hidden = np.tanh(self.embeddings[previous] + hidden @ self.recurrent)
            logits = hidden @ self.output + self.bias[row]
            total += logits[token] - np.log(np.sum(np.exp(logits)))
            previous = token
        return total


def run(model, strategy, max_length, rules=()):
    return decode(
        model.step,
        model.state(),
        strategy,
        max_length=max_length,
        start_id=START,
        rules=rules,
    )


def all_hypotheses(model, max_length, alpha, row=0):
    """Every sequence that ends, or is cut at `max_length`: `(score, tokens)`, best first."""
    going_on = [token for token in range(model.vocabulary_size) if token != END]
    ended = [
        (*prefix, END)
        for length in range(max_length)
        for prefix in itertools.product(going_on, repeat=length)
    ]
    cut = list(itertools.product(going_on, repeat=max_length))
    scored = [(model.log_prob(y, row) / len(y) ** alpha, y) for y in ended + cut]
    return sorted(scored, reverse=True)


def tokens_of(row):
    """The tokens of a padded row of ids; id 0 is both padding and a token here."""
    return [int(token) for token in row]


@settings(deadline=None, max_examples=40)
@given(
    vocabulary_size=st.integers(2, 4),
    max_length=st.integers(1, 3),
    alpha=st.sampled_from([0.0, 0.6, 1.0, 2.0]),
    patience=st.sampled_from([1.0, math.inf]),
    seed=st.integers(0, 10_000),
)
def test_a_beam_as_large_as_the_space_is_exhaustive(
    vocabulary_size, max_length, alpha, patience, seed
):
    model = RandomModel(vocabulary_size, seed)
    expected = all_hypotheses(model, max_length, alpha)
    strategy = BeamSearch(
        len(expected), END, length_rule=LengthPenalty(alpha), patience=patience
    )
    result = run(model, strategy, max_length)
    np.testing.assert_allclose(result.scores[0], [score for score, _ in expected], atol=1e-5)
    for ids, length, (_, tokens) in zip(
        result.token_ids[0].numpy(), result.lengths[0].numpy(), expected, strict=True
    ):
        padded = [*tokens, *[0] * (max_length - len(tokens))]
        assert tokens_of(ids) == padded
        assert length == len([token for token in tokens if token != END])


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), alpha=st.sampled_from([0.0, 1.0]))
def test_a_beam_of_one_is_greedy(seed, alpha):
    model = RandomModel(6, seed, batch_size=3)
    greedy = run(model, GreedySearch(END), 8)
    beam = run(model, BeamSearch(1, END, length_rule=LengthPenalty(alpha)), 8)
    np.testing.assert_array_equal(greedy.token_ids, beam.token_ids)
    np.testing.assert_array_equal(greedy.lengths, beam.lengths)
    np.testing.assert_allclose(greedy.log_probs, beam.log_probs, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    num_beams=st.integers(1, 5),
    alpha=st.sampled_from([0.0, 0.7]),
)
def test_a_log_prob_is_that_of_its_tokens(seed, num_beams, alpha):
    model = RandomModel(5, seed, batch_size=2)
    result = run(model, BeamSearch(num_beams, END, length_rule=LengthPenalty(alpha)), 6)
    for row in range(2):
        for ids, length, log_prob, score, parts in zip(
            *(tensor[row].numpy() for tensor in result[:5]), strict=True
        ):
            ended = length < 6
            tokens = tokens_of(ids[: length + ended])
            assert not ended or tokens[-1] == END
            assert log_prob == pytest.approx(model.log_prob(tokens, row), abs=1e-4)
            assert parts.sum() == pytest.approx(log_prob, abs=1e-4)
            assert score == pytest.approx(log_prob / len(tokens) ** alpha, abs=1e-4)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000), num_beams=st.integers(2, 4))
def test_a_batch_gives_what_its_rows_give_alone(seed, num_beams):
    batch = RandomModel(5, seed, batch_size=3)
    together = run(batch, BeamSearch(num_beams, END), 7)
    for row in range(3):
        alone = RandomModel(5, seed, batch_size=3)
        alone.bias = alone.bias[row : row + 1]
        single = run(alone, BeamSearch(num_beams, END), 7)
        np.testing.assert_array_equal(single.token_ids[0], together.token_ids[row])
        np.testing.assert_allclose(single.scores[0], together.scores[row], atol=1e-5)


def chain(probabilities):
    """A model of first-order transitions: `probabilities[previous][next]`."""
    log_probs = tf.math.log(tf.constant(probabilities, tf.float32))

    class Chain:
        def state(self):
            return {"time": tf.zeros([1, 1])}

        def step(self, token, state):
            return tf.gather(log_probs, token), {"time": state["time"] + 1}

    return Chain()


def test_a_finished_hypothesis_keeps_its_score():
    # P(end) = 0.60 at once; the runner-up "a end" has 0.36; after the end all is uniform.
    # A search that goes on after the end would take 0.60 down to 0.60 / 3 and less.
    third = [1 / 3] * 3
    model = chain([[1e-9, 0.60, 0.40], third, [0.05, 0.90, 0.05]])
    result = run(model, BeamSearch(2, END), 6)
    np.testing.assert_allclose(np.exp(result.log_probs[0]), [0.60, 0.36], rtol=1e-4)
    assert tokens_of(result.token_ids[0, 0]) == [END, 0, 0, 0, 0, 0]
    assert tokens_of(result.token_ids[0, 1]) == [2, END, 0, 0, 0, 0]


def test_the_length_penalty_turns_the_order():
    model = chain([[1e-9, 0.60, 0.40], [1 / 3] * 3, [0.02, 0.96, 0.02]])
    by_mean = run(model, BeamSearch(2, END, length_rule=LengthPenalty(1.0)), 6)
    # ln 0.60 / 1 = -0.511; ln(0.40 * 0.96) / 2 = -0.479.
    np.testing.assert_allclose(by_mean.scores[0], [-0.4786, -0.5108], atol=1e-3)
    np.testing.assert_allclose(np.exp(by_mean.log_probs[0]), [0.384, 0.60], rtol=1e-3)


def test_the_loop_stops_when_every_row_is_done():
    steps = []

    class Counting(RandomModel):
        def step(self, token, state):
            tf.py_function(lambda: steps.append(1), [], [])
            logits, changed = super().step(token, state)
            return logits + 50 * tf.one_hot(END, self.vocabulary_size), changed

    run(Counting(4, 0), GreedySearch(END), 100)
    assert len(steps) == 1
    steps.clear()
    run(Counting(4, 0), BeamSearch(2, END), 100)
    assert len(steps) <= 3


def test_suppressed_tokens_never_come_out_and_others_keep_their_probability():
    model = RandomModel(5, 7)
    result = run(model, BeamSearch(4, END), 5, rules=[SuppressTokens([2, 3])])
    assert not np.isin(result.token_ids, [2, 3]).any()
    length = int(result.lengths[0, 0])
    tokens = tokens_of(result.token_ids[0, 0, : length + (length < 5)])
    assert float(result.log_probs[0, 0]) == pytest.approx(model.log_prob(tokens), abs=1e-4)


def test_fewer_hypotheses_than_beams_are_marked_impossible():
    result = run(RandomModel(2, 0), BeamSearch(4, END), 1)
    assert np.all(result.log_probs[0, :2] > -100)
    assert np.all(result.log_probs[0, 2:] < -5e8)


def test_one_trace_serves_every_batch_size():
    model = RandomModel(5, 0)
    traces = []

    @tf.function(input_signature=[tf.TensorSpec([None, 5])], autograph=False)
    def function(bias):
        traces.append(1)
        state = {"hidden": tf.zeros([tf.shape(bias)[0], 4]), "bias": bias}
        return decode(model.step, state, BeamSearch(3, END), max_length=4, start_id=START)

    for batch_size in (1, 2, 5):
        assert function(tf.zeros([batch_size, 5])).token_ids.shape == (batch_size, 3, 4)
    assert len(traces) == 1


def test_a_step_that_makes_up_state_is_refused():
    model = RandomModel(3, 0)
    model.step = lambda token, state: (tf.zeros([1, 3]), {"other": token})
    with pytest.raises(ValueError, match="may change only entries of its state.*other"):
        run(model, GreedySearch(END), 2)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"num_beams": 0}, "`num_beams` must be at least 1"),
        ({"num_beams": 2, "num_hypotheses": 3}, "from 1 to `num_beams`"),
        ({"num_beams": 2, "patience": 0.0}, "`patience` must be above 0"),
    ],
)
def test_bad_beam_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BeamSearch(end_id=END, **settings)


def test_a_negative_length_penalty_is_refused():
    with pytest.raises(ValueError, match="`alpha` must be at least 0. Received: alpha=-1"):
        LengthPenalty(-1)
