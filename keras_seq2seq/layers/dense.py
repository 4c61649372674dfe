"""A dense layer whose graph is short."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("keras_seq2seq")
class Dense(keras.layers.Dense):
    """`keras.layers.Dense` with the same values in a shorter graph.

    Of a sequence whose batch and length are not known, Keras makes a general product of
    tensors, 26 operations; here its positions are rows of one matrix, 10 to 15. A graph is
    made, written, converted and compiled in that much less time, and TensorFlow joins the
    product with its bias and activation.

    Arguments, inputs and outputs are those of `keras.layers.Dense`. The name is Keras' too: a
    `.keras` file finds weights by it, so either layer reads the other's.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if keras.backend.backend() != "tensorflow" or len(inputs.shape) < 3:
            return super().call(inputs, training)
        *known, dim = inputs.shape
        outputs = super().call(tf.reshape(inputs, [-1, dim]), training)
        shape = [*known, self.units]
        if known.count(None) < 2:
            return tf.reshape(outputs, [-1 if size is None else size for size in shape])
        sizes = tf.shape(inputs)
        if self.units != dim:
            sizes = tf.concat([sizes[:-1], [self.units]], 0)
        outputs = tf.reshape(outputs, sizes)
        outputs.set_shape(shape)
        return outputs
