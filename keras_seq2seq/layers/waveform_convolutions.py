"""Frames that are learned from the waveform itself."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError

# Added to variances of a sound, and of what the first convolution makes of it.
_SOUND_EPSILON, _EPSILON = 1e-7, 1e-5
# So many numbers are summed first: a device that adds one after the other loses the last
# digits of a long sum.
_RUN = 64


@keras.saving.register_keras_serializable("keras_seq2seq")
class WaveformConvolutions(keras.layers.Layer):
    """Convolutions with strides over a waveform, in place of a spectrogram.

    The first has no bias; its `tanh` is brought to mean 0 and variance 1 over all frames and
    filters of a sound, then scaled and shifted filter by filter. The others have biases and
    GELU. A frame is one that lies within the sound: padding never matters. A sound that is
    shorter than what one frame sees is followed by zeros and has one.

    Args:
        filters: ints, one a convolution. Defaults to `(288, 576, 288)`, those of Moonshine
            tiny.
        kernel_sizes: ints, likewise. Defaults to `(127, 7, 3)`.
        strides: ints, likewise. Defaults to `(64, 3, 2)`.
        sample_rate: int. Samples a second. Defaults to 16000.
        normalize: bool. Each sound is brought to mean 0 and variance 1 first. Defaults to
            `False`.

    Call arguments:
        waveform: `(batch, samples)`, float.
        mask: `(batch, samples)`, bool, `True` where there is sound.

    Returns:
        `(batch, frames, filters[-1])`, and the mask `(batch, frames)`, bool.

    Raises:
        InputError: If the lists are empty or differ in length, or a size is below 1.

    Reference:
        [Jeffries et al., 2024](https://arxiv.org/abs/2410.15608), section 3.1.
    """

    @checked
    def __init__(
        self,
        filters: Sequence[int] = (288, 576, 288),
        kernel_sizes: Sequence[int] = (127, 7, 3),
        strides: Sequence[int] = (64, 3, 2),
        sample_rate: int = 16000,
        normalize: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.filters = tuple(filters)
        self.kernel_sizes, self.strides = tuple(kernel_sizes), tuple(strides)
        self.sample_rate = int(sample_rate)
        self.normalize = normalize
        sizes = (*self.filters, *self.kernel_sizes, *self.strides, self.sample_rate)
        if not len(self.filters) == len(self.kernel_sizes) == len(self.strides) > 0:
            raise InputError(
                "There must be as many `filters` as `kernel_sizes` and `strides`, at least "
                f"one. Received: {self.filters}, {self.kernel_sizes}, {self.strides}."
            )
        if min(sizes) < 1:
            raise InputError(f"Sizes must be at least 1. Received: {sizes}.")
        self.feature_dim = self.filters[-1]
        # Samples that one frame of the last convolution sees.
        self.field = 1
        for size, stride in zip(self.kernel_sizes[::-1], self.strides[::-1], strict=True):
            self.field = (self.field - 1) * stride + size
        self.convolutions = [
            keras.layers.Conv1D(
                count,
                size,
                stride,
                padding="valid",
                use_bias=index > 0,
                activation="gelu" if index else "tanh",
                dtype=self.dtype_policy,
                name=f"convolution_{index}",
            )
            for index, (count, size, stride) in enumerate(
                zip(self.filters, self.kernel_sizes, self.strides, strict=True)
            )
        ]

    def build(self, waveform_shape, mask_shape=None):
        channels = 1
        for convolution in self.convolutions:
            convolution.build((None, None, channels))
            channels = convolution.filters
        self.scale = self.add_weight((self.filters[0],), "ones", name="scale")
        self.shift = self.add_weight((self.filters[0],), "zeros", name="shift")
        self.built = True

    def output_length(self, samples: int) -> int:
        """Frames of so many samples, those behind the sound included."""
        length = samples + self.field
        for size, stride in zip(self.kernel_sizes, self.strides, strict=True):
            length = (length - size) // stride + 1
        return length

    def call(self, waveform, mask):
        real = ops.cast(mask, waveform.dtype)
        waveform = waveform * real
        lengths = ops.sum(ops.cast(mask, "int32"), axis=1)
        if self.normalize:
            waveform = _normalized(waveform, real)
        # Behind it what a frame sees: there is always one, whatever the length.
        frames = ops.pad(waveform, [(0, 0), (0, self.field)])[..., None]
        some = ops.minimum(lengths, 1)
        for index, convolution in enumerate(self.convolutions):
            frames = convolution(ops.cast(frames, self.compute_dtype))
            size, stride = self.kernel_sizes[index], self.strides[index]
            lengths = ops.floor_divide(lengths - size, stride) + 1
            lengths = ops.maximum(lengths, some)
            if index == 0:
                frames = self._evened(frames, _within(frames, lengths))
        return frames, _within(frames, lengths)

    def _evened(self, frames, mask):
        """Mean 0 and variance 1 over the frames of each sound, then scale and shift."""
        # Sums of squares have more than 16 bits.
        values = ops.cast(frames, "float32")
        real = ops.cast(mask, "float32")[..., None]
        count = ops.maximum(ops.sum(real, axis=(1, 2), keepdims=True), 1) * self.filters[0]
        mean = _sum(values * real) / count
        difference = (values - mean) * real
        variance = _sum(difference * difference) / count
        values = (values - mean) * ops.rsqrt(variance + _EPSILON)
        return values * ops.cast(self.scale, "float32") + ops.cast(self.shift, "float32")

    def compute_output_spec(self, waveform, mask):
        batch, samples = waveform.shape
        length = None if samples is None else self.output_length(samples)
        return (
            keras.KerasTensor((batch, length, self.feature_dim), self.compute_dtype),
            keras.KerasTensor((batch, length), "bool"),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_sizes": self.kernel_sizes,
            "strides": self.strides,
            "sample_rate": self.sample_rate,
            "normalize": self.normalize,
        }


def _within(frames, lengths):
    """Which frames lie within the sound, `(batch, frames)`."""
    counts = ops.cumsum(ops.ones_like(frames[..., 0], "int32"), axis=1)
    return ops.less_equal(counts, lengths[:, None])


def _sum(values):
    """`(batch, length, dim)` -> `(batch, 1, 1)`."""
    return ops.sum(ops.sum(values, axis=2, keepdims=True), axis=1, keepdims=True)


def _normalized(waveform, real):
    """`(batch, samples)` with mean 0 and variance 1 where `real` is 1, and 0 elsewhere."""
    count = ops.maximum(_total(real), 1)
    centred = (waveform - _total(waveform) / count) * real
    return centred * ops.rsqrt(_total(centred * centred) / count + _SOUND_EPSILON)


def _total(values):
    """`(batch, samples)` -> `(batch, 1)`."""
    runs = ops.pad(values, [(0, 0), (0, _RUN - 1)])[..., None]
    means = ops.average_pool(runs, _RUN, _RUN, padding="valid")
    return ops.sum(means[..., 0], axis=1, keepdims=True) * _RUN
