"""Layers that Keras does not have. Letters in comments: B batch, S source length, T target
length, D hidden size, H heads, V vocabulary, K beams. Masks: `True` means attend."""

from keras_seq2seq.layers.additive_attention import (
    BahdanauAttention,
    LocationSensitiveAttention,
    MonotonicAttention,
)
from keras_seq2seq.layers.attention import LuongAttention, MemoryAttention
from keras_seq2seq.layers.attentional_recurrence import AttentionalRecurrence
from keras_seq2seq.layers.byte_dropout import ByteDropout
from keras_seq2seq.layers.copy_mixture import CopyMixture
from keras_seq2seq.layers.ctc import CTCLoss
from keras_seq2seq.layers.dense import Dense
from keras_seq2seq.layers.dense_gradient_embedding import DenseGradientEmbedding
from keras_seq2seq.layers.dot_product_attention import DotProductAttention, SplitHeads
from keras_seq2seq.layers.frame_layers import (
    DeltaFeatures,
    FrameNormalization,
    FrequencyWarp,
    SpecAugment,
)
from keras_seq2seq.layers.fused_lstm import FusedLSTM
from keras_seq2seq.layers.key_value_cache import KeyValueCache, lineage_mask
from keras_seq2seq.layers.layer_normalization import LayerNormalization
from keras_seq2seq.layers.log_mel import LogMelSpectrogram
from keras_seq2seq.layers.output_bias import OutputBias
from keras_seq2seq.layers.picture_convolutions import PictureConvolutions
from keras_seq2seq.layers.positions import (
    LearnedPositions,
    RelativePositions,
    RelativeVectors,
    RotaryPositions,
    SinusoidalPositions,
)
from keras_seq2seq.layers.scheduled_sampling import ScheduledSampling
from keras_seq2seq.layers.sentence_pooling import SentencePooling
from keras_seq2seq.layers.time_reduction import MaskedConvolution, TimeReduction
from keras_seq2seq.layers.waveform_convolutions import WaveformConvolutions
from keras_seq2seq.layers.window_log_mel import WindowLogMel

__all__ = [
    "AttentionalRecurrence",
    "BahdanauAttention",
    "ByteDropout",
    "CTCLoss",
    "CopyMixture",
    "DeltaFeatures",
    "Dense",
    "DenseGradientEmbedding",
    "DotProductAttention",
    "FrameNormalization",
    "FrequencyWarp",
    "FusedLSTM",
    "KeyValueCache",
    "LayerNormalization",
    "LearnedPositions",
    "LocationSensitiveAttention",
    "LogMelSpectrogram",
    "LuongAttention",
    "MaskedConvolution",
    "MemoryAttention",
    "MonotonicAttention",
    "OutputBias",
    "PictureConvolutions",
    "RelativePositions",
    "RelativeVectors",
    "RotaryPositions",
    "ScheduledSampling",
    "SentencePooling",
    "SinusoidalPositions",
    "SpecAugment",
    "SplitHeads",
    "TimeReduction",
    "WaveformConvolutions",
    "WindowLogMel",
    "lineage_mask",
]
