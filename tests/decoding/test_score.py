import numpy as np
import tensorflow as tf

from keras_seq2seq.decoding import score_tokens


def test_scores_are_log_probabilities_and_zero_where_padded():
    logits = tf.math.log([[[0.1, 0.2, 0.7], [0.5, 0.25, 0.25], [0.3, 0.3, 0.4]]])
    scores = score_tokens(logits, tf.constant([[2, 1, 0]]))
    np.testing.assert_allclose(scores, [[np.log(0.7), np.log(0.25), 0.0]], rtol=1e-5)


def test_half_precision_logits_are_scored_in_float32():
    scores = score_tokens(tf.zeros([1, 1, 1000], tf.float16), tf.constant([[5]]))
    assert scores.dtype == tf.float32
    np.testing.assert_allclose(scores, [[-np.log(1000)]], rtol=1e-5)
