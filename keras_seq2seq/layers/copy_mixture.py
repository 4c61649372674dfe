"""Probabilities of a vocabulary mixed with those of copying a source token."""

from typing import Any

import keras

# So that the logarithm of a probability that is 0 is finite.
SMALLEST = 1e-10


@keras.saving.register_keras_serializable("keras_seq2seq")
class CopyMixture(keras.layers.Layer):
    """The output of a pointer-generator network, over one vocabulary of both sides.

    With the decoder's logits, its attention `a_t` over the source tokens `x_s`, and features
    of the step `f_t`:

    1. `g_t = sigmoid(w . f_t + b)`: how much is generated and how much is copied
    2. `P(w) = g_t softmax(logits)(w) + (1 - g_t) sum_{s: x_s = w} a_t(s)` (See et al., 2017,
       equation 9)
    3. output `log P(w)`, which serves as logits: their softmax is `P`

    In the paper `f_t` is the context, the state and the input; here the attentional vector
    (of context and state) and the input. Source and target share a vocabulary, so a token of
    the source has an id already, and no vocabulary is extended for each source.

    Call arguments:
        logits: `(batch, target_length, vocabulary_size)`.
        alignment: `(batch, target_length, source_length)`, attention weights.
        features: `(batch, target_length, dim)`.
        source_token_ids: `(batch, source_length)`, int32.

    Returns:
        `(batch, target_length, vocabulary_size)`, float32.

    Reference:
        [See et al., 2017](https://arxiv.org/abs/1704.04368), section 2.2.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        # A bias that begins with mostly generating.
        self.gate = keras.layers.Dense(
            1, bias_initializer=keras.initializers.Constant(1.0), dtype="float32", name="gate"
        )

    def build(self, logits_shape, alignment_shape, features_shape, source_token_ids_shape):
        self.gate.build(features_shape)
        self.built = True

    def call(self, logits, alignment, features, source_token_ids):
        generate = keras.ops.sigmoid(self.gate(features))
        copied = scatter_weights((1 - generate) * alignment, source_token_ids, logits.shape[-1])
        return keras.ops.log(generate * keras.ops.softmax(logits) + copied + SMALLEST)

    def compute_output_shape(self, logits_shape, *other_shapes):
        return logits_shape


def scatter_weights(weights: Any, token_ids: Any, vocabulary_size: int) -> Any:
    """What all positions of a token have together.

    Args:
        weights: `(batch, target_length, source_length)`.
        token_ids: `(batch, source_length)`, int32.
        vocabulary_size: int.

    Returns:
        `(batch, target_length, vocabulary_size)`.
    """
    shape = keras.ops.shape(weights)
    rows = shape[0] * shape[1]
    # The place of each weight in all distributions laid end to end.
    starts = keras.ops.reshape(keras.ops.arange(rows) * vocabulary_size, (*shape[:2], 1))
    places = keras.ops.reshape(starts + token_ids[:, None], (-1, 1))
    flat = keras.ops.scatter(
        places, keras.ops.reshape(weights, (-1,)), (rows * vocabulary_size,)
    )
    return keras.ops.reshape(flat, (*shape[:2], vocabulary_size))
