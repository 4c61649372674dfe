"""The log-mel spectrogram of a window, against its definition."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.layers import WindowLogMel
from keras_seq2seq.layers.log_mel import QUANTIZED_FROM
from keras_seq2seq.layers.window_log_mel import power_spectrum, slaney_filters
from tests.converters.whisper_files import log_mel, mel_filters

RANDOM = np.random.default_rng(4)


@pytest.mark.parametrize(
    "size, count, seconds", [(400, 80, 1.0), (400, 128, 0.5), (30, 4, 0.1)]
)
def test_its_values_are_those_of_the_definition(size, count, seconds):
    layer = WindowLogMel(count, window_seconds=seconds, frame_size=size)
    sound = RANDOM.normal(0, 0.1, round(seconds * 12000)).astype(np.float32)
    # What lies behind the sound does not matter.
    padded = np.concatenate([sound, RANDOM.normal(0, 1, 50)])[None]
    mask = np.arange(len(sound) + 50)[None] < len(sound)
    frames, is_source = layer(tf.constant(padded, tf.float32), tf.constant(mask))
    expected = log_mel(sound, count, seconds, size=size)
    np.testing.assert_allclose(frames[0], expected, atol=2e-4)
    assert is_source.numpy().all() and is_source.shape == frames.shape[:2]
    assert frames.shape[1] == layer.output_length(len(sound)) == len(expected)


@pytest.mark.parametrize("size", [1, 2, 6, 7, 30, 400])
def test_a_spectrum_of_any_size(size):
    frames = RANDOM.normal(0, 1, (2, 3, size)).astype(np.float32)
    expected = np.abs(np.fft.rfft(frames)) ** 2
    found = power_spectrum(tf.constant(frames)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_filters_have_area_one_and_are_those_of_slaney():
    filters = slaney_filters(201, 80, 16000)
    np.testing.assert_allclose(filters, mel_filters(80), atol=1e-7)
    areas = slaney_filters(20001, 80, 16000).sum(0) * 8000 / 20000
    np.testing.assert_allclose(areas, 1, atol=1e-2)


def test_silence_and_an_empty_row_are_finite():
    layer = WindowLogMel(8, window_seconds=0.1)
    frames, _ = layer(tf.zeros((2, 0)), tf.zeros((2, 0), tf.bool))
    np.testing.assert_allclose(frames, np.full((2, 10, 8), -1.5), rtol=1e-6)


def test_no_constant_matrix_is_so_large_that_it_would_be_rounded():
    layer = WindowLogMel(80, window_seconds=0.1)
    spec = tf.TensorSpec((1, 1600)), tf.TensorSpec((1, 1600), tf.bool)
    graph = tf.function(layer.call).get_concrete_function(*spec).graph
    products = [one for one in graph.get_operations() if "MatMul" in one.type]
    sizes = [
        int(np.prod(tensor.shape))
        for product in products
        for tensor in product.inputs
        if tensor.op.type == "Const"
    ]
    assert len(sizes) > 4 and max(sizes) < QUANTIZED_FROM


def test_it_comes_back_from_its_configuration_and_refuses_what_does_not_fit():
    layer = WindowLogMel(8, window_seconds=0.5)
    back = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert back.get_config() == layer.get_config()
    with pytest.raises(ValueError, match="stride divide the window"):
        WindowLogMel(8, window_seconds=0.05, stride=300)
    with pytest.raises(ValueError, match="must be at least 1"):
        WindowLogMel(0)
