"""Embeddings, encoders, decoders and bridges to compose, and `Seq2Seq`, which composes them."""

# TensorFlow and Keras first, quickly.
import keras_seq2seq.first_import  # noqa: F401

# isort: split

# Known to Keras from here on: `keras.saving.load_model` of a compiled model needs them.
import keras_seq2seq.data.signal_preprocessors
import keras_seq2seq.data.text_preprocessor
import keras_seq2seq.losses
import keras_seq2seq.optimizers
import keras_seq2seq.schedules  # noqa: F401
from keras_seq2seq.models.architectures import (
    ARCHITECTURES,
    PRESETS,
    Preset,
    lstm,
    lstm_attention,
    recurrent,
    transformer,
)
from keras_seq2seq.models.bridges import Bridge, CopyBridge, DenseBridge, ZeroBridge
from keras_seq2seq.models.embeddings import (
    ConvolutionEmbedding,
    SentenceEmbedding,
    SourceEmbedding,
    TokenEmbedding,
)
from keras_seq2seq.models.ensemble import Ensemble
from keras_seq2seq.models.frame_embeddings import (
    FrameEmbedding,
    PictureEmbedding,
    WaveformEmbedding,
)
from keras_seq2seq.models.mean_encoder import MeanEncoder
from keras_seq2seq.models.model_settings import backend_generates
from keras_seq2seq.models.parts import Decoder, DecoderOutput, Encoder, EncoderOutput
from keras_seq2seq.models.pointer_generator import PointerGenerator
from keras_seq2seq.models.recurrent_decoder import RecurrentDecoder
from keras_seq2seq.models.recurrent_encoder import RecurrentEncoder
from keras_seq2seq.models.seq2seq import Seq2Seq, load_model
from keras_seq2seq.models.transcription import Segment, transcribe
from keras_seq2seq.models.transformer_decoder import TransformerDecoder
from keras_seq2seq.models.transformer_encoder import TransformerEncoder
from keras_seq2seq.models.transformer_style import TransformerStyle

__all__ = [
    "ARCHITECTURES",
    "PRESETS",
    "Bridge",
    "ConvolutionEmbedding",
    "CopyBridge",
    "Decoder",
    "DecoderOutput",
    "DenseBridge",
    "Encoder",
    "EncoderOutput",
    "Ensemble",
    "FrameEmbedding",
    "MeanEncoder",
    "PictureEmbedding",
    "PointerGenerator",
    "Preset",
    "RecurrentDecoder",
    "RecurrentEncoder",
    "Segment",
    "SentenceEmbedding",
    "Seq2Seq",
    "SourceEmbedding",
    "TokenEmbedding",
    "TransformerDecoder",
    "TransformerEncoder",
    "TransformerStyle",
    "WaveformEmbedding",
    "ZeroBridge",
    "load_model",
    "backend_generates",
    "lstm",
    "lstm_attention",
    "recurrent",
    "transcribe",
    "transformer",
]
