"""Learned frames of a waveform: the equations, and that padding does not matter."""

import keras
import numpy as np
import pytest

from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import WaveformConvolutions

RANDOM = np.random.default_rng(3)
SIZES = {"filters": (5, 7, 6), "kernel_sizes": (13, 4, 3), "strides": (6, 3, 2)}


@pytest.fixture(scope="module", params=[False, True])
def layer(request):
    keras.utils.set_random_seed(1)
    layer = WaveformConvolutions(**SIZES, normalize=request.param)
    layer(np.zeros((1, 200), "float32"), np.ones((1, 200), bool))
    for weight in layer.weights:
        weight.assign(keras.random.normal(weight.shape, stddev=0.5))
    return layer


def gelu(x):
    return np.asarray(keras.ops.gelu(x, approximate=False))


def convolved(frames, weights, stride):
    """`(length, in)` -> `(length', out)`, written out."""
    kernel, *bias = (np.asarray(weight, np.float64) for weight in weights)
    starts = range(0, len(frames) - len(kernel) + 1, stride)
    rows = [np.einsum("ki,kio->o", frames[s : s + len(kernel)], kernel) for s in starts]
    return np.array(rows) + (bias[0] if bias else 0)


def reference(layer, sound):
    sound = sound.astype(np.float64)
    if layer.normalize:
        sound = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
    sound = np.concatenate([sound, np.zeros(max(0, layer.field - len(sound)))])
    first, *others = layer.convolutions
    frames = np.tanh(convolved(sound[:, None], first.weights, layer.strides[0]))
    scale, shift = np.asarray(layer.scale), np.asarray(layer.shift)
    frames = (frames - frames.mean()) / np.sqrt(frames.var() + 1e-5) * scale + shift
    for convolution, stride in zip(others, layer.strides[1:], strict=True):
        frames = gelu(convolved(frames, convolution.weights, stride))
    return frames


def test_each_row_has_the_frames_of_its_equations_whatever_stands_behind(layer):
    lengths = [200, 131, layer.field, layer.field + 1]
    sounds = RANDOM.normal(0.1, 0.3, (4, 260)).astype("float32")  # No zeros behind.
    mask = np.arange(260) < np.array(lengths)[:, None]
    frames, real = layer(sounds, mask)
    assert frames.shape == (4, layer.output_length(260), 6) and real.shape == frames.shape[:2]
    for row, length in enumerate(lengths):
        expected = reference(layer, sounds[row, :length])
        assert np.asarray(real)[row].sum() == len(expected)
        np.testing.assert_allclose(frames[row, : len(expected)], expected, atol=2e-5)


def test_a_sound_shorter_than_a_frame_has_one_whatever_stands_behind(layer):
    sounds = RANDOM.normal(0, 0.3, (2, 90)).astype("float32")
    frames, real = layer(sounds, np.arange(90) < np.array([[5], [0]]))
    np.testing.assert_array_equal(np.asarray(real).sum(1), [1, 0])
    assert np.isfinite(frames).all()
    alone, _ = layer(sounds[:1, :5], np.ones((1, 5), bool))
    np.testing.assert_allclose(frames[0, :1], alone[0, :1], atol=1e-5)


def test_a_row_of_any_length_has_a_frame(layer):
    for length in (0, 1, layer.field - 1, layer.field, 300):
        frames, _ = layer(np.zeros((1, length), "float32"), np.ones((1, length), bool))
        assert frames.shape[1] == layer.output_length(length) >= 1
        assert np.isfinite(frames).all()


def test_it_is_made_again_of_its_configuration(layer):
    again = WaveformConvolutions.from_config(layer.get_config())
    assert again.get_config() == layer.get_config() and again.field == 13 + 6 * (3 + 3 * 2)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"filters": (4, 5)}, "as many `filters`"),
        ({"filters": (), "kernel_sizes": (), "strides": ()}, "at least one"),
        ({"strides": (6, 0, 2)}, "at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_one_line(sizes, said):
    with pytest.raises(InputError, match=said):
        WaveformConvolutions(**{**SIZES, **sizes})
