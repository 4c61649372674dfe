"""An embedding whose gradient an optimizer reads as one update of each token."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_seq2seq")
class DenseGradientEmbedding(keras.layers.ReversibleEmbedding):
    """`keras.layers.ReversibleEmbedding` with a dense gradient in training.

    Under TensorFlow the gradient of a lookup is a list of rows, one for each occurrence of a
    token. Keras' Adam squares these rows before it adds them up, `g_1^2 + g_2^2` for
    `(g_1 + g_2)^2`, and the norm by which gradients are clipped is likewise that of the rows.
    Tokens are frequent and their rows agree, so their steps come out too large, the more so
    the smaller the vocabulary. Adding the rows up before the optimizer sees them gives the
    update of Kingma & Ba (2015), algorithm 1, and that of the other backends.

    Same arguments, inputs and outputs as `keras.layers.ReversibleEmbedding`.
    """

    def call(self, inputs: Any, reverse: bool = False, training: bool = False) -> Any:
        if reverse or not training:
            return super().call(inputs, reverse=reverse)
        embeddings = with_dense_gradient(ops.convert_to_tensor(self.embeddings))
        vectors = ops.take(embeddings, ops.cast(inputs, "int32"), axis=0)
        return ops.cast(vectors, self.compute_dtype)

    def compute_output_spec(
        self, inputs: Any, reverse: bool = False, training: bool = False
    ) -> Any:
        return super().compute_output_spec(inputs, reverse=reverse)


@ops.custom_gradient
def with_dense_gradient(tensor: Any) -> Any:
    """The tensor, to be looked up in, its gradient added up as one dense tensor."""

    def gradient(upstream: Any) -> Any:
        # Only a dense tensor has a shape to change: TensorFlow adds the rows up.
        return ops.reshape(upstream, tensor.shape)

    return tensor, gradient
