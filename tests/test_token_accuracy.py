import keras
import numpy as np

from keras_seq2seq.token_accuracy import TokenAccuracy

RNG = np.random.default_rng(3)


def test_it_is_the_accuracy_of_keras():
    logits = RNG.normal(size=(4, 5, 7)).astype("float32")
    labels = RNG.integers(0, 7, (4, 5))
    labels[:2] = logits[:2].argmax(-1)
    weights = RNG.integers(0, 2, (4, 5)).astype("float32")
    ours, theirs = TokenAccuracy(), keras.metrics.SparseCategoricalAccuracy()
    for metric in (ours, theirs):
        metric.update_state(labels, logits, weights)
        metric.update_state(labels[:1], logits[:1], weights[:1])
    assert 0 < float(ours.result()) < 1
    np.testing.assert_allclose(ours.result(), theirs.result(), rtol=1e-6)


def test_by_hand_padding_does_not_count():
    metric = TokenAccuracy()
    logits = np.array([[[0.0, 2.0], [0.0, 2.0], [3.0, 2.0]]])
    metric.update_state(np.array([[1, 0, 0]]), logits, np.array([[1.0, 1.0, 0.0]]))
    assert float(metric.result()) == 0.5


def test_it_survives_its_config():
    metric = keras.metrics.deserialize(keras.metrics.serialize(TokenAccuracy(name="right")))
    assert isinstance(metric, TokenAccuracy)
    assert metric.name == "right"
