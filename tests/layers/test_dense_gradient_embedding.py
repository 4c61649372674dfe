import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.layers import DenseGradientEmbedding

TOKEN_IDS = np.array([[1, 1, 2], [1, 3, 1]], np.int32)


def gradient_and_update(layer, in_graph):
    before = layer.embeddings.numpy()
    optimizer = keras.optimizers.Adam(0.1, epsilon=1e-7)
    optimizer.build(layer.trainable_weights)

    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(layer(TOKEN_IDS, training=True)))
        gradients = tape.gradient(loss, layer.trainable_weights)
        optimizer.apply(gradients, layer.trainable_weights)
        return gradients[0]

    gradient = (tf.function(step) if in_graph else step)()
    return gradient, layer.embeddings.numpy() - before


@pytest.mark.parametrize("in_graph", [False, True])
def test_a_token_that_occurs_often_is_updated_once_with_the_sum_of_its_gradients(in_graph):
    layer = DenseGradientEmbedding(5, 4)
    layer.build((None, None))
    vectors = layer.embeddings.numpy()
    counts = np.bincount(TOKEN_IDS.reshape(-1), minlength=5)[:, None]
    gradient, update = gradient_and_update(layer, in_graph)
    expected = counts * np.cos(vectors)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)
    # The first step of Adam: m / sqrt(v) is the sign of the gradient, however often.
    np.testing.assert_allclose(update, -0.1 * np.sign(expected), atol=1e-5)


def test_training_and_inference_look_up_what_keras_does():
    layer = DenseGradientEmbedding(5, 4, mask_zero=True)
    reference = keras.layers.ReversibleEmbedding(5, 4, mask_zero=True)
    for each in (layer, reference):
        each.build((None, None))
    reference.set_weights(layer.get_weights())
    hidden = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    for training in (False, True):
        np.testing.assert_array_equal(layer(TOKEN_IDS, training=training), reference(TOKEN_IDS))
    np.testing.assert_array_equal(layer(hidden, reverse=True), reference(hidden, reverse=True))


def test_a_tied_output_adds_its_gradient():
    layer = DenseGradientEmbedding(5, 4)
    layer.build((None, None))
    hidden = tf.ones((1, 1, 4))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(TOKEN_IDS, training=True))
        loss += tf.reduce_sum(layer(hidden, reverse=True))
    counts = np.bincount(TOKEN_IDS.reshape(-1), minlength=5)[:, None]
    gradient = tape.gradient(loss, layer.embeddings.value)
    np.testing.assert_allclose(gradient, np.tile(counts + 1.0, (1, 4)), rtol=1e-6)


def test_it_is_wired_onto_keras_inputs():
    token_ids = keras.Input((None,), dtype="int32")
    layer = DenseGradientEmbedding(5, 4)
    vectors = layer(token_ids)
    assert vectors.shape == (None, None, 4)
    model = keras.Model(token_ids, layer(vectors, reverse=True))
    assert model(TOKEN_IDS, training=True).shape == (2, 3, 5)
