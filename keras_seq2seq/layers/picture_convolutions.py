"""A convolutional network over every picture of a video."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_seq2seq")
class PictureConvolutions(keras.layers.Layer):
    """Convolutions of 3 x 3 with strides of 2 and ReLU over each picture, then flattened.

    Args:
        picture_shape: Height, width and channels of a picture.
        filters: ints, one a convolution.

    Call arguments:
        frames: `(batch, length, height * width * channels)`.

    Returns:
        `(batch, length, h * w * filters[-1])`, where each convolution halves height and
        width, rounded up: what is seen, and where.

    Raises:
        ValueError: If a size is below 1.
    """

    def __init__(self, picture_shape: Sequence[int], filters: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.picture_shape = tuple(picture_shape)
        self.filters = tuple(filters)
        if len(self.picture_shape) != 3 or min(*self.picture_shape, *self.filters) < 1:
            raise ValueError(
                "`picture_shape` must be height, width and channels, and all sizes at least "
                f"1. Received: picture_shape={self.picture_shape}, filters={self.filters}."
            )
        self.convolutions = [
            keras.layers.Conv2D(
                size,
                3,
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

    def build(self, frames_shape):
        shape: tuple[int | None, ...] = (None, *self.picture_shape)
        for convolution in self.convolutions:
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
        self.built = True

    def call(self, frames):
        batch, length, _ = ops.shape(frames)
        pictures = ops.reshape(frames, (-1, *self.picture_shape))  # (B T, H, W, C)
        for convolution in self.convolutions:
            pictures = convolution(pictures)
        return ops.reshape(pictures, (batch, length, self.output_dim))

    def compute_output_spec(self, frames):
        batch, length, size = frames.shape
        if size != math.prod(self.picture_shape):
            raise ValueError(
                f"Expected pictures of {self.picture_shape}. Received size {size}."
            )
        return keras.KerasTensor((batch, length, self.output_dim), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "picture_shape": self.picture_shape,
            "filters": self.filters,
        }
