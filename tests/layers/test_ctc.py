import itertools

import keras
import numpy as np
import pytest

from keras_seq2seq.layers import CTCLoss


def all_paths(log_probs, label):
    """`-log P(label)`: the sum over every path that collapses to it."""
    total = -np.inf
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        merged = [token for token, _ in itertools.groupby(path)]
        if [token for token in merged if token] == label:
            total = np.logaddexp(total, sum(log_probs[t, k] for t, k in enumerate(path)))
    return -total


def loss_and_layer(labels, lengths, seed=0, size=4, dim=3, length=4):
    rng = np.random.default_rng(seed)
    memory = rng.normal(size=(len(labels), length, dim)).astype("float32")
    mask = np.arange(length) < np.array(lengths)[:, None]
    longest = max(map(len, labels)) + 1
    token_ids = np.zeros((len(labels), longest), "int32")
    token_ids[:, 0] = 2
    for row, label in zip(token_ids, labels, strict=True):
        row[1 : len(label) + 1] = label
    layer = CTCLoss(size, weight=0.5)
    layer.build((None, None, size), memory.shape)
    kernel = rng.normal(size=(dim, size)).astype("float32")
    layer.projection.kernel.assign(kernel)
    logits = memory @ kernel
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return layer, memory, mask, token_ids, log_probs


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_the_sum_over_all_paths_per_token(seed):
    labels, lengths = [[1, 3], [3], [1, 1]], [4, 2, 3]
    layer, memory, mask, token_ids, log_probs = loss_and_layer(labels, lengths, seed)
    expected = sum(
        all_paths(row[:length], label)
        for row, length, label in zip(log_probs, lengths, labels, strict=True)
    )
    loss = float(layer.loss_of(memory, mask, token_ids))
    assert loss == pytest.approx(expected / 5, rel=1e-4)


def test_a_target_that_needs_more_positions_does_not_count():
    # Two equal tokens need a blank between them: three positions.
    labels, lengths = [[1, 1], [1, 2, 3], [3, 1], []], [2, 2, 4, 4]
    layer, memory, mask, token_ids, log_probs = loss_and_layer(labels, lengths)
    loss = float(layer.loss_of(memory, mask, token_ids))
    assert loss == pytest.approx(all_paths(log_probs[2], [3, 1]) / 2, rel=1e-4)


def test_targets_that_never_fit_give_a_finite_gradient():
    import tensorflow as tf

    layer, memory, mask, token_ids, _ = loss_and_layer([[1, 1], [1, 2, 3]], [1, 2])
    with tf.GradientTape() as tape:
        loss = layer.loss_of(memory, mask, token_ids)
    assert float(loss) == 0
    gradient = tape.gradient(loss, layer.projection.kernel)
    assert gradient is None or not np.abs(gradient).max() > 0


def test_padding_does_not_change_the_loss():
    layer, memory, mask, token_ids, _ = loss_and_layer([[1, 3], [3]], [4, 2])
    wide = np.concatenate([memory, np.full((2, 3, 3), 9, "float32")], 1)
    wide_mask = np.pad(mask, [(0, 0), (0, 3)])
    wide_ids = np.pad(token_ids, [(0, 0), (0, 2)])
    first, second = (
        float(layer.loss_of(*arrays))
        for arrays in ((memory, mask, token_ids), (wide, wide_mask, wide_ids))
    )
    assert first == pytest.approx(second, rel=1e-5)


def test_it_adds_its_loss_in_training_alone_and_hands_logits_through():
    layer, memory, mask, token_ids, _ = loss_and_layer([[1, 3], [3]], [4, 2])
    logits = np.ones((2, 3, 4), "float32")
    np.testing.assert_array_equal(layer(logits, memory, mask, token_ids), logits)
    assert layer.losses == []
    layer(logits, memory, mask, token_ids, training=True)
    expected = 0.5 * float(layer.loss_of(memory, mask, token_ids))
    assert float(layer.losses[0]) == pytest.approx(expected)


@pytest.mark.parametrize("settings", [{"vocabulary_size": 0}, {"weight": 0}, {"weight": -1.0}])
def test_settings_are_checked(settings):
    with pytest.raises(ValueError, match="must be"):
        CTCLoss(**{"vocabulary_size": 5, **settings})


def test_it_is_saved_and_loaded():
    layer = CTCLoss(5, weight=0.25)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
