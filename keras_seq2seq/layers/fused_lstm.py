"""An LSTM whose products over all steps are one product, in both directions of training."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("keras_seq2seq")
class FusedLSTM(keras.layers.LSTM):
    """`keras.layers.LSTM` that trains faster on a CPU, with the same values and gradients.

    With `z_t = x_t K + h_{t-1} R + b`, the cell of Hochreiter & Schmidhuber (1997) with the
    gates of Gers et al. (2000), only `h_{t-1} R` must wait for the step before. So `X K + b`
    is one product before the loop, and of the gradients only `dz_t` is computed step by step:
    `dX = dZ K'`, `dK = X' dZ`, `dR = H' dZ` and `db` are one product (or sum) each after the
    loop. Keras makes all of them step by step, and adds the weight gradients up.
    How much faster depends on sizes and processor: 0.95 to 1.27 times on an Intel Xeon
    (`benchmarks/layers.py`).

    Arguments, inputs and outputs are those of `keras.layers.LSTM`; masks (of any shape, not
    padding alone), dropout and `go_backwards` are as there. Inference, other backends, half
    precision, GPUs (cuDNN), recurrent dropout (which drops other values for every gate) and
    other activations take Keras' own path.

    Reference:
        [Hochreiter & Schmidhuber, 1997](https://doi.org/10.1162/neco.1997.9.8.1735);
        [Appleyard et al., 2016](https://arxiv.org/abs/1604.01946), section 3.
    """

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> Any:
        if not training or not self._is_fused():
            return super().inner_loop(sequences, initial_state, mask, training)
        cell = self.cell
        if 0 < cell.dropout < 1:
            sequences = sequences * cell.get_dropout_mask(sequences[:, 0])[:, None]
        h, c = initial_state
        if isinstance(mask, (list, tuple)):
            mask = mask[0]
        inputs = tf.transpose(sequences, (1, 0, 2))
        steps = tf.shape(inputs)[0]
        if mask is None:
            valid = tf.ones([steps, tf.shape(inputs)[1], 1], tf.bool)
        else:
            valid = tf.transpose(mask)[:, :, None]
        if self.go_backwards:
            inputs, valid = tf.reverse(inputs, [0]), tf.reverse(valid, [0])
        weights = (cell.kernel, cell.recurrent_kernel, cell.bias)
        outputs, h, c = _lstm(
            inputs, valid, h, c, *(tf.convert_to_tensor(weight) for weight in weights)
        )
        if mask is not None:
            # Before its first step a row has put nothing out.
            begun = tf.cumsum(tf.cast(valid, tf.int32)) > 0
            outputs = tf.where(begun, outputs, 0.0)
        outputs = tf.transpose(outputs, (1, 0, 2))
        outputs = tf.ensure_shape(outputs, (*sequences.shape[:2], self.units))
        return outputs[:, -1], outputs, [h, c]

    def _is_fused(self) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and self.compute_dtype == "float32"
            and self.activation is keras.activations.tanh
            and self.recurrent_activation is keras.activations.sigmoid
            and self.use_bias
            and self.cell.implementation == 2  # 1 with recurrent dropout.
            and not self.unroll
            and not tf.config.list_physical_devices("GPU")
        )


@tf.custom_gradient
def _lstm(x, valid, h0, c0, kernel, recurrent_kernel, bias):
    """Time first: `x` (T, B, D), `valid` (T, B, 1), bool; `h0` and `c0` (B, U); weights as
    in Keras -> outputs (T, B, U), last `h` and `c`."""
    steps, batch, dim = tf.unstack(tf.shape(x))
    units = recurrent_kernel.shape[0]
    flat = tf.reshape(x, [-1, dim])
    projected = tf.reshape(flat @ kernel + bias, [steps, batch, 4 * units])

    def array(width):
        return tf.TensorArray(x.dtype, steps, element_shape=[None, width])

    def forward(time, h, c, gates, hs, cs):
        z = projected[time] + h @ recurrent_kernel
        i, f, _, o = tf.split(tf.sigmoid(z), 4, axis=-1)
        g = tf.tanh(z[:, 2 * units : 3 * units])
        new_c = f * c + i * g
        new_h = o * tf.tanh(new_c)
        new_h = tf.where(valid[time], new_h, h)
        new_c = tf.where(valid[time], new_c, c)
        return (
            time + 1,
            new_h,
            new_c,
            gates.write(time, tf.concat([i, f, g, o], axis=-1)),
            hs.write(time, new_h),
            cs.write(time, new_c),
        )

    arrays = (array(4 * units), array(units), array(units))
    _, h, c, *arrays = tf.while_loop(
        lambda time, *_: time < steps, forward, (0, h0, c0, *arrays)
    )
    gates, hs, cs = (each.stack() for each in arrays)

    def gradient(d_outputs, d_h, d_c):
        before_h = tf.concat([h0[None], hs[:-1]], axis=0)
        before_c = tf.concat([c0[None], cs[:-1]], axis=0)
        transposed = tf.transpose(recurrent_kernel)

        def backward(time, d_h, d_c, d_zs):
            i, f, g, o = tf.split(gates[time], 4, axis=-1)
            d_h = d_h + d_outputs[time]
            # A masked step hands its state on as it is.
            past_h = tf.where(valid[time], 0.0, d_h)
            past_c = tf.where(valid[time], 0.0, d_c)
            d_h, d_c = d_h - past_h, d_c - past_c
            tanh_c = tf.tanh(cs[time])
            d_c = d_c + d_h * o * (1 - tanh_c * tanh_c)
            d_z = tf.concat(
                [
                    d_c * g * i * (1 - i),
                    d_c * before_c[time] * f * (1 - f),
                    d_c * i * (1 - g * g),
                    d_h * tanh_c * o * (1 - o),
                ],
                axis=-1,
            )
            d_h = d_z @ transposed + past_h
            return time - 1, d_h, d_c * f + past_c, d_zs.write(time, d_z)

        _, d_h, d_c, d_zs = tf.while_loop(
            lambda time, *_: time >= 0, backward, (steps - 1, d_h, d_c, array(4 * units))
        )
        d_z = tf.reshape(d_zs.stack(), [-1, 4 * units])
        read = tf.reshape(before_h, [-1, units])
        return (
            tf.reshape(tf.matmul(d_z, kernel, transpose_b=True), tf.shape(x)),
            None,  # The mask is not learned.
            d_h,
            d_c,
            tf.matmul(flat, d_z, transpose_a=True),
            tf.matmul(read, d_z, transpose_a=True),
            tf.reduce_sum(d_z, axis=0),
        )

    return (hs, h, c), gradient
