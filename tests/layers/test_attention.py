import keras
import numpy as np
import pytest

from keras_seq2seq.layers import LuongAttention

RNG = np.random.default_rng(0)
QUERY = RNG.normal(size=(2, 3, 4)).astype("float32")
MEMORY = RNG.normal(size=(2, 5, 4)).astype("float32")
MASK = np.array([[True] * 5, [True, True, False, False, False]])


def numpy_luong(layer, query, memory, mask):
    """Equations 8, 7 and 5 of Luong et al. (2015)."""
    projected = query
    if layer.score == "general":
        projected = query @ layer.query_dense.kernel.numpy()
    scores = np.where(mask[:, None], projected @ memory.transpose(0, 2, 1), -np.inf)
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    alignment = exponentials / exponentials.sum(-1, keepdims=True)
    joined = np.concatenate([alignment @ memory, query], -1)
    return np.tanh(joined @ layer.output_dense.kernel.numpy()), alignment


@pytest.mark.parametrize("score", ["dot", "general"])
def test_it_is_the_paper_s_equations(score):
    layer = LuongAttention(6, score=score)
    output, alignment = layer(QUERY, MEMORY, MASK)
    expected_output, expected_alignment = numpy_luong(layer, QUERY, MEMORY, MASK)
    np.testing.assert_allclose(output, expected_output, atol=1e-5)
    np.testing.assert_allclose(alignment, expected_alignment, atol=1e-5)


def test_one_step_is_a_row_of_the_whole_sequence():
    layer = LuongAttention(6)
    output, alignment = layer(QUERY, MEMORY, MASK)
    for time in range(3):
        step_output, step_alignment = layer(QUERY[:, time], MEMORY, MASK)
        np.testing.assert_allclose(step_output, output[:, time], atol=1e-6)
        np.testing.assert_allclose(step_alignment, alignment[:, time], atol=1e-6)


def test_what_the_mask_hides_has_no_weight_and_no_influence():
    layer = LuongAttention(6)
    output, alignment = layer(QUERY, MEMORY, MASK)
    assert np.all(np.asarray(alignment)[1, :, 2:] < 1e-9)
    changed = np.where(MASK[:, :, None], MEMORY, 99.0).astype("float32")
    np.testing.assert_allclose(layer(QUERY, changed, MASK)[0], output, atol=1e-6)


def test_a_row_without_anything_to_attend_to_is_finite():
    output, alignment = LuongAttention(6)(QUERY, MEMORY, np.zeros((2, 5), bool))
    assert np.isfinite(output).all() and np.isfinite(alignment).all()


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_close(dtype):
    layer = LuongAttention(6)
    expected, _ = layer(QUERY, MEMORY, MASK)
    mixed = LuongAttention(6, dtype=dtype)
    mixed(QUERY, MEMORY, MASK)
    mixed.set_weights(layer.get_weights())
    received = keras.ops.cast(mixed(QUERY, MEMORY, MASK)[0], "float32")
    np.testing.assert_allclose(received, expected, atol=0.05)


def test_it_survives_its_config():
    layer = LuongAttention(6, score="dot", name="here")
    copy = LuongAttention.from_config(layer.get_config())
    assert (copy.units, copy.score, copy.name) == (6, "dot", "here")


def test_an_unknown_score_is_refused():
    with pytest.raises(ValueError, match="`score` must be one of.*Received: score='cosine'"):
        LuongAttention(6, score="cosine")


def test_dot_needs_equal_sizes():
    with pytest.raises(ValueError, match="same size.*Received: query 4, memory 3"):
        LuongAttention(6, score="dot")(QUERY, MEMORY[:, :, :3], MASK)


def test_no_units_are_refused():
    with pytest.raises(ValueError, match="`units` must be at least 1. Received: units=0"):
        LuongAttention(0)
