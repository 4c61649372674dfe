"""An Adam that reads and writes each weight once a step."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("keras_seq2seq")
class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` whose update of a weight is one TensorFlow operation.

    Keras writes the update as eleven operations, each of which reads or writes all of the
    weight. TensorFlow's own `ResourceApplyAdam` computes the same in one pass, in the order
    that section 2 of the paper names as the more efficient one:

    `m += (1 - b_1) (g - m)`, `v += (1 - b_2) (g^2 - v)`,
    `w -= lr sqrt(1 - b_2^t) / (1 - b_1^t) m / (sqrt(v) + epsilon)`

    Arguments, variables and saved states are those of `keras.optimizers.Adam`: either loads
    what the other saved. AMSGrad, gradients that list rows and other backends take Keras'
    own path.

    Reference:
        [Kingma & Ba, 2015](https://arxiv.org/abs/1412.6980).
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if not self._has_kernel(gradient, variable):
            super().update_step(gradient, variable, learning_rate)
            return
        dtype = variable.dtype
        index = self._get_variable_index(variable)
        beta_1, beta_2 = tf.cast(self.beta_1, dtype), tf.cast(self.beta_2, dtype)
        step = tf.cast(keras.ops.convert_to_tensor(self.iterations), dtype) + 1
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=tf.cast(learning_rate, dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )

    def _has_kernel(self, gradient: Any, variable: Any) -> bool:
        return (
            not self.amsgrad
            and isinstance(variable, tf.Variable)  # Another backend has none.
            and not isinstance(gradient, tf.IndexedSlices)
        )
