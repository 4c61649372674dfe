import warnings

import numpy as np
import pytest

from keras_seq2seq.layers import LuongAttention
from keras_seq2seq.layers.attention_weights import attention_weights
from keras_seq2seq.testing import check_attention

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


def test_one_position_has_all_the_weight_without_a_warning():
    scores = np.array([[[3.0]], [[-1e9]]], "float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(attention_weights(scores), np.ones((2, 1, 1)))


@pytest.mark.parametrize("score", ["dot", "general"])
def test_it_is_the_paper_s_equations(score):
    layer = LuongAttention(6, score=score)
    output, alignment = layer(QUERY, MEMORY, MASK)
    expected_output, expected_alignment = numpy_luong(layer, QUERY, MEMORY, MASK)
    np.testing.assert_allclose(output, expected_output, atol=1e-5)
    np.testing.assert_allclose(alignment, expected_alignment, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [{"score": "dot"}, {}, {"scaled": True}, {"score": "concat"}],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_it_keeps_the_contract(settings):
    check_attention(LuongAttention(7, **settings), precisions=["mixed_bfloat16"])


def test_an_unknown_score_is_refused():
    with pytest.raises(ValueError, match="`score` must be one of.*Received: score='cosine'"):
        LuongAttention(6, score="cosine")


def test_dot_needs_equal_sizes():
    with pytest.raises(ValueError, match="same size.*Received: query 4, memory 3"):
        LuongAttention(6, score="dot")(QUERY, MEMORY[:, :, :3], MASK)


def test_no_units_are_refused():
    with pytest.raises(ValueError, match="`units` must be at least 1. Received: units=0"):
        LuongAttention(0)
