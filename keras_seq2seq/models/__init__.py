"""Encoders, decoders and bridges to compose, and `Seq2Seq`, which composes them."""

from keras_seq2seq.models.architectures import ARCHITECTURES, lstm, lstm_attention, transformer
from keras_seq2seq.models.bridges import Bridge, CopyBridge, DenseBridge, ZeroBridge
from keras_seq2seq.models.ensemble import Ensemble
from keras_seq2seq.models.parts import Decoder, DecoderOutput, Encoder, EncoderOutput
from keras_seq2seq.models.recurrent import RecurrentDecoder, RecurrentEncoder
from keras_seq2seq.models.seq2seq import Seq2Seq, load_model
from keras_seq2seq.models.transformer import TransformerDecoder, TransformerEncoder

__all__ = [
    "ARCHITECTURES",
    "Bridge",
    "CopyBridge",
    "Decoder",
    "DecoderOutput",
    "DenseBridge",
    "Encoder",
    "EncoderOutput",
    "Ensemble",
    "RecurrentDecoder",
    "RecurrentEncoder",
    "Seq2Seq",
    "TransformerDecoder",
    "TransformerEncoder",
    "ZeroBridge",
    "load_model",
    "lstm",
    "lstm_attention",
    "transformer",
]
