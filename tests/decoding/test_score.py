import numpy as np
import tensorflow as tf

from export.tflite import convert_signatures
from keras_seq2seq.decoding import score_tokens
from keras_seq2seq.decoding.score import log_softmax


def test_scores_are_log_probabilities_and_zero_where_padded():
    logits = tf.math.log([[[0.1, 0.2, 0.7], [0.5, 0.25, 0.25], [0.3, 0.3, 0.4]]])
    scores = score_tokens(logits, tf.constant([[2, 1, 0]]))
    np.testing.assert_allclose(scores, [[np.log(0.7), np.log(0.25), 0.0]], rtol=1e-5)


def test_half_precision_logits_are_scored_in_float32():
    scores = score_tokens(tf.zeros([1, 1, 1000], tf.float16), tf.constant([[5]]))
    assert scores.dtype == tf.float32
    np.testing.assert_allclose(scores, [[-np.log(1000)]], rtol=1e-5)


def test_no_small_probability_is_lost_beside_a_large_one():
    from ai_edge_litert.interpreter import Interpreter

    random = np.random.default_rng(0)
    rows = random.normal(0, 2, (3, 51866)).astype(np.float32)
    rows[:, 7] = 17, 18, 30

    def parts(logits):
        return {"log_probs": log_softmax(logits, in_parts=True)}

    spec = tf.TensorSpec([3, rows.shape[1]], tf.float32)
    function = tf.function(parts, autograph=False).get_concrete_function(logits=spec)
    content = convert_signatures({"serving_default": function}, "float32")
    interpreter = Interpreter(model_content=content)
    found = interpreter.get_signature_runner("serving_default")(logits=rows)["log_probs"]
    exact = rows.astype(np.float64) - np.logaddexp.reduce(rows.astype(np.float64), 1)[:, None]
    assert np.abs(found[:, 7] - exact[:, 7]).max() < 2e-6
    for size in (1, 2, 3, 4, 5, 101):
        own, expected = (log_softmax(rows[:, :size], is_so) for is_so in (True, False))
        np.testing.assert_allclose(own, expected, atol=1e-5)
