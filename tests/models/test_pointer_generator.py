"""What a pointer-generator adds; the contracts of all models are in test_seq2seq.py."""

import keras
import numpy as np
import pytest

from keras_seq2seq.data import TextPreprocessor, training_data
from keras_seq2seq.layers import LuongAttention
from keras_seq2seq.models import (
    ConvolutionEmbedding,
    CopyBridge,
    PointerGenerator,
    RecurrentDecoder,
    RecurrentEncoder,
    Seq2Seq,
    TokenEmbedding,
    recurrent,
    transformer,
)
from keras_seq2seq.special_tokens import SPECIAL_TOKENS
from keras_seq2seq.tokenizers import SymbolTokenizer
from tests.zoo import encoder

NAMES = [f"n{i}" for i in range(60)]


def preprocessor(extra=()):
    vocabulary = [*SPECIAL_TOKENS, "call", "please", *NAMES]
    source = SymbolTokenizer([*vocabulary, *extra], name="source_vocabulary")
    return TextPreprocessor(source, SymbolTokenizer(vocabulary), 6, 6)


def decoder(**settings):
    attention = LuongAttention(24, name="decoder_attention")
    return RecurrentDecoder(TokenEmbedding(66, 8), 24, attention=attention, **settings)


@pytest.mark.large
def test_it_writes_names_that_no_target_of_training_had():
    """Trained to write the names of one half, it writes those of the other."""
    rng = np.random.default_rng(0)

    def pairs(names, count):
        chosen = [list(rng.choice(names, 2, replace=False)) for _ in range(count)]
        return [f"please call {a} {b}" for a, b in chosen], [f"{a} {b}" for a, b in chosen]

    text = preprocessor()
    keras.utils.set_random_seed(1)
    model = recurrent(
        text, embedding_dim=16, hidden_dim=32, dropout=0.0, share_embeddings=True, copy=True
    )
    sources, targets = pairs(NAMES[:40], 600)
    data = training_data(text, sources, targets, batch_size=32)
    model.compile(keras.optimizers.Adam(5e-3, clipnorm=1.0), jit_compile=False)
    model.fit(data.dataset, steps_per_epoch=data.steps, epochs=12, verbose=0)
    sources, targets = pairs(NAMES[40:], 100)
    written = " ".join(model.generate(sources)).split()
    new = sum(name in NAMES[40:] for name in written) / len(written)
    assert new > 0.5


def test_the_state_holds_the_source_which_no_step_changes():
    model = recurrent(preprocessor(), embedding_dim=8, hidden_dim=16, copy=True)
    ids = np.array([[5, 6, 3]], "int32")
    state = model.encode({"encoder_token_ids": ids})
    np.testing.assert_array_equal(state["source_token_ids"], ids)
    _, changed = model.step(np.array([2], "int32"), state)
    assert "source_token_ids" not in changed and set(changed) < set(state)


@pytest.mark.parametrize("build", [recurrent, transformer])
def test_two_vocabularies_are_refused(build):
    with pytest.raises(ValueError, match="one vocabulary for both sides .* of 67 and 66 tok"):
        build(preprocessor(["more"]), hidden_dim=16, copy=True)


def test_a_decoder_without_attention_is_refused():
    with pytest.raises(ValueError, match="needs a decoder with attention"):
        recurrent(preprocessor(), attention="none", copy=True)


@pytest.mark.parametrize(
    "reader",
    [
        lambda: encoder(num_layers=2, time_reduction=2),
        lambda: RecurrentEncoder(ConvolutionEmbedding(TokenEmbedding(66, 6), 6), 8),
    ],
)
def test_positions_that_are_not_tokens_are_refused(reader):
    writer = PointerGenerator(decoder(bridge=CopyBridge()))
    reader = reader()
    reader.embedding.vocabulary_size = 66
    with pytest.raises(ValueError, match="needs an encoder of tokens that keeps their posit"):
        Seq2Seq(reader, writer)


def test_shared_embeddings_are_one_matrix_after_loading(tmp_path):
    keras.utils.set_random_seed(2)
    model = recurrent(
        preprocessor(), embedding_dim=8, hidden_dim=16, share_embeddings=True, copy=True
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.encoder.embedding is loaded.decoder.embedding
    assert loaded.decoder.decoder.embedding is loaded.decoder.embedding
    assert loaded.count_params() == model.count_params()
    sources = ["please call n3 n4", "n8"]
    assert loaded.generate(sources, num_beams=2) == model.generate(sources, num_beams=2)
