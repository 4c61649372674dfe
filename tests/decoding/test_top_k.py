import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.decoding import top_k


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    num_beams=st.integers(1, 4),
    vocabulary_size=st.sampled_from([30, 36, 37, 64]),
    count=st.integers(1, 8),
    few_values=st.booleans(),
)
def test_it_is_a_plain_top_k_equal_values_included(
    seed, num_beams, vocabulary_size, count, few_values
):
    rng = np.random.default_rng(seed)
    shape = (2, num_beams, vocabulary_size)
    log_probs = rng.integers(-3, 0, shape) if few_values else rng.normal(size=shape)
    totals = rng.integers(-2, 1, shape[:2]).astype("float32")
    log_probs = log_probs.astype("float32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top_k, "FEW", 0)
        values, index = top_k.best_continuations(totals, tf.constant(log_probs), count)
    every = (totals[:, :, None] + log_probs).reshape(2, -1)
    expected, expected_index = tf.math.top_k(every, count)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(index, expected_index)


@pytest.mark.parametrize(
    "num_beams, vocabulary_size, count, expected",
    [(5, 32000, 10, 125), (1, 32000, 2, 125), (5, 31, 10, 31), (5, 32003, 10, 32003)],
)
def test_chunks_balance_two_searches_where_they_pay(
    num_beams, vocabulary_size, count, expected
):
    # 32003 is prime: there are no chunks, and the search is a plain one.
    size = top_k.chunk_size(num_beams * vocabulary_size, vocabulary_size, count)
    assert size == expected
