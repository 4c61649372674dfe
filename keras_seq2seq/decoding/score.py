"""Log probability of a given target."""

import tensorflow as tf


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
