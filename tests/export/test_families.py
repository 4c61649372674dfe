"""Every kind of part converts to a `.tflite` file of builtin operations that says the same."""

import numpy as np
import pytest

from keras_seq2seq.export import check_exports
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


@pytest.mark.parametrize("name", KINDS)
def test_the_loop_of_a_model_converts(name):
    assert name in MODELS
    check_exports(build(name), {"encoder_token_ids": SOURCE}, formats=["tflite"])


def test_attention_to_places_of_one_token_adds_up_in_the_file_too():
    check_exports(build("pointer-generator"), {"encoder_token_ids": REPEATED})


@pytest.mark.parametrize("name", FRAME_ENCODERS)
def test_the_loop_of_a_model_of_frames_converts(name):
    check_exports(frame_model(name), FRAMES, formats=["tflite"])
