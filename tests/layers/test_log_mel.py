import keras
import numpy as np
import pytest

from keras_seq2seq.layers import LogMelSpectrogram
from keras_seq2seq.layers.log_mel import mel_filters


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
        ({"num_mels": 200}, "200 bands are too narrow"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        LogMelSpectrogram(**{"sample_rate": 8000, **settings})


def test_it_is_saved_and_loaded():
    layer = LogMelSpectrogram(16000, num_mels=23, low_hz=100.0)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
