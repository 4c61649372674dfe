"""A bias by itself."""

from typing import Any

import keras


@keras.saving.register_keras_serializable("keras_seq2seq")
class OutputBias(keras.layers.Layer):
    """`y = x + b`, a number for each entry of the last axis: what logits that are products
    with embeddings lack. `b` begins at 0."""

    def build(self, input_shape):
        self.bias = self.add_weight((input_shape[-1],), "zeros", name="bias")
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs + self.bias

    def compute_output_shape(self, input_shape):
        return input_shape
