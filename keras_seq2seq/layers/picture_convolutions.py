"""A convolutional network over every picture of a video."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers.sizes import rows_of, size_of


@keras.saving.register_keras_serializable("keras_seq2seq")
class PictureConvolutions(keras.layers.Layer):
    """Convolutions with strides of 2 and ReLU over each picture of a video and its neighbours
    in time, then flattened. The first sees 5 x 5 pixels, fine enough for small shapes, the
    others 3 x 3 places.

    A convolution that sees neighbouring pictures tells what moves where: the motion of each
    shape is found at the place of that shape, so that two shapes are not confused. One that
    sees a picture alone tells what a thing looks like, however it moves.

    Args:
        picture_shape: Height, width and channels of a picture.
        filters: ints, one a convolution.
        temporal_kernel_size: int, odd, or one for each convolution. Pictures that it sees,
            the one of its place in the middle; 1 for that one alone. Defaults to 1.

    Call arguments:
        frames: `(batch, length, height * width * channels)`.
        mask: `(batch, length)`, bool, `True` where there is source. Padding counts as zeros.

    Returns:
        `(batch, length, h * w * filters[-1])`, where each convolution halves height and
        width, rounded up: what is seen, and where.

    Raises:
        InputError: If a size is below 1, a `temporal_kernel_size` is even, or their number is
            not that of `filters`.
    """

    @checked
    def __init__(
        self,
        picture_shape: Sequence[int],
        filters: Sequence[int],
        temporal_kernel_size: int | Sequence[int] = 1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.picture_shape = tuple(picture_shape)
        self.filters = tuple(filters)
        self.temporal_kernel_sizes = (
            (temporal_kernel_size,) * len(self.filters)
            if isinstance(temporal_kernel_size, int)
            else tuple(temporal_kernel_size)
        )
        if len(self.picture_shape) != 3 or min(*self.picture_shape, *self.filters) < 1:
            raise InputError(
                "`picture_shape` must be height, width and channels, and all sizes at least "
                f"1. Received: picture_shape={self.picture_shape}, filters={self.filters}."
            )
        if any(size < 1 or size % 2 == 0 for size in self.temporal_kernel_sizes):
            raise InputError(
                "`temporal_kernel_size` must be odd and at least 1. Received: "
                f"{temporal_kernel_size}."
            )
        if len(self.temporal_kernel_sizes) != len(self.filters):
            raise InputError(
                "`temporal_kernel_size` must be one number, or one for each of `filters`. "
                f"Received: temporal_kernel_size={temporal_kernel_size}, "
                f"filters={self.filters}."
            )
        self.convolutions = [
            keras.layers.Conv2D(
                size,
                3 if index else 5,
                2,
                padding="same",
                activation="relu",
                dtype=self.dtype_policy,
                name=f"convolution_{index}",
            )
            for index, size in enumerate(self.filters)
        ]
        height, width, _ = self.picture_shape
        for _ in self.filters:
            height, width = -(-height // 2), -(-width // 2)
        last = self.filters[-1] if self.filters else self.picture_shape[-1]
        self.output_dim = height * width * last

    def build(self, frames_shape, mask_shape=None):
        height, width, channels = self.picture_shape
        for convolution, seen in zip(
            self.convolutions, self.temporal_kernel_sizes, strict=True
        ):
            shape = (None, height, width, seen * channels)
            convolution.build(shape)
            _, height, width, channels = convolution.compute_output_shape(shape)
        self.built = True

    def call(self, frames, mask):
        rows, length = rows_of(frames), size_of(frames, 1)
        real = ops.cast(mask, frames.dtype)[:, :, None]
        shape = self.picture_shape
        for convolution, seen in zip(
            self.convolutions, self.temporal_kernel_sizes, strict=True
        ):
            pictures = convolution(self._with_neighbours(frames * real, shape, seen))
            shape = pictures.shape[1:]
            frames = ops.reshape(pictures, (rows, length, math.prod(shape)))
        return frames

    def _with_neighbours(self, frames, shape, seen):
        """`(batch * length, height, width, seen * channels)`."""
        length, reach = size_of(frames, 1), seen // 2
        padded = ops.pad(frames, [(0, 0), (reach, reach), (0, 0)]) if reach else frames
        shifted = [padded[:, n : n + length] for n in range(seen)]
        return ops.concatenate([ops.reshape(one, (-1, *shape)) for one in shifted], axis=-1)

    def compute_output_spec(self, frames, mask):
        batch, length, size = frames.shape
        if size != math.prod(self.picture_shape):
            raise InputError(
                f"Expected pictures of {self.picture_shape}. Received size {size}."
            )
        return keras.KerasTensor((batch, length, self.output_dim), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "picture_shape": self.picture_shape,
            "filters": self.filters,
            "temporal_kernel_size": self.temporal_kernel_sizes,
        }
