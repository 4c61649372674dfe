"""What a target begins with, and marks of time: against the rules written out."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.decoding import MarkTimes, Prompt, SuppressAt, SuppressTokens
from keras_seq2seq.decoding.rules import IMPOSSIBLE

END, TEXT, FIRST, SIZE = 3, 4, 8, 14


def test_a_prompt_leaves_the_best_of_each_choice_and_then_the_rules():
    log_probs = np.log(np.array([[[0.1, 0.4, 0.2, 0.3]]], np.float32))
    rule = Prompt([[0, 2, 3], [1]], [SuppressTokens([1])])
    possible = []
    for time in range(3):
        left = rule(tf.constant(time), tf.zeros((1, 1, 3), tf.int32), log_probs).numpy()
        kept = left > IMPOSSIBLE / 2
        np.testing.assert_allclose(left[kept], log_probs[kept])
        possible.append(np.flatnonzero(kept).tolist())
    assert possible == [[3], [1], [0, 2, 3]]


def test_what_no_text_begins_with_may_follow():
    rule = SuppressAt(1, [2])
    rows = [rule.bias(tf.constant(time), 4).numpy().tolist() for time in range(3)]
    assert rows == [[0] * 4, [0, 0, IMPOSSIBLE, 0], [0] * 4]


def written_out(ids, log_probs, latest_first):
    """The rules one after the other, of one target so far."""
    left = log_probs.astype(np.float64).copy()
    marks = [one for one in ids if one >= FIRST]
    after = bool(ids) and ids[-1] >= FIRST
    two = after and (len(ids) < 2 or ids[-2] >= FIRST)
    if two:
        left[FIRST:] = -np.inf
    elif after:
        left[[one for one in range(FIRST) if one != END]] = -np.inf
    if marks:
        left[FIRST : max(marks) + (0 if after and not two else 1)] = -np.inf
    if not ids:
        left[:FIRST] = -np.inf
        left[FIRST + latest_first + 1 :] = -np.inf
    if np.log(np.exp(left[FIRST:]).sum()) > left[:FIRST].max():
        left[:FIRST] = -np.inf
    return left


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(TEXT, SIZE - 1), max_size=5),
    st.integers(0, 2**31),
    st.integers(0, 4),
    st.integers(0, 2),
)
def test_marks_of_time_follow_their_rules(ids, seed, latest_first, begin):
    log_probs = np.random.default_rng(seed).normal(0, 2, SIZE).astype(np.float32)
    log_probs -= np.log(np.exp(log_probs).sum())
    row = np.zeros(8, np.int32)
    row[begin : begin + len(ids)] = ids
    rule = MarkTimes(FIRST, END, begin, latest_first)
    time = tf.constant(begin + len(ids))
    left = rule(time, row[None, None], log_probs[None, None])[0, 0].numpy()
    with np.errstate(divide="ignore"):
        expected = written_out(ids, log_probs, latest_first)
    possible = np.isfinite(expected)
    np.testing.assert_array_equal(left > IMPOSSIBLE / 2, possible)
    np.testing.assert_allclose(left[possible], expected[possible], rtol=1e-6)
