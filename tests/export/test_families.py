"""Every kind of part converts to a `.tflite` file of builtin operations that says the same."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from keras_seq2seq.export.tflite import convert
from keras_seq2seq.settings import GenerationSettings
from tests.zoo import FRAME_ENCODERS, FRAMES, MODELS, SOURCE, build, frame_model

KINDS = [
    "mean of embeddings with attention",
    "concat",
    "additive normalized",
    "location-sensitive, context feeding",
    "monotonic, input feeding",
    "pyramid",
    "convolution",
    "tied output, lstm",
    "transformer, norm last",
    "transformer, learned positions",
    "transformer, rotary positions",
    "transformer, relative positions",
    "transformer, all embeddings tied",
    "sentences",
    "sentences, transformer",
    "pointer-generator, input feeding",
    "pointer-generator, transformer",
]
# Tokens that occur twice: a copy of either is a copy of the token.
REPEATED = np.array([[5, 6, 5, 5, 3], [9, 9, 3, 0, 0]], "int32")


def check(model, inputs):
    settings = GenerationSettings(num_beams=2, max_length=6)
    interpreter = Interpreter(model_content=convert(model, settings))
    run = interpreter.get_signature_runner("serving_default")

    @tf.function(autograph=False)
    def search(**inputs):
        return model.generate_ids(inputs, settings)

    for row in range(2):
        one = {
            name: np.ascontiguousarray(array[row : row + 1]) for name, array in inputs.items()
        }
        expected = search(**{name: tf.constant(array) for name, array in one.items()})
        received = run(**one)
        np.testing.assert_array_equal(received["token_ids"], expected.token_ids)
        np.testing.assert_allclose(received["scores"], expected.scores, atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_the_loop_of_a_model_converts(name):
    assert name in MODELS
    check(build(name), {"encoder_token_ids": SOURCE})


def test_attention_to_places_of_one_token_adds_up_in_the_file_too():
    check(build("pointer-generator"), {"encoder_token_ids": REPEATED})


@pytest.mark.parametrize("name", FRAME_ENCODERS)
def test_the_loop_of_a_model_of_frames_converts(name):
    check(frame_model(name), FRAMES)
