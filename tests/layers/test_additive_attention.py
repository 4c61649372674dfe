import numpy as np
import pytest

from keras_seq2seq.layers import (
    BahdanauAttention,
    LocationSensitiveAttention,
    LuongAttention,
    MonotonicAttention,
)
from keras_seq2seq.testing import check_attention

RNG = np.random.default_rng(1)
QUERY = RNG.normal(size=(2, 3, 4)).astype("float32")
MEMORY = RNG.normal(size=(2, 5, 6)).astype("float32")
MASK = np.array([[True] * 5, [True, True, True, False, False]])
PREVIOUS = np.array([[0.1, 0.6, 0.3, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0, 0.0]], "float32")


def randomize(layer):
    for weight in layer.weights:
        weight.assign(RNG.normal(size=weight.shape))


def softmax(scores, mask):
    exponentials = np.where(mask[:, None], np.exp(scores), 0)
    return exponentials / exponentials.sum(-1, keepdims=True)


def by_hand(layer, query, energy):
    """`e_ij = v . tanh(W s_i + U h_j)` position by position, then equation 5 of Luong."""
    batch, length, _ = query.shape
    scores = np.array(
        [
            [[energy(query[b, t], MEMORY[b, s], b, s) for s in range(5)] for t in range(length)]
            for b in range(batch)
        ]
    )
    weights = softmax(scores, MASK)
    joined = np.concatenate([weights @ MEMORY, query], -1)
    return np.tanh(joined @ layer.output_dense.kernel.numpy()), weights


def test_additive_scores_are_bahdanau_s_equation():
    layer = BahdanauAttention(7, score_units=3)
    layer(QUERY, MEMORY, MASK)
    randomize(layer)
    w, u, v = (
        layer.query_dense.kernel.numpy(),
        layer.key_layer.kernel.numpy(),
        layer.vector.numpy(),
    )
    expected = by_hand(layer, QUERY, lambda s, h, b, j: v @ np.tanh(s @ w + h @ u))
    for received, wanted in zip(layer(QUERY, MEMORY, MASK), expected, strict=True):
        np.testing.assert_allclose(received, wanted, atol=1e-5)


def test_normalized_scores_are_salimans_and_kingma_s_reparametrization():
    layer = BahdanauAttention(7, score_units=3, normalized=True)
    layer(QUERY, MEMORY, MASK)
    assert float(layer.length) == pytest.approx(3**-0.5)
    randomize(layer)
    w, u = layer.query_dense.kernel.numpy(), layer.key_layer.kernel.numpy()
    v, g, b_ = layer.vector.numpy(), float(layer.length), layer.bias.numpy()
    v = g * v / np.linalg.norm(v)
    expected = by_hand(layer, QUERY, lambda s, h, b, j: v @ np.tanh(s @ w + h @ u + b_))
    for received, wanted in zip(layer(QUERY, MEMORY, MASK), expected, strict=True):
        np.testing.assert_allclose(received, wanted, atol=1e-5)


def test_concat_scores_are_luong_s_equation():
    layer = LuongAttention(7, score="concat")
    layer(QUERY, MEMORY, MASK)
    randomize(layer)
    both = np.concatenate([layer.query_dense.kernel.numpy(), layer.key_layer.kernel.numpy()])
    v = layer.vector.numpy()
    expected = by_hand(
        layer, QUERY, lambda s, h, b, j: v @ np.tanh(np.concatenate([s, h]) @ both)
    )
    for received, wanted in zip(layer(QUERY, MEMORY, MASK), expected, strict=True):
        np.testing.assert_allclose(received, wanted, atol=1e-5)


def test_scaled_scores_are_multiplied_with_a_learned_scalar():
    layer = LuongAttention(7, scaled=True)
    first = layer(QUERY, MEMORY, MASK)[1]
    layer.scale.assign(2.5)
    w = layer.query_dense.kernel.numpy()
    expected = softmax(2.5 * (QUERY @ w) @ MEMORY.transpose(0, 2, 1), MASK)
    np.testing.assert_allclose(layer(QUERY, MEMORY, MASK)[1], expected, atol=1e-5)
    assert np.abs(first - expected).max() > 1e-3


def test_location_sensitive_scores_are_chorowski_s_equations_8_and_9():
    layer = LocationSensitiveAttention(7, score_units=3, filters=2, kernel_size=3)
    layer(QUERY[:, 0], MEMORY, MASK, alignment=PREVIOUS)
    randomize(layer)
    w, u, v = (
        layer.query_dense.kernel.numpy(),
        layer.key_layer.kernel.numpy(),
        layer.vector.numpy(),
    )
    kernel = layer.kernel.numpy()[:, 0]  # (3, filters)
    padded = np.pad(PREVIOUS, [(0, 0), (1, 1)])
    dense = layer.location_dense

    def energy(s, h, b, j):
        f = padded[b, j : j + 3] @ kernel
        return v @ np.tanh(s @ w + h @ u + f @ dense.kernel.numpy() + dense.bias.numpy())

    expected = by_hand(layer, QUERY[:, :1], energy)
    received = layer(QUERY[:, 0], MEMORY, MASK, alignment=PREVIOUS)
    for got, wanted in zip(received, expected, strict=True):
        np.testing.assert_allclose(got, wanted[:, 0], atol=1e-5)


def test_monotonic_weights_are_raffel_s_recurrence():
    layer = MonotonicAttention(7, score_units=3)
    layer(QUERY[:, 0], MEMORY, MASK, alignment=PREVIOUS)
    randomize(layer)
    scores = np.asarray(layer.scores(QUERY[:, :1], layer.keys(MEMORY), None))[:, 0]
    stop = np.where(MASK, 1 / (1 + np.exp(-(scores + float(layer.stop_bias)))), 0)
    expected = np.zeros_like(stop)
    for row in range(2):
        arrived = 0.0
        for s in range(5):
            # q(s) = (1 - p(s-1)) q(s-1) + a_{t-1}(s)
            arrived = (1 - stop[row, s - 1]) * arrived if s else 0.0
            arrived += PREVIOUS[row, s]
            expected[row, s] = stop[row, s] * arrived
    weights = layer(QUERY[:, 0], MEMORY, MASK, alignment=PREVIOUS)[1]
    np.testing.assert_allclose(weights, expected, atol=1e-5)


def test_monotonic_attention_begins_at_the_first_position_and_never_goes_back():
    layer = MonotonicAttention(7, score_units=3)
    first = np.asarray(layer.first_alignment(MASK))
    np.testing.assert_array_equal(first, [[1, 0, 0, 0, 0]] * 2)
    behind = np.array([[0, 0, 0, 1, 0], [0, 0, 1, 0, 0]], "float32")
    weights = np.asarray(layer(QUERY[:, 0], MEMORY, MASK, alignment=behind)[1])
    assert np.all(weights[0, :3] == 0) and np.all(weights[1, :2] == 0)
    assert np.all(weights.sum(-1) <= 1 + 1e-6)


@pytest.mark.parametrize(
    "layer_class", [BahdanauAttention, LocationSensitiveAttention, MonotonicAttention]
)
@pytest.mark.parametrize("normalized", [False, True])
def test_it_keeps_the_contract(layer_class, normalized):
    check_attention(layer_class(7, score_units=3, normalized=normalized))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: BahdanauAttention(0), "`units` must be at least 1. Received: units=0"),
        (lambda: BahdanauAttention(3, score_units=0), "`score_units` must be at least 1"),
        (lambda: LocationSensitiveAttention(3, kernel_size=4), "`kernel_size` odd. Received"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
