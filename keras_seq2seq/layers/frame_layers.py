"""Layers over masked frames of features that a `FrameEmbedding` or `WaveformEmbedding` applies
before it projects them: `layer(frames, mask) -> frames` of the same length."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers.log_mel import mel_corners
from keras_seq2seq.layers.sizes import size_of


class _FrameLayer(keras.layers.Layer):
    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, frames_shape, mask_shape=None):
        self.built = True

    def compute_output_spec(self, frames, mask, training=None):
        return keras.KerasTensor(frames.shape, self.compute_dtype)


@keras.saving.register_keras_serializable("keras_seq2seq")
class FrameNormalization(_FrameLayer):
    """Each feature with mean 0 and variance 1: `(x - m) / sqrt(v + epsilon)`.

    Without given statistics `m` and `v` are those of the real frames of each utterance.
    Padding becomes 0.

    Args:
        mean: Sequence of floats, one a feature, optional: statistics of a data set.
        variance: Likewise; both or none.
        epsilon: float. Defaults to 1e-5.

    Call arguments:
        frames: `(batch, length, features)`.
        mask: `(batch, length)`, bool, `True` where there is source.

    Returns:
        As `frames`.

    Raises:
        InputError: If one of `mean` and `variance` is given alone, or they differ in number.
    """

    @checked
    def __init__(
        self,
        mean: Sequence[float] | None = None,
        variance: Sequence[float] | None = None,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if (mean is None) != (variance is None) or len(mean or ()) != len(variance or ()):
            raise InputError(
                "Give `mean` and `variance` of the same features, or none of them. Received: "
                f"mean={mean}, variance={variance}."
            )
        self.mean = None if mean is None else [float(number) for number in mean]
        self.variance = None if variance is None else [float(number) for number in variance]
        self.epsilon = epsilon

    def call(self, frames, mask):
        real = ops.cast(mask, frames.dtype)[:, :, None]
        if self.mean is not None:
            mean = ops.convert_to_tensor(self.mean, frames.dtype)
            variance = ops.convert_to_tensor(self.variance, frames.dtype)
        else:
            count = ops.maximum(ops.sum(real, axis=1, keepdims=True), 1)
            mean = ops.sum(frames * real, axis=1, keepdims=True) / count
            difference = (frames - mean) * real
            variance = ops.sum(difference * difference, axis=1, keepdims=True) / count
        return (frames - mean) * ops.rsqrt(variance + self.epsilon) * real

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "mean": self.mean,
            "variance": self.variance,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable("keras_seq2seq")
class DeltaFeatures(_FrameLayer):
    """Appends how the features change: `[x, d(x), d(d(x))]`, three times as many.

    `d(x)_t = sum_n n (x_{t+n} - x_{t-n}) / (2 sum_n n^2)` over `n = 1 ... window`, the slope
    of a regression line. Padding counts as zeros.

    Args:
        window: int, at least 1. Frames on either side. Defaults to 2.

    Call arguments:
        frames: `(batch, length, features)`.
        mask: `(batch, length)`, bool, `True` where there is source.

    Returns:
        `(batch, length, 3 * features)`.

    Raises:
        InputError: If `window` is below 1.
    """

    @checked
    def __init__(self, window: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        if window < 1:
            raise InputError(f"`window` must be at least 1. Received: window={window}.")
        self.window = window

    def call(self, frames, mask):
        real = ops.cast(mask, frames.dtype)[:, :, None]
        frames = frames * real
        slope = self._slope(frames) * real
        return ops.concatenate([frames, slope, self._slope(slope) * real], axis=-1)

    def _slope(self, frames):
        window = self.window
        length = size_of(frames, 1)
        padded = ops.pad(frames, [(0, 0), (window, window), (0, 0)])
        total = 0.0
        for n in range(1, window + 1):
            after = padded[:, window + n : window + n + length]
            before = padded[:, window - n : window - n + length]
            total = total + n * (after - before)
        return total / (2 * sum(n * n for n in range(1, window + 1)))

    def compute_output_spec(self, frames, mask, training=None):
        batch, length, features = frames.shape
        return keras.KerasTensor((batch, length, 3 * features), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "window": self.window}


@keras.saving.register_keras_serializable("keras_seq2seq")
class SpecAugment(_FrameLayer):
    """In training, sets stretches of frames and bands of features to 0, their mean.

    Of each utterance `time_masks` times `t` frames from `t_0` on, with `t` even over 0 to
    `min(time_width, time_share * length)` and `t_0` over the places that keep it within the
    real frames; and likewise `feature_masks` times up to `min(feature_width, feature_share *
    features)` neighbouring features. No time warping. For normalized features.

    Args:
        time_masks: int. Defaults to 2.
        time_width: int. Frames at most. Defaults to 40.
        time_share: float. Share of the frames at most, a mask. Defaults to 0.2.
        feature_masks: int. Defaults to 2.
        feature_width: int. Features at most. Defaults to 8.
        feature_share: float. Share of the features at most, a mask. Defaults to 0.25.
        seed: int, optional.

    Call arguments:
        frames: `(batch, length, features)`.
        mask: `(batch, length)`, bool, `True` where there is source.

    Returns:
        As `frames`.

    Raises:
        InputError: If a number is negative.

    Reference:
        [Park et al., 2019](https://arxiv.org/abs/1904.08779), section 2.
    """

    @checked
    def __init__(
        self,
        time_masks: int = 2,
        time_width: int = 40,
        time_share: float = 0.2,
        feature_masks: int = 2,
        feature_width: int = 8,
        feature_share: float = 0.25,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.sizes = {
            "time_masks": time_masks,
            "time_width": time_width,
            "time_share": time_share,
            "feature_masks": feature_masks,
            "feature_width": feature_width,
            "feature_share": feature_share,
        }
        for name, value in self.sizes.items():
            if not 0 <= value < math.inf:
                raise InputError(f"`{name}` must be at least 0. Received: {name}={value}.")
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, frames, mask, training=None):
        if not training:
            return frames
        sizes = self.sizes
        batch, length, features = ops.shape(frames)
        lengths = ops.sum(ops.cast(mask, "float32"), axis=1)
        widths = ops.minimum(sizes["time_width"], sizes["time_share"] * lengths)
        hidden_frames = self._stretches(sizes["time_masks"], batch, length, lengths, widths)
        all_features = ops.full((batch,), features, "float32")
        widths = ops.minimum(sizes["feature_width"], sizes["feature_share"] * all_features)
        hidden_features = self._stretches(
            sizes["feature_masks"], batch, features, all_features, widths
        )
        hidden = ops.logical_or(hidden_frames[:, :, None], hidden_features[:, None, :])
        return ops.where(hidden, ops.zeros_like(frames), frames)

    def _stretches(self, count, batch, size, lengths, widths):
        """`(batch, size)`, bool: `True` inside one of `count` stretches at random."""
        draws = [
            keras.random.uniform((batch, count), seed=self.seed_generator) for _ in range(2)
        ]
        # A width is a whole number from 0 to the largest, each as likely.
        width = ops.floor(draws[0] * (ops.floor(widths) + 1)[:, None])
        begin = ops.floor(draws[1] * (lengths[:, None] - width + 1))
        place = ops.arange(size, dtype="float32")[None, None]
        inside = ops.logical_and(
            place >= begin[:, :, None], place < (begin + width)[:, :, None]
        )
        return ops.any(inside, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.sizes, "seed": self.seed}


@keras.saving.register_keras_serializable("keras_seq2seq")
class FrequencyWarp(_FrameLayer):
    """In training, moves the mel bands of each utterance as another vocal tract would.

    What was at the frequency `f` comes to `a f`, with `a` even over `1 - share` to `1 +
    share`, one an utterance: a band is read between its two neighbours of that place, those
    at the ends as the first and last band. For log energies as of `LogMelSpectrogram`.

    Args:
        low_hz: float. Lower end of the lowest band.
        high_hz: float. Upper end of the highest.
        share: float in [0, 1). Defaults to 0.15.
        seed: int, optional.

    Call arguments:
        frames: `(batch, length, bands)`.
        mask: `(batch, length)`, bool, `True` where there is source.

    Returns:
        As `frames`.

    Raises:
        InputError: If `share` is not in [0, 1).

    Reference:
        Jaitly & Hinton, 2013, "Vocal Tract Length Perturbation (VTLP) improves speech
        recognition".
    """

    @checked
    def __init__(
        self,
        low_hz: float,
        high_hz: float,
        share: float = 0.15,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not 0 <= share < 1:
            raise InputError(f"`share` must be in [0, 1). Received: share={share}.")
        self.low_hz, self.high_hz, self.share, self.seed = low_hz, high_hz, share, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, frames, mask, training=None):
        if not training or not self.share:
            return frames
        factors = keras.random.uniform(
            (ops.shape(frames)[0], 1), 1 - self.share, 1 + self.share, seed=self.seed_generator
        )
        bands = frames.shape[-1]
        corners = mel_corners(bands, self.low_hz, self.high_hz)
        peaks = 700 * (10 ** (corners[1:-1] / 2595) - 1)
        read_at = 2595 / np.log(10) * ops.log1p(peaks.astype("float32") / factors / 700)
        places = (read_at - float(corners[1])) / float(corners[1] - corners[0])
        places = ops.clip(places, 0, bands - 1)
        distances = ops.abs(places[:, None, :] - np.arange(bands, dtype="float32")[:, None])
        shares = ops.cast(ops.maximum(1 - distances, 0), frames.dtype)
        return ops.matmul(frames, shares)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "low_hz": self.low_hz,
            "high_hz": self.high_hz,
            "share": self.share,
            "seed": self.seed,
        }
