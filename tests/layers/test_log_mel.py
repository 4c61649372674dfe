import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from export.flatbuffer import unfit_operations
from keras_seq2seq.layers import LogMelSpectrogram
from keras_seq2seq.layers.log_mel import filter_blocks, mel_filters


def reference(samples, rate=8000, mels=40, low=60.0, floor=1e-6):
    """The same spectrogram with NumPy's Fourier transform."""
    window, stride = rate // 40, rate // 100
    size = 2 ** int(np.ceil(np.log2(window)))
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    corners = np.linspace(*(2595 * np.log10(1 + np.array([low, rate / 2]) / 700)), mels + 2)
    bins = 2595 * np.log10(1 + np.fft.rfftfreq(size, 1 / rate) / 700)
    frames = []
    for begin in range(0, len(samples), stride):
        piece = np.zeros(window)
        piece[: len(samples[begin : begin + window])] = samples[begin : begin + window]
        power = np.abs(np.fft.rfft(piece * hann, size)) ** 2
        energies = [
            sum(power * np.interp(bins, corners[band : band + 3], [0, 1, 0], 0, 0))
            for band in range(mels)
        ]
        frames.append(np.log(np.maximum(energies, floor)))
    return np.array(frames)


@pytest.mark.parametrize("length", [1, 79, 80, 81, 200, 1234])
def test_it_equals_a_numpy_reference(length):
    samples = np.random.default_rng(1).normal(0, 0.1, length).astype("float32")
    layer = LogMelSpectrogram(8000)
    frames, mask = layer(samples[None], np.ones((1, length), bool))
    expected = reference(samples)
    assert frames.shape == (1, -(-length // 80), 40) and np.all(mask)
    np.testing.assert_allclose(frames[0], expected, atol=2e-3)


def test_padding_changes_nothing_whatever_it_holds():
    rng = np.random.default_rng(2)
    samples = rng.normal(0, 0.1, (1, 500)).astype("float32")
    wide = np.concatenate([samples, rng.normal(0, 1, (1, 300)).astype("float32")], 1)
    layer = LogMelSpectrogram(8000, num_mels=20)
    frames, _ = layer(samples, np.ones((1, 500), bool))
    wide_frames, mask = layer(wide, np.arange(800)[None] < 500)
    assert np.asarray(mask).sum() == frames.shape[1] == 7
    np.testing.assert_allclose(wide_frames[:, :7], frames, atol=1e-5)


def test_silence_gives_the_floor():
    frames, _ = LogMelSpectrogram(8000, floor=1e-4)(np.zeros((1, 400)), np.ones((1, 400), bool))
    np.testing.assert_allclose(frames, np.log(1e-4), rtol=1e-6)


def test_what_is_far_below_the_greatest_energy_is_raised():
    rng = np.random.default_rng(3)
    samples = rng.normal(0, 0.1, 900).astype("float32")
    samples[300:600] *= 1e-3
    expected = reference(samples)
    expected = np.maximum(expected, expected.max() - 2.5 * np.log(10))
    layer = LogMelSpectrogram(8000, dynamic_range=25)
    padded = np.concatenate([samples, rng.normal(0, 1, 500).astype("float32")])
    # Each of a batch has its own, whatever is behind it.
    batch = np.stack([padded, 0.1 * padded])
    frames, mask = layer(batch, np.tile(np.arange(1400) < 900, (2, 1)))
    count = int(np.asarray(mask)[0].sum())
    np.testing.assert_allclose(frames[0, :count], expected, atol=2e-3)
    np.testing.assert_allclose(frames[1, :count], expected - 2 * np.log(10), atol=2e-3)
    assert len(np.unique(np.asarray(frames)[0, 5:6])) == 1


def test_a_tone_is_loudest_in_its_band():
    samples = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000).astype("float32")
    layer = LogMelSpectrogram(8000)
    frames, _ = layer(samples[None], np.ones((1, 8000), bool))
    filters = mel_filters(129, 40, 8000, 60.0, 4000.0)
    assert np.asarray(frames)[0, 50].argmax() == filters[32].argmax()  # Bin 32 is 1,000 Hz.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample_rate": 0}, "Sizes must be at least 1"),
        ({"num_mels": 0}, "Sizes must be at least 1"),
        ({"stride_seconds": 0.0}, "Sizes must be at least 1"),
        ({"high_hz": 5000.0}, "from 0 to half the sample rate"),
        ({"low_hz": 4000.0}, "from 0 to half the sample rate"),
        ({"dynamic_range": 0}, "`dynamic_range` must be above 0"),
        ({"num_mels": 200}, "200 bands are too narrow"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        LogMelSpectrogram(**{"sample_rate": 8000, **settings})


def test_it_is_saved_and_loaded():
    layer = LogMelSpectrogram(16000, num_mels=23, low_hz=100.0, dynamic_range=30.0)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize(("rate", "mels"), [(8000, 40), (16000, 80), (16000, 23)])
def test_small_products_are_the_whole_product(rate, mels):
    layer = LogMelSpectrogram(rate, mels)
    whole = np.zeros_like(layer._filters)
    column = 0
    for low, high, block in filter_blocks(layer._filters):
        assert block.size < 1024 or block.shape[1] == 1
        whole[low:high, column : column + block.shape[1]] = block
        column += block.shape[1]
    np.testing.assert_array_equal(whole, layer._filters)


@pytest.mark.parametrize("quantize, dynamic_range", [(False, None), (True, None), (True, 50)])
def test_a_file_for_devices_computes_the_same_with_weights_of_8_bits_too(
    quantize, dynamic_range
):
    layer = LogMelSpectrogram(8000, dynamic_range=dynamic_range)
    samples = np.random.default_rng(1).normal(0, 0.1, (1, 3000)).astype("float32")
    samples[:, 1000:] *= 1e-3

    def frames(waveform):
        return layer(waveform, tf.ones_like(waveform, tf.bool))[0]

    function = tf.function(frames, input_signature=[tf.TensorSpec((1, None), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()]
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if quantize else []
    content = converter.convert()
    assert not unfit_operations(content)
    interpreter = Interpreter(model_content=content)
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], samples.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], samples)
    interpreter.invoke()
    expected = frames(tf.constant(samples))
    np.testing.assert_allclose(interpreter.get_tensor(result["index"]), expected, atol=1e-3)
