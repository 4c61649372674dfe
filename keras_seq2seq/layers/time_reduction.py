"""Layers that shorten a masked sequence, the same whatever its padding."""

from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers.sizes import size_of


def _reduced_mask(mask: Any, factor: int) -> Any:
    """Every `factor`-th position of the mask: a group is real if it begins with source."""
    return mask[:, ::factor]


def _reduced_length(length: int | None, factor: int) -> int | None:
    return None if length is None else -(-length // factor)


@keras.saving.register_keras_serializable("keras_seq2seq")
class TimeReduction(keras.layers.Layer):
    """Joins `factor` neighbouring vectors into one: a pyramidal encoder's step.

    ```
    factor=2    x1 x2 x3 x4 x5   ->   [x1 x2] [x3 x4] [x5 0]
    ```

    Args:
        factor: int, at least 1. Defaults to 2.

    Call arguments:
        sequence: `(batch, length, dim)`.
        mask: `(batch, length)`, bool, `True` where there is source.

    Returns:
        `(batch, ceil(length / factor), factor * dim)` and its mask. Padding counts as zeros.

    Raises:
        InputError: If `factor` is below 1.

    Reference:
        [Chan et al., 2015](https://arxiv.org/abs/1508.01211), section 3.1, equation 5.
    """

    @checked
    def __init__(self, factor: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True
        if factor < 1:
            raise InputError(f"`factor` must be at least 1. Received: factor={factor}.")
        self.factor = factor

    def build(self, sequence_shape, mask_shape=None):
        self.built = True

    def call(self, sequence, mask):
        factor, dim = self.factor, sequence.shape[-1]
        sequence = sequence * keras.ops.cast(mask, sequence.dtype)[:, :, None]
        # At most factor - 1 zeros too many, which the division below drops.
        sequence = keras.ops.pad(sequence, [(0, 0), (0, factor - 1), (0, 0)])
        length = size_of(sequence, 1) // factor
        sequence = sequence[:, : length * factor]
        batch = size_of(sequence, 0)
        joined = keras.ops.reshape(sequence, (batch, length, factor * dim))
        return joined, _reduced_mask(mask, factor)

    def compute_output_spec(self, sequence, mask):
        batch, length, dim = sequence.shape
        length = _reduced_length(length, self.factor)
        return (
            keras.KerasTensor((batch, length, self.factor * dim), sequence.dtype),
            keras.KerasTensor((batch, length), "bool"),
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("keras_seq2seq")
class MaskedConvolution(keras.layers.Layer):
    """Convolution over time in which padding counts as zeros.

    Output `t` sees the `kernel_size` inputs around `t * strides`; unlike Keras' `"same"`
    padding this does not depend on the length of the padded batch.

    Args:
        filters: int. Size of an output vector.
        kernel_size: int.
        strides: int. Defaults to 1.
        activation: Keras activation. Defaults to none.

    Call arguments:
        sequence: `(batch, length, dim)`.
        mask: `(batch, length)`, bool, `True` where there is source.

    Returns:
        `(batch, ceil(length / strides), filters)` and its mask.
    """

    @checked
    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        activation: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.convolution = keras.layers.Conv1D(
            filters,
            kernel_size,
            strides,
            padding="valid",
            activation=activation,
            dtype=self.dtype_policy,
            name="convolution",
        )

    def build(self, sequence_shape, mask_shape=None):
        self.convolution.build((None, None, sequence_shape[-1]))
        self.built = True

    def call(self, sequence, mask):
        size = self.convolution.kernel_size[0]
        sequence = sequence * keras.ops.cast(mask, sequence.dtype)[:, :, None]
        sequence = keras.ops.pad(sequence, [(0, 0), ((size - 1) // 2, size // 2), (0, 0)])
        return self.convolution(sequence), _reduced_mask(mask, self.convolution.strides[0])

    def compute_output_spec(self, sequence, mask):
        batch, length, _ = sequence.shape
        length = _reduced_length(length, self.convolution.strides[0])
        return (
            keras.KerasTensor((batch, length, self.convolution.filters), self.compute_dtype),
            keras.KerasTensor((batch, length), "bool"),
        )

    def get_config(self) -> dict[str, Any]:
        convolution = self.convolution
        return {
            **super().get_config(),
            "filters": convolution.filters,
            "kernel_size": convolution.kernel_size[0],
            "strides": convolution.strides[0],
            "activation": keras.activations.serialize(convolution.activation),
        }
