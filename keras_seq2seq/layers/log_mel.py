"""From a waveform to a log-mel spectrogram, of operations that TFLite has."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError

# TFLite rounds constant matrices from this size on to 8 bits when it quantizes a model; and
# energies, which span many powers of ten, with them.
QUANTIZED_FROM = 1024


def mel(hertz: Any) -> Any:
    """`2595 log10(1 + f / 700)`, an array."""
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def mel_corners(num_mels: int, low_hz: float, high_hz: float) -> np.ndarray:
    """`(num_mels + 2,)`, in mel: band `b` begins at place `b`, has its peak at `b + 1` and
    ends at `b + 2`."""
    return np.linspace(mel(low_hz), mel(high_hz), num_mels + 2)


def mel_filters(
    num_bins: int, num_mels: int, sample_rate: int, low_hz: float, high_hz: float
) -> np.ndarray:
    """Triangles of equal width in mel, `2595 log10(1 + f / 700)`, height 1.

    Returns:
        `(num_bins, num_mels)`, float32: weights of the frequencies from 0 to half the
        sample rate.
    """

    corners = mel_corners(num_mels, low_hz, high_hz)
    left, peak, right = corners[:-2], corners[1:-1], corners[2:]
    bins = mel(np.linspace(0, sample_rate / 2, num_bins))[:, None]
    rising, falling = (bins - left) / (peak - left), (right - bins) / (right - peak)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def band_energies(power: Any, filters: np.ndarray) -> Any:
    """`power @ filters` as products of the small matrices of `filter_blocks`."""
    energies = [
        ops.matmul(power[..., low:high], block) for low, high, block in filter_blocks(filters)
    ]
    return ops.concatenate(energies, axis=-1)


def filter_blocks(filters: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """The filters in groups of neighbouring bands: `(first bin, end, (bins, bands))`."""
    blocks: list[tuple[int, int, np.ndarray]] = []
    num_bands, first = filters.shape[1], 0
    for band in range(1, num_bands + 1):
        low, high = _span(filters[:, first : band + 1])
        # With one more band it would be too large, or there is none.
        if band == num_bands or (high - low) * (band + 1 - first) >= QUANTIZED_FROM:
            low, high = _span(filters[:, first:band])
            blocks.append((low, high, filters[low:high, first:band]))
            first = band
    return blocks


def _span(filters: np.ndarray) -> tuple[int, int]:
    """The first frequency that one of the bands holds, and the end of the last."""
    bins = np.flatnonzero(filters.any(axis=1))
    return int(bins[0]), int(bins[-1]) + 1


@keras.saving.register_keras_serializable("keras_seq2seq")
class LogMelSpectrogram(keras.layers.Layer):
    """Log energies in mel bands of overlapping windows.

    Window `t` holds the samples from `t * stride` on, times a Hann window; its power
    spectrum, times `mel_filters`, gives `log(max(energy, floor))`. With a dynamic range what
    is more than that below the greatest energy of the sound is raised to there, so that
    pauses and quiet noises are the same in every recording. Samples after the end of the
    sound count as zeros, so a sound of `n` samples has `ceil(n / stride)` frames
    whatever the batch is padded to.

    In a `.tflite` file the Fourier transform is the builtin `RFFT2D`, and the filters are
    products of small matrices, which stay float32 in a file of 8-bit weights.

    Args:
        sample_rate: int. Samples a second.
        num_mels: int. Bands. Defaults to 40.
        window_seconds: float. Defaults to 0.025.
        stride_seconds: float. Defaults to 0.01.
        low_hz: float. Lower end of the lowest band. Defaults to 60.
        high_hz: float, optional. Upper end of the highest. Defaults to half the sample rate.
        floor: float. Smallest energy. Defaults to 1e-6.
        dynamic_range: float, above 0, optional. Decibels. Defaults to none: only the floor.

    Call arguments:
        waveform: `(batch, samples)`, float, in [-1, 1].
        mask: `(batch, samples)`, bool, `True` where there is sound.

    Returns:
        `(batch, ceil(samples / stride), num_mels)`, float32, and its mask.

    Raises:
        InputError: If a size is below 1, the dynamic range not above 0, or the bands are not
            between 0 and half the sample rate or too narrow for the window.
    """

    @checked
    def __init__(
        self,
        sample_rate: int,
        num_mels: int = 40,
        window_seconds: float = 0.025,
        stride_seconds: float = 0.01,
        low_hz: float = 60.0,
        high_hz: float | None = None,
        floor: float = 1e-6,
        dynamic_range: float | None = None,
        **kwargs: Any,
    ):
        # Energies of speech span more than 16 bits hold.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.supports_masking = True
        self.trainable = False
        self.sample_rate = int(sample_rate)
        self.num_mels = self.feature_dim = num_mels
        self.window_seconds = window_seconds
        self.stride_seconds = stride_seconds
        self.low_hz = low_hz
        self.high_hz = sample_rate / 2 if high_hz is None else high_hz
        self.floor = floor
        if dynamic_range is not None and not 0 < dynamic_range < math.inf:
            raise InputError(
                f"`dynamic_range` must be above 0. Received: dynamic_range={dynamic_range}."
            )
        self.dynamic_range = dynamic_range
        self.window = round(sample_rate * window_seconds)
        self.stride = round(sample_rate * stride_seconds)
        if min(self.sample_rate, num_mels, self.window, self.stride) < 1:
            raise InputError(
                "Sizes must be at least 1. Received: "
                f"sample_rate={sample_rate}, num_mels={num_mels}, {self.window} samples a "
                f"window, {self.stride} a stride."
            )
        if not 0 <= low_hz < self.high_hz <= sample_rate / 2:
            raise InputError(
                "`low_hz` and `high_hz` must be in order, from 0 to half the sample rate. "
                f"Received: low_hz={low_hz}, high_hz={self.high_hz}, "
                f"sample_rate={sample_rate}."
            )
        # The next power of two, as toolkits have it: a finer grid of frequencies.
        self.fft_size = 2 ** (self.window - 1).bit_length()
        self._filters = mel_filters(
            self.fft_size // 2 + 1, num_mels, self.sample_rate, low_hz, self.high_hz
        )
        if not self._filters.any(axis=0).all():
            raise InputError(
                f"{num_mels} bands are too narrow for windows of {self.window} samples: some "
                "hold no frequency. Use fewer bands or longer windows."
            )

    def build(self, waveform_shape, mask_shape=None):
        self.built = True

    def call(self, waveform, mask):
        waveform = waveform * ops.cast(mask, waveform.dtype)
        padded = ops.pad(waveform, [(0, 0), (0, self.window - 1)])
        windows = ops.extract_sequences(padded, self.window, self.stride)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)
        real, imaginary = ops.rfft(windows * hann.astype(np.float32), self.fft_size)
        power = real * real + imaginary * imaginary
        energies = band_energies(power, self._filters)
        values = ops.log(ops.maximum(energies, self.floor))
        if self.dynamic_range is not None:
            # Frames of padding have the floor, so the greatest value is that of the sound.
            greatest = ops.max(values, axis=(1, 2), keepdims=True)
            values = ops.maximum(values, greatest - self.dynamic_range * math.log(10) / 10)
        return values, mask[:, :: self.stride]

    def output_length(self, samples: int) -> int:
        """Frames of so many samples."""
        return -(-samples // self.stride)

    def compute_output_spec(self, waveform, mask):
        batch, samples = waveform.shape
        frames = None if samples is None else self.output_length(samples)
        return (
            keras.KerasTensor((batch, frames, self.num_mels), "float32"),
            keras.KerasTensor((batch, frames), "bool"),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sample_rate": self.sample_rate,
            "num_mels": self.num_mels,
            "window_seconds": self.window_seconds,
            "stride_seconds": self.stride_seconds,
            "low_hz": self.low_hz,
            "high_hz": self.high_hz,
            "floor": self.floor,
            "dynamic_range": self.dynamic_range,
        }
