import keras
import numpy as np
import pytest

from keras_seq2seq.losses import SmoothedCrossentropy

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


def test_it_survives_its_config():
    copy = keras.losses.deserialize(keras.losses.serialize(SmoothedCrossentropy(0.2)))
    assert copy.label_smoothing == 0.2


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_a_share_out_of_range_is_refused(value):
    with pytest.raises(ValueError, match=rf"must be in \[0, 1\). Received: .*={value}"):
        SmoothedCrossentropy(value)
