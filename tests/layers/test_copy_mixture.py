import keras
import numpy as np
import pytest

from keras_seq2seq.layers import CopyMixture
from keras_seq2seq.layers.copy_mixture import scatter_weights

RANDOM = np.random.default_rng(3)
LOGITS = RANDOM.normal(size=(2, 3, 7)).astype("float32")
ALIGNMENT = RANDOM.dirichlet(np.ones(5), size=(2, 3)).astype("float32")
FEATURES = RANDOM.normal(size=(2, 3, 4)).astype("float32")
# A token that occurs twice has the attention of both places.
SOURCE = np.array([[4, 6, 4, 4, 3], [5, 3, 0, 0, 0]], "int32")


def softmax(values):
    exponentials = np.exp(values - values.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def test_weights_of_the_same_token_are_added():
    found = keras.ops.convert_to_numpy(scatter_weights(ALIGNMENT, SOURCE, 7))
    expected = np.zeros((2, 3, 7))
    for row in range(2):
        for place, token in enumerate(SOURCE[row]):
            expected[row, :, token] += ALIGNMENT[row, :, place]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_mixture_is_the_equation_of_the_paper():
    layer = CopyMixture()
    found = keras.ops.convert_to_numpy(layer(LOGITS, ALIGNMENT, FEATURES, SOURCE))
    kernel, bias = (keras.ops.convert_to_numpy(w) for w in layer.gate.weights)
    generate = 1 / (1 + np.exp(-(FEATURES @ kernel + bias)))
    copied = np.zeros((2, 3, 7))
    for row, time, place in np.ndindex(2, 3, 5):
        copied[row, time, SOURCE[row, place]] += ALIGNMENT[row, time, place]
    expected = generate * softmax(LOGITS) + (1 - generate) * copied
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-5)
    np.testing.assert_allclose(np.exp(found).sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("bias, expected", [(50.0, "generated"), (-50.0, "copied")])
def test_the_gate_chooses_between_both(bias, expected):
    layer = CopyMixture()
    layer.build(LOGITS.shape, ALIGNMENT.shape, FEATURES.shape, SOURCE.shape)
    layer.gate.set_weights([np.zeros((4, 1)), np.array([bias])])
    found = np.exp(layer(LOGITS, ALIGNMENT, FEATURES, SOURCE))
    if expected == "generated":
        np.testing.assert_allclose(found, softmax(LOGITS), rtol=1e-5)
    else:
        np.testing.assert_allclose(found[0, :, 6], ALIGNMENT[0, :, 1], rtol=1e-5)
        assert found[0, :, [1, 2, 5]].max() < 1e-9
        assert np.isfinite(np.log(found)).all()
