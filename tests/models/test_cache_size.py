"""The room of a Transformer's caches, whatever sizes happen to be equal."""

import keras
import pytest

from keras_seq2seq.data import TextPreprocessor
from keras_seq2seq.models import transformer


@pytest.mark.parametrize("num_heads", [2, 14], ids=["size", "heads"])
def test_a_length_equal_to_another_size_is_no_bias(preprocessor, num_heads):
    text = TextPreprocessor(*preprocessor.tokenizers.values(), 7, 13)
    # 13 tokens and the end.
    model = transformer(text, hidden_dim=28, num_layers=1, num_heads=num_heads)
    state = model.encode(text.encoder_inputs(["cab", "fee"]))
    for name in ("decoder_0_key", "decoder_0_value"):
        assert model.decoder.max_length == 14
        assert state[name].shape == (2, num_heads, 14, 28 // num_heads)
        assert not keras.ops.any(state[name])
