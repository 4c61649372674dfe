"""One small model of every kind, for the contracts that all of them keep."""

import dataclasses

import keras
import numpy as np

from keras_seq2seq.layers import (
    BahdanauAttention,
    DeltaFeatures,
    FrameNormalization,
    LocationSensitiveAttention,
    LuongAttention,
    MonotonicAttention,
    SpecAugment,
)
from keras_seq2seq.models import (
    ConvolutionEmbedding,
    CopyBridge,
    DenseBridge,
    FrameEmbedding,
    MeanEncoder,
    PointerGenerator,
    RecurrentDecoder,
    RecurrentEncoder,
    SentenceEmbedding,
    Seq2Seq,
    TokenEmbedding,
    TransformerDecoder,
    TransformerEncoder,
    TransformerStyle,
    ZeroBridge,
)

SOURCE_VOCABULARY, TARGET_VOCABULARY = 11, 13
END = 3

# Two sources of different length, two targets of different length; 0 is padding.
SOURCE = np.array([[5, 6, 7, 8, 3], [9, 10, 3, 0, 0]], "int32")
TARGET = np.array([[2, 4, 5, 6, 7, 8], [2, 9, 10, 0, 0, 0]], "int32")
LABELS = np.array([[4, 5, 6, 7, 8, 3], [9, 10, 3, 0, 0, 0]], "int32")


def tokens(size=6):
    return TokenEmbedding(SOURCE_VOCABULARY, size)


def encoder(**settings):
    return RecurrentEncoder(tokens(), 8, **settings)


def decoder(**settings):
    return RecurrentDecoder(TokenEmbedding(TARGET_VOCABULARY, 6), 8, **settings)


def transformer_encoder(embedding=None, num_layers=1, **settings):
    return TransformerEncoder(
        embedding or tokens(8), 12, num_heads=2, num_layers=num_layers, **settings
    )


def transformer_decoder(embedding=None, num_layers=1, **settings):
    return TransformerDecoder(
        embedding or TokenEmbedding(TARGET_VOCABULARY, 8),
        12,
        num_heads=2,
        num_layers=num_layers,
        max_length=10,
        **settings,
    )


def attending(attention, **settings):
    """A model whose decoder attends."""
    return lambda: (encoder(bidirectional=True), decoder(attention=attention(), **settings))


def all_tied():
    # One vocabulary for both sides: the larger of the two.
    shared = TokenEmbedding(TARGET_VOCABULARY, 8)
    return transformer_encoder(shared), transformer_decoder(shared, tie_output=True)


GATED = TransformerStyle(
    activation="gelu_tanh",
    gated=True,
    norm="rms",
    embedding_scale=1.0,
    use_bias=False,
    head_dim=3,
)
EMBEDDINGS_NORMALIZED = TransformerStyle(
    activation="gelu", embedding_norm=True, interleaved=True, inclusive=True, first_position=2
)

CLIPPED = TransformerStyle(clipped_distance=2)
TURNED = TransformerStyle(rotary_dim=2, rotary_base=50.0, rotary_factor=2.0, post_norm=True)
# Small enough that scores and logits meet them.
CAPPED = dataclasses.replace(TURNED, attention_cap=0.5, logit_cap=2.0)


def styled(style, **settings):
    """A Transformer of a style, all embeddings one, the output with a bias."""
    shared = TokenEmbedding(TARGET_VOCABULARY, 8, reads_end=False)
    settings = {"style": style, **settings}
    return (
        transformer_encoder(shared, **settings),
        transformer_decoder(shared, tie_output=True, output_bias=True, **settings),
    )


def pointer_generator(**settings):
    # One vocabulary, shared embeddings.
    shared = TokenEmbedding(TARGET_VOCABULARY, 6)
    reader = RecurrentEncoder(shared, 8, bidirectional=True)
    writer = RecurrentDecoder(shared, 8, attention=LuongAttention(7), **settings)
    return reader, PointerGenerator(writer)


def transformer_pointer_generator():
    shared = TokenEmbedding(TARGET_VOCABULARY, 8)
    writer = transformer_decoder(shared, num_layers=2, tie_output=True)
    return transformer_encoder(shared), PointerGenerator(writer)


MODELS = {
    "lstm": lambda: (encoder(), decoder(bridge=CopyBridge())),
    "gru": lambda: (encoder(cell="gru"), decoder(cell="gru", bridge=CopyBridge())),
    "simple rnn": lambda: (
        encoder(cell="simple_rnn"),
        decoder(cell="simple_rnn", bridge=CopyBridge()),
    ),
    "lstm deep": lambda: (encoder(num_layers=2), decoder(num_layers=2, bridge=CopyBridge())),
    "mean of embeddings": lambda: (MeanEncoder(tokens()), decoder(cell="gru")),
    "mean of embeddings with attention": lambda: (
        MeanEncoder(tokens()),
        decoder(attention=BahdanauAttention(7)),
    ),
    "dot": lambda: (encoder(), decoder(attention=LuongAttention(7, score="dot"))),
    "general": attending(lambda: LuongAttention(7)),
    "general scaled": attending(lambda: LuongAttention(7, scaled=True)),
    "concat": attending(lambda: LuongAttention(7, score="concat")),
    "additive": attending(lambda: BahdanauAttention(7, score_units=5)),
    "additive normalized": attending(lambda: BahdanauAttention(7, normalized=True)),
    "location-sensitive": attending(lambda: LocationSensitiveAttention(7, 5, 3, 5)),
    "monotonic": attending(lambda: MonotonicAttention(7)),
    "input feeding": attending(
        lambda: LuongAttention(7), input_feeding="attention", num_layers=2, residual=True
    ),
    "input feeding, gru": attending(
        lambda: LuongAttention(7), input_feeding="attention", cell="gru"
    ),
    "context feeding": attending(lambda: BahdanauAttention(7), input_feeding="context"),
    "location-sensitive, context feeding": attending(
        lambda: LocationSensitiveAttention(7, 5, 3, 5), input_feeding="context"
    ),
    "monotonic, input feeding": attending(
        lambda: MonotonicAttention(7, normalized=True), input_feeding="attention"
    ),
    "uneven depth and cells": lambda: (
        encoder(cell="gru", bidirectional=True, num_layers=2),
        decoder(num_layers=3, attention=LuongAttention(5), bridge=DenseBridge()),
    ),
    "zero bridge": lambda: (
        encoder(),
        decoder(attention=LuongAttention(7), bridge=ZeroBridge()),
    ),
    "residual": lambda: (
        encoder(num_layers=3, residual=True),
        decoder(num_layers=3, residual=True, attention=LuongAttention(7)),
    ),
    "pyramid": lambda: (
        encoder(num_layers=2, bidirectional=True, time_reduction=2),
        decoder(attention=LuongAttention(7)),
    ),
    "convolution": lambda: (
        RecurrentEncoder(ConvolutionEmbedding(tokens(), 7, strides=2, num_layers=2), 8),
        decoder(attention=LuongAttention(7)),
    ),
    "convolution, transformer": lambda: (
        transformer_encoder(ConvolutionEmbedding(tokens(), 8, kernel_size=4)),
        transformer_decoder(),
    ),
    "sentences": lambda: (
        RecurrentEncoder(SentenceEmbedding(tokens(), [5, 7]), 8, bidirectional=True),
        decoder(attention=LuongAttention(7)),
    ),
    "sentences, transformer": lambda: (
        transformer_encoder(SentenceEmbedding(tokens(8), [5, 7])),
        transformer_decoder(),
    ),
    "tied output, lstm": lambda: (
        encoder(bidirectional=True),
        decoder(attention=LuongAttention(6), tie_output=True),
    ),
    "transformer": lambda: (
        transformer_encoder(num_layers=2),
        transformer_decoder(num_layers=2),
    ),
    "transformer, norm last": lambda: (
        transformer_encoder(normalize_first=False),
        transformer_decoder(normalize_first=False),
    ),
    "transformer, learned positions": lambda: (
        transformer_encoder(positions="learned", max_length=12),
        transformer_decoder(positions="learned"),
    ),
    "transformer, rotary positions": lambda: (
        transformer_encoder(positions="rotary", style=CAPPED),
        transformer_decoder(positions="rotary", style=CAPPED),
    ),
    "transformer, relative positions": lambda: (
        transformer_encoder(positions="relative"),
        transformer_decoder(
            positions="relative", num_layers=2, style=TransformerStyle(relative_in_each=True)
        ),
    ),
    "transformer, relative vectors": lambda: (
        transformer_encoder(positions="relative_vectors", style=CLIPPED),
        transformer_decoder(positions="relative_vectors", style=CLIPPED),
    ),
    "transformer, all embeddings tied": all_tied,
    "transformer, gated": lambda: styled(GATED, positions="relative"),
    "transformer, embeddings normalized": lambda: styled(
        EMBEDDINGS_NORMALIZED, normalize_first=False
    ),
    "transformer encoder, lstm decoder": lambda: (
        transformer_encoder(),
        decoder(attention=LuongAttention(7), bridge=ZeroBridge()),
    ),
    "bidirectional encoder, transformer decoder": lambda: (
        encoder(bidirectional=True),
        transformer_decoder(),
    ),
    "pointer-generator": pointer_generator,
    "pointer-generator, input feeding": lambda: pointer_generator(input_feeding="attention"),
    "pointer-generator, transformer": transformer_pointer_generator,
    "dropout": lambda: (
        encoder(bidirectional=True, dropout=0.3, recurrent_dropout=0.2),
        decoder(attention=LuongAttention(7), dropout=0.3, recurrent_dropout=0.2),
    ),
    "dropout, input feeding": lambda: (
        encoder(bidirectional=True, dropout=0.3),
        decoder(
            num_layers=2,
            attention=LuongAttention(7),
            input_feeding="attention",
            dropout=0.3,
            recurrent_dropout=0.2,
        ),
    ),
}


def build(parts):
    """A model by its name, or of what makes its two parts."""
    keras.utils.set_random_seed(1)
    model = Seq2Seq(*(MODELS[parts] if isinstance(parts, str) else parts)())
    for weight in model.weights:
        weight.assign(weight * 1.5)
    return model


FEATURES = np.random.default_rng(5).normal(size=(2, 7, 3)).astype("float32")
FRAMES = {"encoder_features": FEATURES, "encoder_lengths": np.array([7, 4], "int32")}

FRAME_ENCODERS = {
    "pyramid": lambda: RecurrentEncoder(
        FrameEmbedding(3, 6), 8, num_layers=3, bidirectional=True, time_reduction=2
    ),
    "normalized with slopes, convolution": lambda: RecurrentEncoder(
        ConvolutionEmbedding(
            FrameEmbedding(3, 6, [FrameNormalization(), DeltaFeatures(), SpecAugment()]),
            8,
            strides=2,
        ),
        8,
    ),
    "transformer": lambda: transformer_encoder(FrameEmbedding(3, 8)),
}


def frame_model(name):
    keras.utils.set_random_seed(1)
    attention = LocationSensitiveAttention(7, kernel_size=3)
    bridge = ZeroBridge() if name == "transformer" else None
    return Seq2Seq(FRAME_ENCODERS[name](), decoder(attention=attention, bridge=bridge))
