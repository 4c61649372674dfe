"""The output of a decoder: a number for each token of the vocabulary, or of a list of them."""

import keras
import tensorflow as tf

from keras_seq2seq.decoding import Listed
from keras_seq2seq.layers import Dense, OutputBias
from keras_seq2seq.models.embeddings import TokenEmbedding
from keras_seq2seq.models.parts import Decoder, State, Tensor

# Entries that a search adds to a state to have the logits of listed tokens alone: the weights
# of each, `(size, dim)`, one tensor for all rows, and a bias `(rows, size)`.
LISTED_WEIGHTS, LISTED_BIAS = "listed_weights", "listed_bias"


class TokenLogits:
    """`W o + b`, or products with the embeddings.

    Args:
        embedding: `TokenEmbedding` of the target.
        name: string. Start of the names of the layers.
        tied: bool. Whether the weights are the embeddings. Defaults to `False`.
        bias: bool. Whether a tied output has a bias too. Defaults to `False`.
    """

    def __init__(
        self, embedding: TokenEmbedding, name: str, tied: bool = False, bias: bool = False
    ):
        self._embedding = embedding
        self._dense = self._bias = None
        if not tied:
            size = embedding.vocabulary_size
            self._dense = Dense(size, dtype="float32", name=f"{name}_logits")
        elif bias:
            self._bias = OutputBias(dtype="float32", name=f"{name}_output_bias")

    def __call__(self, hidden: Tensor, state: State | None = None) -> Tensor:
        """`(..., dim)` -> logits `(..., vocabulary_size)`, float32; of the listed tokens alone
        where a state asks for them."""
        if state is not None and LISTED_WEIGHTS in state:
            hidden = keras.ops.cast(hidden, "float32")
            products = tf.matmul(hidden, state[LISTED_WEIGHTS], transpose_b=True)
            return products + state[LISTED_BIAS]
        if self._dense is not None:
            return self._dense(hidden)
        logits = self._embedding.logits(hidden)
        return logits if self._bias is None else self._bias(logits)

    def listed(self, tokens: Listed) -> State:
        """Entries of a state whose steps give the logits of these tokens, those of other rows'
        lists impossible."""
        if self._dense is not None:
            kernel = keras.ops.convert_to_tensor(self._dense.kernel)
            weights = tf.transpose(tf.gather(kernel, tokens.ids, axis=1))
            bias = tokens.entries(keras.ops.convert_to_tensor(self._dense.bias))
        else:
            weights = tf.gather(self._embedding.vectors, tokens.ids)
            bias = 0.0
            if self._bias is not None:
                bias = tokens.entries(keras.ops.convert_to_tensor(self._bias.bias))
        return {LISTED_WEIGHTS: tf.cast(weights, tf.float32), LISTED_BIAS: tokens.own + bias}


class TokenDecoder(Decoder):
    """A decoder whose output is `TokenLogits`: a step can give those of chosen tokens alone."""

    _logits: TokenLogits

    def logits(self, output: Tensor) -> Tensor:
        """What the last layer puts out -> logits, float32."""
        return self._logits(output)

    def listed(self, tokens: Listed) -> State:
        """Entries to add to a state, so that `step` gives the logits of these tokens alone."""
        return self._logits.listed(tokens)
