"""The fused LSTM is Keras' own in every value and gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.layers import FusedLSTM

BATCH, STEPS, DIM, UNITS = 4, 6, 3, 5
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(BATCH, STEPS, DIM)).astype("float32")
WEIGHTS = RANDOM.normal(size=(BATCH, STEPS, UNITS)).astype("float32")
STATE = [RANDOM.normal(size=(BATCH, UNITS)).astype("float32") for _ in range(2)]
MASKS = {
    "none": None,
    "padding": [[1] * 6, [1] * 4 + [0] * 2, [1] + [0] * 5, [0] * 6],
    "in front": [[0] * 2 + [1] * 4, [1] * 6, [0] * 5 + [1], [0] * 6],
    "holes": [[1, 0, 1, 0, 1, 0], [0, 1, 1, 0, 0, 1], [1, 1, 0, 0, 1, 1], [0, 0, 1, 1, 0, 0]],
}


def pair(**settings):
    """Ours and Keras' own, with the same weights and seeds."""
    layers = []
    for kind in (FusedLSTM, keras.layers.LSTM):
        layer = kind(UNITS, return_sequences=True, return_state=True, seed=7, **settings)
        layer.build(X.shape)
        layers.append(layer)
    for weight in layers[0].weights:
        weight.assign(weight + RANDOM.normal(size=weight.shape) * 0.3)
    layers[1].set_weights(layers[0].get_weights())
    return layers


def run(layer, mask, state, in_graph=True):
    """Outputs, states and all gradients of one training step."""
    inputs = [tf.constant(X), *(tf.constant(part) for part in STATE)]
    mask = None if mask is None else tf.constant(np.array(mask, bool))

    def step():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            initial_state = inputs[1:] if state else None
            outputs, h, c = layer(
                inputs[0], mask=mask, initial_state=initial_state, training=True
            )
            loss = tf.reduce_sum(outputs * WEIGHTS) + tf.reduce_sum(h * h - 2 * tf.sin(c))
        watched = inputs if state else inputs[:1]
        return outputs, h, c, tape.gradient(loss, [*watched, *layer.trainable_weights])

    return tf.nest.flatten((tf.function(step, autograph=False) if in_graph else step)())


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("settings", [{}, {"go_backwards": True}], ids=["on", "backwards"])
def test_values_and_gradients_are_those_of_keras(mask, settings):
    ours, theirs = pair(**settings)
    for state in (True, False):
        received = run(ours, MASKS[mask], state)
        expected = run(theirs, MASKS[mask], state, in_graph=False)
        for one, other in zip(received, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_without_a_graph_too():
    ours, theirs = pair()
    received = run(ours, MASKS["padding"], True, in_graph=False)
    for one, other in zip(received, run(theirs, MASKS["padding"], True), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("settings", [{"dropout": 0.4}, {"recurrent_dropout": 0.4}])
def test_dropout_drops_what_keras_drops(settings):
    ours, theirs = pair(**settings)
    received, expected = (run(layer, MASKS["padding"], True) for layer in (ours, theirs))
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert not np.allclose(received[0], ours(X, initial_state=STATE)[0], atol=1e-2)


def test_both_directions_and_a_copy_from_its_config():
    inputs = keras.Input((None, DIM))
    outputs = keras.layers.Bidirectional(FusedLSTM(UNITS, return_sequences=True))(inputs)
    model = keras.Model(inputs, outputs)
    copy = keras.models.clone_model(model)
    assert isinstance(copy.layers[-1].backward_layer, FusedLSTM)
    copy.set_weights(model.get_weights())
    np.testing.assert_allclose(copy(X, training=True), model(X, training=False), atol=1e-5)


def test_a_batch_of_one_step_and_other_lengths_use_one_graph():
    layer, _ = pair()
    traces = []

    @tf.function(input_signature=[tf.TensorSpec((None, None, DIM))])
    def step(x):
        traces.append(1)
        return layer(x, training=True)[0]

    for steps in (1, 4, 6):
        expected = layer(X[:2, :steps], training=False)[0]
        np.testing.assert_allclose(step(X[:2, :steps]), expected, atol=1e-5)
    assert len(traces) == 1


@pytest.mark.parametrize("settings", [{"activation": "relu"}, {"use_bias": False}])
def test_what_is_not_fused_is_keras(settings):
    ours, theirs = pair(**settings)
    received, expected = (run(layer, None, True) for layer in (ours, theirs))
    for one, other in zip(received, expected, strict=True):
        np.testing.assert_array_equal(one, other)
