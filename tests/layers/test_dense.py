"""`Dense` gives what Keras' gives, in a shorter graph."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.layers import Dense

SHAPES = [(5, 4), (2, 3, 4), (2, 3, 5, 4), (0, 3, 4), (2, 0, 4)]
# What of a shape is known when the graph is made: sizes whose index is not among these.
UNKNOWN = [(), (0,), (1,), (0, 1)]


def traced(layer, shape, unknown):
    known = [None if axis in unknown else size for axis, size in enumerate(shape)]
    function = tf.function(lambda inputs: layer(inputs), autograph=False)
    return function.get_concrete_function(tf.TensorSpec(known, tf.float32))


@pytest.mark.parametrize("units", [4, 7])
def test_it_gives_what_keras_gives_whatever_is_known_of_the_shape(units):
    layers = [one(units, "tanh") for one in (Dense, keras.layers.Dense)]
    for layer in layers:
        layer.build((None, 4))
    layers[0].set_weights(layers[1].get_weights())
    for shape in SHAPES:
        inputs = tf.constant(np.random.default_rng(0).normal(size=shape), tf.float32)
        expected = layers[1](inputs)
        np.testing.assert_allclose(layers[0](inputs), expected, atol=1e-6)
        for unknown in UNKNOWN if 0 not in shape else UNKNOWN[:1]:
            function = traced(layers[0], shape, unknown)
            assert function.output_shapes[-1] == units
            np.testing.assert_allclose(function(inputs), expected, atol=1e-6)


def test_an_empty_batch_of_an_unknown_size_stays_empty():
    layer = Dense(7)
    function = traced(layer, (2, 3, 4), (0, 1))
    assert function(tf.zeros([0, 3, 4])).shape == (0, 3, 7)


def test_gradients_are_those_of_keras_and_the_graph_is_short():
    layers = [one(7) for one in (Dense, keras.layers.Dense)]
    inputs = tf.constant(np.random.default_rng(0).normal(size=(2, 3, 4)), tf.float32)
    gradients = []
    for layer in layers:
        layer.build((None, None, 4))
        layer.set_weights(layers[0].get_weights())
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(layer(inputs) ** 2)
        gradients.append(tape.gradient(loss, [inputs, *layer.trainable_variables]))
    for own, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-5)
    own, expected = (
        len(traced(layer, (2, 3, 4), (0, 1)).graph.get_operations()) for layer in layers
    )
    assert own < 0.75 * expected
