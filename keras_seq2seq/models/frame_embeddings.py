"""Sources of frames: features, sound and pictures."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import (
    Dense,
    LogMelSpectrogram,
    PictureConvolutions,
    WaveformConvolutions,
    WindowLogMel,
)
from keras_seq2seq.models.embeddings import SourceEmbedding
from keras_seq2seq.models.parts import (
    ENCODER_FEATURES,
    ENCODER_LENGTHS,
    ENCODER_WAVEFORM,
    Tensor,
    check_sizes,
)


class _FrameSource(SourceEmbedding):
    """Base: `key` of shape `(batch, positions, *features)` and `encoder_lengths`."""

    key: str
    shape: tuple[int, ...] = ()
    layers: list[keras.layers.Layer]
    _layer: Any = None

    def build(self, name: str) -> None:
        if self._layer is None:
            self._layer = Dense(self.embedding_dim, name=f"{name}_projection")

    def inputs(self) -> dict[str, Tensor]:
        return {
            self.key: keras.Input((None, *self.shape), dtype="float32", name=self.key),
            ENCODER_LENGTHS: keras.Input((), dtype="int32", name=ENCODER_LENGTHS),
        }

    def mask(self, inputs: dict[str, Tensor]) -> Tensor:
        """`(batch, positions)`, bool, `True` where there is source."""
        sequence = inputs[self.key]
        first = sequence[..., 0] if self.shape else sequence
        # Counts 1, 2, 3, ... along the positions, without asking for their number.
        counts = keras.ops.cumsum(keras.ops.ones_like(first, "int32"), axis=1)
        return keras.ops.less_equal(counts, inputs[ENCODER_LENGTHS][:, None])

    def project(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Frames through the `layers` to vectors."""
        for layer in self.layers:
            frames = layer(frames, mask)
        return frames if self._layer is None else self._layer(frames)

    def serialized_layers(self) -> list[dict[str, Any]]:
        return [keras.saving.serialize_keras_object(layer) for layer in self.layers]


@keras.saving.register_keras_serializable("keras_seq2seq")
class FrameEmbedding(_FrameSource):
    """Projects frames of features, such as of speech or video, to vectors.

    Args:
        feature_dim: int. Features a frame.
        embedding_dim: int. Size of a vector.
        layers: Layers `layer(frames, mask) -> frames` in front of the projection, such as
            `FrameNormalization()`, `DeltaFeatures()`, `SpecAugment()`. Defaults to none.

    Inputs: `encoder_features` `(batch, frames, feature_dim)`, float32, and
        `encoder_lengths` `(batch,)`, int32: frames of each row before its padding.

    Raises:
        InputError: If a size is below 1.
    """

    key = ENCODER_FEATURES

    @checked
    def __init__(
        self,
        feature_dim: int,
        embedding_dim: int,
        layers: Sequence[keras.layers.Layer] = (),
    ):
        check_sizes(feature_dim=feature_dim, embedding_dim=embedding_dim)
        self.feature_dim = feature_dim
        self.shape = (feature_dim,)
        self.embedding_dim = embedding_dim
        self.layers = list(layers)

    def __call__(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        mask = self.mask(inputs)
        return self.project(inputs[ENCODER_FEATURES], mask), mask

    def get_config(self) -> dict[str, Any]:
        return {
            "feature_dim": self.feature_dim,
            "embedding_dim": self.embedding_dim,
            "layers": self.serialized_layers(),
        }


@keras.saving.register_keras_serializable("keras_seq2seq")
class WaveformEmbedding(_FrameSource):
    """Turns sound into frames and projects them to vectors.

    Args:
        front_end: `LogMelSpectrogram`; `WaveformConvolutions`, whose frames are learned; or
            `WindowLogMel`, of whose window every source is.
        embedding_dim: int. Size of a vector; 0 for the frames as they are.
        layers: As of `FrameEmbedding`, on the frames of the front end.

    Inputs: `encoder_waveform` `(batch, samples)`, float32 in [-1, 1], and `encoder_lengths`
        `(batch,)`, int32: samples of each row before its padding.

    Raises:
        InputError: If a size is negative.
    """

    key = ENCODER_WAVEFORM

    @checked
    def __init__(
        self,
        front_end: LogMelSpectrogram | WaveformConvolutions | WindowLogMel,
        embedding_dim: int,
        layers: Sequence[keras.layers.Layer] = (),
    ):
        self.front_end = front_end
        self.sample_rate = front_end.sample_rate
        self.is_projected = embedding_dim != 0
        self.embedding_dim = embedding_dim or front_end.feature_dim
        check_sizes(embedding_dim=self.embedding_dim)
        self.layers = list(layers)
        if isinstance(front_end, WindowLogMel):
            self.window = front_end.window

    def build(self, name: str) -> None:
        if self.is_projected:
            super().build(name)

    def output_length(self, length: int) -> int:
        return self.front_end.output_length(length)

    def __call__(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        frames, mask = self.front_end(inputs[ENCODER_WAVEFORM], self.mask(inputs))
        return self.project(frames, mask), mask

    def get_config(self) -> dict[str, Any]:
        return {
            "front_end": keras.saving.serialize_keras_object(self.front_end),
            "embedding_dim": self.embedding_dim if self.is_projected else 0,
            "layers": self.serialized_layers(),
        }


@keras.saving.register_keras_serializable("keras_seq2seq")
class PictureEmbedding(_FrameSource):
    """A small convolutional network (`PictureConvolutions`) over every frame of a video and
    its neighbours, and a projection.

    Args:
        picture_shape: Height, width and channels of a frame.
        embedding_dim: int. Size of a vector.
        filters: ints. Defaults to `(24, 48, 64)`.
        temporal_kernel_size: int, odd, or one for each convolution. Frames that it sees; 1 for
            none but its own. Defaults to 1 for the first, which sees what a thing looks like,
            however it moves, and 3 for the others, which see what moves where.
        cells: bool. `False` for one vector a frame; `True` for one a place of the last
            convolution (each frame is divided by 2 a convolution, rounded up, both ways), row
            by row, frame after frame: attention then chooses what to look at within a
            frame, so that of two things in a picture each keeps its own properties. Defaults
            to `False`.

    Inputs: `encoder_features` `(batch, frames, height * width * channels)`, float32, and
        `encoder_lengths` `(batch,)`, int32: frames of each row before its padding.

    Raises:
        InputError: If a size is below 1, or cells are asked for without a convolution.
    """

    key = ENCODER_FEATURES

    @checked
    def __init__(
        self,
        picture_shape: Sequence[int],
        embedding_dim: int,
        filters: Sequence[int] = (24, 48, 64),
        temporal_kernel_size: int | Sequence[int] | None = None,
        cells: bool = False,
    ):
        height, width, channels = picture_shape
        check_sizes(height=height, width=width, channels=channels, embedding_dim=embedding_dim)
        check_sizes(**{f"filters_{i}": size for i, size in enumerate(filters)})
        if cells and not filters:
            raise InputError("`cells` needs a convolution. Received: filters=().")
        self.picture_shape = (height, width, channels)
        self.feature_dim = math.prod(self.picture_shape)
        self.shape = (self.feature_dim,)
        self.embedding_dim = embedding_dim
        self.filters = tuple(filters)
        if temporal_kernel_size is None:
            temporal_kernel_size = [3 if index else 1 for index in range(len(self.filters))]
        self.temporal_kernel_size = temporal_kernel_size
        self.cells = cells
        self.layers = []
        self._pictures: Any = None

    def build(self, name: str) -> None:
        super().build(name)
        if self._pictures is None:
            self._pictures = PictureConvolutions(
                self.picture_shape,
                self.filters,
                self.temporal_kernel_size,
                name=f"{name}_pictures",
            )

    def __call__(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        mask = self.mask(inputs)
        frames = self._pictures(inputs[ENCODER_FEATURES], mask)
        if self.cells:
            frames = keras.layers.Reshape((-1, self.filters[-1]))(frames)
            mask = keras.ops.repeat(mask, self.output_length(1), axis=1)
        return self.project(frames, mask), mask

    def output_length(self, length: int) -> int:
        if not self.cells:
            return length
        height, width, _ = self.picture_shape
        for _ in self.filters:
            height, width = -(-height // 2), -(-width // 2)
        return length * height * width

    def get_config(self) -> dict[str, Any]:
        return {
            "picture_shape": self.picture_shape,
            "embedding_dim": self.embedding_dim,
            "filters": self.filters,
            "temporal_kernel_size": self.temporal_kernel_size,
            "cells": self.cells,
        }
