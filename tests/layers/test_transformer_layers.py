import keras
import numpy as np
import pytest

from keras_seq2seq.layers import DotProductAttention, SinusoidalPositions

RNG = np.random.default_rng(0)
QUERY = RNG.normal(size=(2, 3, 8)).astype("float32")
KEY = RNG.normal(size=(2, 5, 8)).astype("float32")
VALUE = RNG.normal(size=(2, 5, 8)).astype("float32")
MASK = np.array([[True] * 5, [True, True, False, False, False]])


def numpy_attention(query, key, value, num_heads, allowed):
    """Equation 1 of Vaswani et al. (2017), head by head."""
    outputs, weights = [], []
    for head in np.split(np.arange(8), num_heads):
        scores = query[..., head] @ key[..., head].transpose(0, 2, 1) / np.sqrt(len(head))
        exponentials = np.where(allowed, np.exp(scores), 0)
        weights.append(exponentials / exponentials.sum(-1, keepdims=True))
        outputs.append(weights[-1] @ value[..., head])
    return np.concatenate(outputs, -1), np.mean(weights, 0)


@pytest.mark.parametrize("num_heads", [1, 2, 8])
def test_attention_is_the_paper_s_equation(num_heads):
    output, weights = DotProductAttention(num_heads)(QUERY, KEY, VALUE, MASK)
    expected = numpy_attention(QUERY, KEY, VALUE, num_heads, MASK[:, None])
    np.testing.assert_allclose(output, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, expected[1], atol=1e-5)


def test_causal_attention_sees_no_later_key():
    layer = DotProductAttention(2, use_causal_mask=True)
    output, weights = layer(KEY, KEY, VALUE)
    expected = numpy_attention(KEY, KEY, VALUE, 2, np.tri(5, dtype=bool)[None])
    np.testing.assert_allclose(output, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, expected[1], atol=1e-5)


def test_a_row_without_anything_to_attend_to_is_finite():
    output, _ = DotProductAttention(2)(QUERY, KEY, VALUE, np.zeros((2, 5), bool))
    np.testing.assert_allclose(output, np.repeat(VALUE.mean(1, keepdims=True), 3, 1), atol=1e-5)


def test_heads_must_divide_the_size():
    with pytest.raises(ValueError, match="Received: num_heads=3, size 8"):
        DotProductAttention(3)(QUERY, KEY, VALUE)


def test_positions_are_sines_and_cosines():
    received = SinusoidalPositions()(np.ones((1, 3, 4), "float32"))
    angles = np.arange(3)[:, None] * np.array([1, 0.01])
    expected = 2 + np.concatenate([np.sin(angles), np.cos(angles)], -1)
    np.testing.assert_allclose(received[0], expected, atol=1e-6)


def test_given_positions_are_used():
    layer = SinusoidalPositions()
    whole = layer(QUERY)
    for time in range(3):
        one = layer(QUERY[:, time : time + 1], np.full((2, 1), time, "int32"))
        np.testing.assert_allclose(one[:, 0], whole[:, time], atol=1e-6)


def test_an_odd_size_is_refused():
    with pytest.raises(ValueError, match="even size. Received: 3"):
        SinusoidalPositions()(np.ones((1, 3, 3)))


def test_attention_survives_its_config():
    layer = DotProductAttention(2, use_causal_mask=True, dropout=0.5)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (copy.num_heads, copy.use_causal_mask, copy.dropout) == (2, True, 0.5)
