"""Every kind of part converts to a `.tflite` file of builtin operations that says the same."""

import numpy as np
import pytest

from keras_seq2seq.export import check_exports
from keras_seq2seq.layers import BahdanauAttention, LocationSensitiveAttention, LuongAttention
from keras_seq2seq.models import (
    ConvolutionEmbedding,
    MeanEncoder,
    RecurrentEncoder,
    SentenceEmbedding,
    TokenEmbedding,
)
from tests import zoo
from tests.zoo import FRAMES, MODELS, SOURCE, build, frame_model


def learned_tied_norm_last():
    shared = TokenEmbedding(zoo.TARGET_VOCABULARY, 8)
    settings = {"positions": "learned", "normalize_first": False}
    return (
        zoo.transformer_encoder(shared, max_length=12, **settings),
        zoo.transformer_decoder(shared, tie_output=True, **settings),
    )


# A conversion takes seconds, and a part converts the same beside any other: several in one.
MIXED = {
    "means, concat": lambda: (
        MeanEncoder(zoo.tokens()),
        zoo.decoder(attention=LuongAttention(7, score="concat")),
    ),
    "sentences, additive normalized": lambda: (
        RecurrentEncoder(SentenceEmbedding(zoo.tokens(), [5, 7]), 8, bidirectional=True),
        zoo.decoder(attention=BahdanauAttention(7, normalized=True)),
    ),
    "convolution, tied output": lambda: (
        RecurrentEncoder(ConvolutionEmbedding(zoo.tokens(), 7, strides=2, num_layers=2), 8),
        zoo.decoder(attention=LuongAttention(6), tie_output=True),
    ),
    "pyramid, location-sensitive, context feeding": lambda: (
        zoo.encoder(num_layers=2, bidirectional=True, time_reduction=2),
        zoo.decoder(attention=LocationSensitiveAttention(7, 5, 3, 5), input_feeding="context"),
    ),
    "learned positions, all tied, norm last": learned_tied_norm_last,
    "sentences, relative positions, relative vectors": lambda: (
        zoo.transformer_encoder(SentenceEmbedding(zoo.tokens(8), [5, 7]), positions="relative"),
        zoo.transformer_decoder(positions="relative_vectors"),
    ),
    "relative vectors, rotary positions": lambda: (
        zoo.transformer_encoder(positions="relative_vectors"),
        zoo.transformer_decoder(positions="rotary", style=zoo.CAPPED),
    ),
} | {
    name: MODELS[name]
    for name in ("monotonic, input feeding", "pointer-generator, transformer")
}
# Tokens that occur twice: a copy of either is a copy of the token.
REPEATED = np.array([[5, 6, 5, 5, 3], [9, 9, 3, 0, 0]], "int32")


@pytest.mark.parametrize("name", MIXED)
def test_the_loop_of_a_model_converts(name):
    check_exports(build(MIXED[name]), {"encoder_token_ids": SOURCE}, formats=["tflite"])


def test_attention_to_places_of_one_token_adds_up_in_the_file_too():
    model = build("pointer-generator, input feeding")
    check_exports(model, {"encoder_token_ids": REPEATED})


# A pyramid over frames is in `test_signals`.
@pytest.mark.parametrize("name", ["normalized with slopes, convolution", "transformer"])
def test_the_loop_of_a_model_of_frames_converts(name):
    check_exports(frame_model(name), FRAMES, formats=["tflite"])
