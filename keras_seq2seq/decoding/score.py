"""Log probabilities of tokens."""

import math

import tensorflow as tf

from keras_seq2seq.arguments import checked


@checked
def score_tokens(logits: tf.Tensor, token_ids: tf.Tensor, pad_id: int = 0) -> tf.Tensor:
    """Log probability of every token of a target, with teacher forcing.

    Args:
        logits: `(batch, target_length, vocabulary_size)`, float, position `t` predicts
            `token_ids[:, t]`.
        token_ids: `(batch, target_length)`, int, the end token included.
        pad_id: int. Padding; its log probability is given as 0.

    Returns:
        `(batch, target_length)`, float32. The sum over a row is `log P(y | x)`.
    """
    log_probs = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    chosen = tf.gather(log_probs, tf.cast(token_ids, tf.int32), batch_dims=2)
    return tf.where(tf.equal(token_ids, pad_id), 0.0, chosen)


def log_softmax(logits: tf.Tensor, in_parts: bool = False) -> tf.Tensor:
    """Log probabilities of logits.

    Args:
        logits: `(rows, vocabulary_size)`, float32.
        in_parts: bool. Written of operations that LiteRT does fast one by one, in place of its
            own, which is slower. Defaults to `False`.
    """
    if not in_parts or logits.shape[-1] is None:
        return tf.nn.log_softmax(logits)
    # LiteRT's own would be chosen for `(x - max) - log`.
    largest = tf.reduce_max(logits, -1, keepdims=True)
    return logits - (largest + tf.math.log(_total(tf.exp(logits - largest))))


def _total(values: tf.Tensor) -> tf.Tensor:
    """The sum of each row, `(rows, 1)`.

    LiteRT adds to a sum one number after the other. Beside a large one tens of thousands of
    small probabilities are lost so, about 1e-5 of a Whisper's: hence a sum of sums of few.
    """
    rows, size = values.shape
    few = math.isqrt(size - 1) + 1
    padded = tf.pad(values, [[0, 0], [0, -size % few]])
    parts = tf.reshape(padded, [rows or -1, padded.shape[1] // few, few])
    return tf.reduce_sum(tf.reduce_sum(parts, -1), -1, keepdims=True)
