"""The output of a decoder: a number for each token of the vocabulary, or of a list of them."""

import keras
import tensorflow as tf

from keras_seq2seq.decoding import Listed
from keras_seq2seq.layers import Dense, OutputBias
from keras_seq2seq.layers.dot_product_attention import capped
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
        cap: float, optional. Products become `cap tanh(x / cap)`, so that none is beyond it;
            a bias is added afterwards (Gemma Team, 2024, section 2). Defaults to none.

    Reference:
        [Gemma Team, 2024](https://arxiv.org/abs/2408.00118).
    """

    def __init__(
        self,
        embedding: TokenEmbedding,
        name: str,
        tied: bool = False,
        bias: bool = False,
        cap: float | None = None,
    ):
        self._embedding = embedding
        self._cap = cap
        self._dense = self._bias = None
        # A dense layer adds its bias itself, but where a cap comes in between.
        has_own = not tied and cap is None
        if not tied:
            size = embedding.vocabulary_size
            self._dense = Dense(size, use_bias=has_own, dtype="float32", name=f"{name}_logits")
        if not has_own and (bias or not tied):
            self._bias = OutputBias(dtype="float32", name=f"{name}_output_bias")

    def __call__(self, hidden: Tensor, state: State | None = None) -> Tensor:
        """`(..., dim)` -> logits `(..., vocabulary_size)`, float32; of the listed tokens alone
        where a state asks for them."""
        if state is not None and LISTED_WEIGHTS in state:
            hidden = keras.ops.cast(hidden, "float32")
            products = tf.matmul(hidden, state[LISTED_WEIGHTS], transpose_b=True)
            return self._capped(products) + state[LISTED_BIAS]
        if self._dense is not None:
            logits = self._capped(self._dense(hidden))
        else:
            logits = self._capped(self._embedding.logits(hidden))
        return logits if self._bias is None else self._bias(logits)

    def _capped(self, products: Tensor) -> Tensor:
        return products if self._cap is None else capped(products, self._cap)

    def listed(self, tokens: Listed) -> State:
        """Entries of a state whose steps give the logits of these tokens, those of other rows'
        lists impossible."""
        if self._dense is not None:
            kernel = keras.ops.convert_to_tensor(self._dense.kernel)
            weights = tf.transpose(tf.gather(kernel, tokens.ids, axis=1))
        else:
            weights = tf.gather(self._embedding.vectors, tokens.ids)
        layer = self._bias or self._dense
        bias: Tensor = 0.0
        if layer is not None:
            bias = tokens.entries(keras.ops.convert_to_tensor(layer.bias))
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
