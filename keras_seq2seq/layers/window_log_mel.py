"""The log-mel spectrogram of a window of fixed length, of operations that TFLite has."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers.log_mel import band_energies

# The scale of Slaney's Auditory Toolbox: linear to 1000 Hz, 200/3 Hz a mel, then logarithmic.
_LINEAR_TO, _HERTZ_A_MEL, _LOG_STEP = 1000.0, 200 / 3, math.log(6.4) / 27


def slaney_filters(num_bins: int, num_mels: int, sample_rate: int) -> np.ndarray:
    """Triangles of equal width on Slaney's mel scale from 0 to half the sample rate, each of
    area 1 in hertz.

    Returns:
        `(num_bins, num_mels)`, float32: weights of the frequencies from 0 to half the
        sample rate.
    """
    bend = _LINEAR_TO / _HERTZ_A_MEL
    half = sample_rate / 2
    last = bend + math.log(half / _LINEAR_TO) / _LOG_STEP if half > _LINEAR_TO else 0.0
    mels = np.linspace(0, last or half / _HERTZ_A_MEL, num_mels + 2)
    above = _LINEAR_TO * np.exp(_LOG_STEP * (np.maximum(mels, bend) - bend))
    corners = np.where(mels < bend, mels * _HERTZ_A_MEL, above)
    left, peak, right = corners[:-2], corners[1:-1], corners[2:]
    bins = np.linspace(0, half, num_bins)[:, None]
    rising, falling = (bins - left) / (peak - left), (right - bins) / (right - peak)
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * 2 / (right - left)).astype(np.float32)


def power_spectrum(frames: Any) -> Any:
    """Squared magnitudes of the Fourier transform of real frames, of any size `N = a b`.

    With `n = b n1 + n2` and `k = k1 + a k2` a transform of `N` is one of `a` over `n1`, a
    turn by `n2 k1 / N`, and one of `b` over `n2` (Cooley & Tukey, 1965): products of small
    matrices, which stay float32 in a file of 8-bit weights. The transform of TFLite knows
    powers of two alone.

    Args:
        frames: `(batch, frames, N)`, float32.

    Returns:
        `(batch, frames, N // 2 + 1)`.
    """
    rows, count, size = frames.shape
    rows = rows or -1
    a = max(one for one in range(1, math.isqrt(size) + 1) if size % one == 0)
    b = size // a
    kept = b // 2 + 1

    def waves(rows: int, columns: int, period: int) -> tuple[np.ndarray, np.ndarray]:
        angles = 2 * np.pi * np.outer(np.arange(rows), np.arange(columns)) / period
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)

    cos, sin = waves(a, a, a)
    frames = ops.transpose(ops.reshape(frames, (rows, count, a, b)), (0, 1, 3, 2))
    # (..., n2, k1), the sign of the imaginary part left out until the squares.
    real, imaginary = ops.matmul(frames, cos), ops.matmul(frames, sin)
    cos, sin = waves(b, a, size)
    turned = [real * cos - imaginary * sin, imaginary * cos + real * sin]
    both = ops.transpose(ops.concatenate(turned, axis=2), (0, 1, 3, 2))
    cos, sin = waves(b, kept, b)
    real = ops.matmul(both, np.concatenate([cos, -sin]))
    imaginary = ops.matmul(both, np.concatenate([sin, cos]))
    power = ops.transpose(real * real + imaginary * imaginary, (0, 1, 3, 2))
    return ops.reshape(power, (rows, count, a * kept))[..., : size // 2 + 1]


@keras.saving.register_keras_serializable("keras_seq2seq")
class WindowLogMel(keras.layers.Layer):
    """Log energies in mel bands of a window of sound, in a range of its own.

    The sound is followed by zeros up to the window, mirrored over half a frame at both ends,
    and cut into frames under a Hann window; their power spectra, times `slaney_filters`, give
    `x = log10(max(energy, 1e-10))`; what is more than 8 below the greatest value of the
    window is raised to that, and the result is `(x + 4) / 4`.

    Args:
        num_mels: int. Bands. Defaults to 80.
        sample_rate: int. Samples a second. Defaults to 16000.
        window_seconds: float. Length of the window. Defaults to 30.
        frame_size: int. Samples of a frame, even. Defaults to 400.
        stride: int. Samples from frame to frame, divides those of the window. Defaults to 160.

    Call arguments:
        waveform: `(batch, samples)`, float, in [-1, 1], at most as long as the window.
        mask: `(batch, samples)`, bool, `True` where there is sound.

    Returns:
        `(batch, frames of the window, num_mels)`, float32, and a mask that is `True`
        throughout.

    Raises:
        InputError: If a size is below 1, the frame is odd or the stride does not divide the
            window.

    Reference:
        [Radford et al., 2022](https://arxiv.org/abs/2212.04356), section 2.2.
    """

    @checked
    def __init__(
        self,
        num_mels: int = 80,
        sample_rate: int = 16000,
        window_seconds: float = 30.0,
        frame_size: int = 400,
        stride: int = 160,
        **kwargs: Any,
    ):
        # Energies of speech span more than 16 bits hold.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.supports_masking = True
        self.trainable = False
        self.num_mels = self.feature_dim = num_mels
        self.sample_rate = int(sample_rate)
        self.window_seconds = window_seconds
        self.frame_size = frame_size
        self.stride = stride
        self.window = round(self.sample_rate * window_seconds)
        if min(num_mels, self.window, frame_size, stride) < 1:
            raise InputError(
                f"Sizes must be at least 1. Received: num_mels={num_mels}, {self.window} "
                f"samples a window, frame_size={frame_size}, stride={stride}."
            )
        if frame_size % 2 or self.window % stride:
            raise InputError(
                "The frame must be even and the stride divide the window. Received: "
                f"frame_size={frame_size}, stride={stride}, {self.window} samples a window."
            )
        self._filters = slaney_filters(frame_size // 2 + 1, num_mels, self.sample_rate)

    def output_length(self, samples: int) -> int:
        """Frames of so many samples: those of the window."""
        return self.window // self.stride

    def build(self, waveform_shape, mask_shape=None):
        self.built = True

    def call(self, waveform, mask):
        waveform = waveform * ops.cast(mask, waveform.dtype)
        # Behind it as many zeros as it may lack: of a size that LiteRT knows before it runs.
        padded = ops.pad(waveform, [(0, 0), (0, self.window)])[:, : self.window]
        rows = waveform.shape[0] or -1  # A size that is known stays so, for a converter.
        padded = ops.reshape(padded, (rows, self.window))
        half, frames = self.frame_size // 2, self.window // self.stride
        padded = ops.pad(padded, [(0, 0), (half, half)], mode="reflect")
        windows = ops.extract_sequences(padded, self.frame_size, self.stride)[:, :frames]
        windows = ops.reshape(windows, (rows, frames, self.frame_size))
        turns = np.arange(self.frame_size) / self.frame_size
        hann = (0.5 - 0.5 * np.cos(2 * np.pi * turns)).astype(np.float32)
        power = power_spectrum(windows * hann)
        energies = band_energies(power, self._filters)
        values = ops.log(ops.maximum(energies, 1e-10)) * (1 / math.log(10))
        values = ops.maximum(values, ops.max(values, axis=(1, 2), keepdims=True) - 8)
        return (values + 4) / 4, ops.ones_like(values[:, :, 0], dtype="bool")

    def compute_output_spec(self, waveform, mask):
        batch, frames = waveform.shape[0], self.window // self.stride
        return (
            keras.KerasTensor((batch, frames, self.num_mels), "float32"),
            keras.KerasTensor((batch, frames), "bool"),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_mels": self.num_mels,
            "sample_rate": self.sample_rate,
            "window_seconds": self.window_seconds,
            "frame_size": self.frame_size,
            "stride": self.stride,
        }
