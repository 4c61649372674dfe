"""Dropout that draws few random bits for a value."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable("keras_seq2seq")
class ByteDropout(keras.layers.Dropout):
    """`keras.layers.Dropout` that trains faster on a CPU.

    Under TensorFlow what costs time is to draw a random number for every value. Keras draws 32
    bits, of which 8 are enough here: a value is dropped where its byte is below `256 * rate`.
    So the rate is rounded to 256ths, 1 at least and 255 at most; what is kept is divided by the
    share that is really kept, and has the right mean. With a simple loss, forward and backward,
    1.6 to 2.0 times as fast (`benchmarks/layers.py`).

    Under JAX it is also the time to compile: each layer's generator is a loop of its own. There
    the random word of a value is its place, mixed with the seed of the call: operations that
    XLA computes with those around it, on any number of devices alike. Its rate is not rounded.

    Arguments, inputs and outputs are those of `keras.layers.Dropout`; with a `noise_shape` and
    on other backends it is that layer.

    Reference:
        [Srivastava et al., 2014](https://jmlr.org/papers/v15/srivastava14a.html), section 4;
        [Salmon et al., 2011](https://doi.org/10.1145/2063384.2063405), of words that are
        mixed from places.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        drop = {"tensorflow": _drop, "jax": _drop_in_jax}.get(keras.backend.backend())
        if not training or self.rate == 0 or self.noise_shape or drop is None:
            return super().call(inputs, training=training)
        return drop(inputs, self.seed_generator.next(), self.rate)


def _drop(inputs: tf.Tensor, seed: tf.Tensor, rate: float) -> tf.Tensor:
    """Zeros where a byte is below `256 * rate`."""
    dropped = min(max(round(256 * rate), 1), 255)
    seed = tf.cast(seed, tf.int32)

    @tf.custom_gradient
    def drop(values):
        count = tf.size(values)
        words = tf.random.stateless_uniform(
            [(count + 3) // 4], seed, minval=None, maxval=None, dtype=tf.uint32
        )
        drawn = tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:count]
        # One byte a value is what the gradient remembers.
        kept = tf.reshape(drawn >= tf.constant(dropped, tf.uint8), tf.shape(values))

        def apply(tensor):
            scaled = tensor * tf.cast(256 / (256 - dropped), tensor.dtype)
            return tf.where(kept, scaled, tf.zeros([], tensor.dtype))

        return apply(values), apply

    return drop(inputs)


def _drop_in_jax(inputs: Any, seed: Any, rate: float) -> Any:
    """Zeros where a word of 32 bits is below `2^32 * rate`."""
    import jax.numpy as jnp

    seed = jnp.asarray(seed).astype(jnp.uint32)
    places = jnp.arange(inputs.size, dtype=jnp.uint32).reshape(inputs.shape)
    # An odd factor: other seeds of layers are no shifts of each other.
    words = _mixed(_mixed(places * (2 * seed[0] + 1) + seed[0]) + seed[1])
    kept = words >= jnp.uint32(min(round(rate * 2**32), 2**32 - 1))
    return jnp.where(kept, inputs / (1 - rate), 0).astype(inputs.dtype)


def _mixed(words: Any) -> Any:
    """Words of 32 bits, each bit of which depends on all of those that came in; no two come
    out alike. Factors and shifts were searched for the least bias
    ([Wellons, 2018](https://nullprogram.com/blog/2018/07/31/))."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        words = (words ^ (words >> shift)) * np.uint32(factor)
    return words ^ (words >> 16)
