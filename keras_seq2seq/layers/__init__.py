"""Layers that Keras does not have. Letters in comments: B batch, S source length, T target
length, D hidden size, H heads, V vocabulary, K beams. Masks: `True` means attend."""

from keras_seq2seq.layers.attention import LuongAttention
from keras_seq2seq.layers.dot_product_attention import DotProductAttention
from keras_seq2seq.layers.positions import SinusoidalPositions

__all__ = ["DotProductAttention", "LuongAttention", "SinusoidalPositions"]
