"""An Adam that reads and writes each weight once a step."""

import functools
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

    Under JAX the same is one function of the weight, traced once for each shape.

    Arguments, variables and saved states are those of `keras.optimizers.Adam`: either loads
    what the other saved. AMSGrad and gradients that list rows take Keras' own path.

    Reference:
        [Kingma & Ba, 2015](https://arxiv.org/abs/1412.6980).
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if keras.backend.backend() == "jax" and not self.amsgrad:
            self._update_in_jax(gradient, variable, learning_rate)
            return
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

    def _update_in_jax(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        rate = keras.ops.convert_to_tensor(learning_rate)
        step = keras.ops.convert_to_tensor(self.iterations) + 1
        numbers = (rate, step, self.beta_1, self.beta_2, self.epsilon)
        values = (gradient, momentum.value, velocity.value, variable.value)
        changed = _function_of_jax()(*values, *numbers)
        for kept, value in zip((momentum, velocity, variable), changed, strict=True):
            kept.assign(value)

    def _has_kernel(self, gradient: Any, variable: Any) -> bool:
        return (
            not self.amsgrad
            and isinstance(variable, tf.Variable)  # Another backend has none.
            and not isinstance(gradient, tf.IndexedSlices)
        )


@functools.cache
def _function_of_jax() -> Any:
    """The update of a weight: gradient, moments, weight, learning rate, step, `beta_1`,
    `beta_2`, `epsilon` -> moments and weight."""
    import jax
    import jax.numpy as jnp

    @jax.jit
    def update(gradient, m, v, weight, learning_rate, step, beta_1, beta_2, epsilon):
        rate, step = learning_rate.astype(weight.dtype), step.astype(weight.dtype)
        gradient = gradient.astype(weight.dtype)
        rate *= jnp.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        m += (gradient - m) * (1 - beta_1)
        v += (gradient * gradient - v) * (1 - beta_2)
        return m, v, weight - m * rate / (jnp.sqrt(v) + epsilon)

    return update
