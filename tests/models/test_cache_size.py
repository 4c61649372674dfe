"""The room of a Transformer's caches, whatever sizes happen to be equal."""

import keras
import pytest

from keras_seq2seq.models import transformer


@pytest.mark.parametrize("num_heads", [2, 13], ids=["size", "heads"])
def test_a_length_equal_to_another_size_is_no_bias(preprocessor, num_heads):
    # 12 tokens and the end.
    model = transformer(preprocessor, hidden_dim=26, num_layers=1, num_heads=num_heads)
    state = model.encode(preprocessor.encoder_inputs(["cab", "fee"]))
    for name in ("decoder_0_key", "decoder_0_value"):
        assert model.decoder.max_length == 13
        assert state[name].shape == (2, num_heads, 13, 26 // num_heads)
        assert not keras.ops.any(state[name])
