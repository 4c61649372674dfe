"""Layer normalization in few operations is Keras' own in every value and gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.layers import LayerNormalization

RANDOM = np.random.default_rng(0)


def pair(shape, **settings):
    """Ours and Keras' own, with the same weights."""
    layers = [
        kind(epsilon=1e-6, **settings)
        for kind in (LayerNormalization, keras.layers.LayerNormalization)
    ]
    for layer in layers:
        layer.build(shape)
    for one, other in zip(layers[0].weights, layers[1].weights, strict=True):
        one.assign(RANDOM.normal(1, 0.5, one.shape))
        other.assign(one)
    return layers


def run(layer, inputs, training):
    """The output and all gradients."""
    inputs = tf.constant(inputs, layer.compute_dtype)
    weights = np.random.default_rng(1).normal(size=inputs.shape).astype("float32")
    # Keras' layer has no such argument.
    arguments = {"training": training} if isinstance(layer, LayerNormalization) else {}

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = layer(inputs, **arguments)
            loss = tf.reduce_sum(tf.sin(tf.cast(output, "float32")) * weights)
        return output, tape.gradient(loss, [inputs, *layer.trainable_weights])

    return tf.nest.flatten(step())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(5, 8), (3, 4, 6), (2, 3, 1, 16), (0, 4, 6), (2, 1)])
def test_values_and_gradients_are_those_of_keras(shape, training):
    ours, theirs = pair(shape)
    inputs = RANDOM.normal(3, 2, shape)
    for received, expected in zip(
        run(ours, inputs, training), run(theirs, inputs, training), strict=True
    ):
        np.testing.assert_allclose(received, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    "settings",
    [{"axis": 1}, {"axis": (1, 2)}, {"scale": False}, {"center": False}, {"rms_scaling": True}],
    ids=str,
)
def test_other_settings_are_those_of_keras(settings):
    shape = (3, 4, 6)
    ours, theirs = pair(shape, **settings)
    inputs = RANDOM.normal(size=shape).astype("float32")
    np.testing.assert_array_equal(ours(inputs, training=True), theirs(inputs))


@pytest.mark.parametrize("training", [True, False])
def test_half_precision_is_computed_in_float32(training):
    shape = (4, 64)
    ours, theirs = pair(shape, dtype="mixed_float16")
    # Squares of these overflow float16.
    inputs = RANDOM.normal(0, 2000, shape)
    (received, *_), (expected, *_) = (run(one, inputs, training) for one in (ours, theirs))
    assert received.dtype == tf.float16
    np.testing.assert_allclose(received, expected, rtol=2e-3, atol=2e-3)


def test_equal_values_become_beta():
    layer, _ = pair((1, 7))
    for training in (True, False):
        output = layer(np.full((2, 7), 3.5, "float32"), training=training)
        # A mean's rounding is divided by the root of epsilon.
        np.testing.assert_allclose(output, [np.asarray(layer.beta)] * 2, atol=2e-3)


def test_round_trip():
    layer = LayerNormalization(epsilon=1e-6, name="norm")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is LayerNormalization
    assert again.get_config() == layer.get_config()


def test_weights_saved_with_the_layer_of_keras_load(tmp_path):
    models = []
    for kind in (keras.layers.LayerNormalization, LayerNormalization):
        inputs = keras.Input((6,))
        models.append(keras.Model(inputs, kind(name="norm")(inputs)))
    saved, loaded = models
    saved.set_weights([RANDOM.normal(size=6), RANDOM.normal(size=6)])
    saved.save_weights(tmp_path / "norm.weights.h5")
    loaded.load_weights(tmp_path / "norm.weights.h5")
    inputs = RANDOM.normal(size=(3, 6)).astype("float32")
    np.testing.assert_allclose(loaded(inputs), saved(inputs), rtol=1e-5, atol=1e-5)
