import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.losses import RDropCrossentropy, SmoothedCrossentropy

LOGITS = np.log(np.array([[[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]], "float32"))
LABELS = np.array([[0, 2]])


def test_by_hand():
    loss = SmoothedCrossentropy(0.3, reduction="none")(LABELS, LOGITS)
    expected = [
        -0.7 * np.log(0.7) - 0.1 * np.log(0.7 * 0.2 * 0.1),
        -0.7 * np.log(0.5) - 0.1 * np.log(0.25 * 0.25 * 0.5),
    ]
    np.testing.assert_allclose(loss[0], expected, rtol=1e-5)


def test_without_smoothing_it_is_the_loss_of_keras_padding_masked():
    weights = np.array([[1.0, 0.0]])
    ours = SmoothedCrossentropy(0.0)(LABELS, LOGITS, weights)
    keras_loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    assert float(ours) == pytest.approx(float(keras_loss(LABELS, LOGITS, weights)))
    assert float(ours) == pytest.approx(-np.log(0.7))


def test_it_is_smoothed_one_hot_crossentropy():
    ours = SmoothedCrossentropy(0.2, reduction="none")(LABELS, LOGITS)
    theirs = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.2, reduction="none"
    )(np.eye(3)[LABELS], LOGITS)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_its_gradient_is_that_of_its_equation(label_smoothing):
    generator = np.random.default_rng(0)
    logits = tf.constant(generator.normal(scale=3, size=(2, 3, 5)), tf.float32)
    labels = tf.constant([[0, 4, 2], [2, 2, 1]])
    weights = tf.constant(generator.normal(size=(2, 3)), tf.float32)

    def by_equation(logits):
        log_probs = tf.nn.log_softmax(logits)
        kept = tf.one_hot(
            labels, 5, 1 - label_smoothing + label_smoothing / 5, label_smoothing / 5
        )
        return tf.reduce_sum(-tf.reduce_sum(kept * log_probs, -1) * weights)

    def ours(logits):
        loss = SmoothedCrossentropy(label_smoothing, reduction="none")
        return tf.reduce_sum(loss(labels, logits) * weights)

    (value, gradient), (expected, expected_gradient) = (
        _value_and_gradient(function, logits) for function in (ours, by_equation)
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-6)


def _value_and_gradient(function, tensor):
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        value = function(tensor)
    return value, tape.gradient(value, tensor)


def test_logits_of_any_size_give_finite_numbers():
    logits = tf.constant([[[1e4, -1e4, 0.0], [-1e30, 0.0, 0.0]]])
    loss = SmoothedCrossentropy(0.0)
    value, gradient = _value_and_gradient(lambda logits: loss([[1, 1]], logits), logits)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))


def test_it_survives_its_config():
    copy = keras.losses.deserialize(keras.losses.serialize(SmoothedCrossentropy(0.2)))
    assert copy.label_smoothing == 0.2


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_a_share_out_of_range_is_refused(value):
    with pytest.raises(ValueError, match=rf"must be in \[0, 1\). Received: .*={value}"):
        SmoothedCrossentropy(value)


TWO_PASSES = np.concatenate([LOGITS, np.log([[[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]]])])


def test_two_passes_pay_for_what_they_disagree_on():
    p, q = np.exp(TWO_PASSES)
    disagreement = np.sum(p * np.log(p / q) + q * np.log(q / p), axis=-1)
    labels = np.concatenate([LABELS, LABELS])
    loss = RDropCrossentropy(5.0, 0.1, reduction="none")(labels, TWO_PASSES)
    cross_entropy = SmoothedCrossentropy(0.1, reduction="none")(labels, TWO_PASSES)
    np.testing.assert_allclose(
        loss - cross_entropy, [5 / 4 * disagreement] * 2, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("rows", [[[0, 2], [0, 1]], [[0, 2]], [[0, 2]] * 3])
def test_a_batch_that_is_not_the_same_twice_has_the_cross_entropy_alone(rows):
    logits = np.random.default_rng(0).normal(size=(len(rows), 2, 3))
    loss = RDropCrossentropy(reduction="none")(np.array(rows), logits)
    expected = SmoothedCrossentropy(reduction="none")(np.array(rows), logits)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_the_weight_of_agreement_survives_and_is_checked():
    copy = keras.losses.deserialize(keras.losses.serialize(RDropCrossentropy(2.0, 0.2)))
    assert (copy.alpha, copy.label_smoothing) == (2.0, 0.2)
    with pytest.raises(ValueError, match="`alpha` must be at least 0. Received: alpha=-1"):
        RDropCrossentropy(-1)
