"""From the encoder's final states to the decoder's initial state.

A decoder calls `build(num_layers, hidden_dim, num_tensors, prefix)` once and then the bridge
on an `EncoderOutput`.
"""

from abc import abstractmethod
from typing import Any

import keras

from keras_seq2seq.errors import InputError
from keras_seq2seq.models.parts import EncoderOutput, Part, Tensor


class Bridge(Part):
    """Base: `build` receives the decoder's sizes, `__call__` gives its initial states."""

    role = "bridge"

    def get_config(self) -> dict[str, Any]:
        return {}

    def build(self, num_layers: int, hidden_dim: int, num_tensors: int, prefix: str) -> None:
        """Args: decoder layers, their width, state tensors a layer (LSTM 2, GRU 1), and
        the start of layer names."""
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.num_tensors = num_tensors

    @abstractmethod
    def __call__(self, encoder_output: EncoderOutput) -> list[list[Tensor]]:
        """One list of `num_tensors` tensors `(batch, hidden_dim)` a decoder layer."""


@keras.saving.register_keras_serializable("keras_seq2seq")
class CopyBridge(Bridge):
    """The final state of encoder layer i is the initial state of decoder layer i.

    The fixed-vector model of [Sutskever et al., 2014](https://arxiv.org/abs/1409.3215).

    Raises:
        InputError: When called, if depth, width or kind of the states differ.
    """

    def __call__(self, encoder_output: EncoderOutput) -> list[list[Tensor]]:
        received = [[tensor.shape[-1] for tensor in layer] for layer in encoder_output.states]
        expected = [[self.hidden_dim] * self.num_tensors] * self.num_layers
        if received != expected:
            raise InputError(
                "A copy bridge needs encoder states like the decoder's (a bidirectional "
                "layer counts twice its width); use `DenseBridge()` for others. "
                f"Expected sizes {expected}, received {received}."
            )
        return encoder_output.states


@keras.saving.register_keras_serializable("keras_seq2seq")
class DenseBridge(Bridge):
    """Every initial state is `tanh(W s + b)` of all the encoder's final states `s`.

    Fits any depth, width and number of directions. Like `s_0 = tanh(W_s h_1)` of
    [Bahdanau et al., 2014](https://arxiv.org/abs/1409.0473), appendix A.2.2, with all final
    states in the place of the first backward state.
    """

    def build(self, num_layers: int, hidden_dim: int, num_tensors: int, prefix: str) -> None:
        super().build(num_layers, hidden_dim, num_tensors, prefix)
        self._denses = [
            [
                keras.layers.Dense(
                    hidden_dim, activation="tanh", name=f"{prefix}_bridge_{layer}_{tensor}"
                )
                for tensor in range(num_tensors)
            ]
            for layer in range(num_layers)
        ]

    def __call__(self, encoder_output: EncoderOutput) -> list[list[Tensor]]:
        states = [tensor for layer in encoder_output.states for tensor in layer]
        if not states:
            raise InputError(
                "A dense bridge needs an encoder with final states. Use `ZeroBridge()`."
            )
        joined = states[0] if len(states) == 1 else keras.ops.concatenate(states, axis=-1)
        return [[dense(joined) for dense in layer] for layer in self._denses]


@keras.saving.register_keras_serializable("keras_seq2seq")
class ZeroBridge(Bridge):
    """The decoder starts from zeros and sees the source through attention alone."""

    def __call__(self, encoder_output: EncoderOutput) -> list[list[Tensor]]:
        # Zeros of the batch's size, taken from a tensor that every encoder gives.
        first = encoder_output.memory[:, 0, :1]
        zeros = keras.ops.repeat(keras.ops.zeros_like(first), self.hidden_dim, axis=-1)
        return [[zeros] * self.num_tensors for _ in range(self.num_layers)]
