"""Layers that Keras does not have. Letters in comments: B batch, S source length, T target
length, D hidden size, H heads, V vocabulary, K beams. Masks: `True` means attend."""

from keras_seq2seq.layers.attention import LuongAttention

__all__ = ["LuongAttention"]
