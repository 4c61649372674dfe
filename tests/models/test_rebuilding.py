"""A model built anew says what it said, and new tokens begin as the mean of the old."""

import keras
import numpy as np
import pytest

from keras_seq2seq.data import TextPreprocessor, WaveformPreprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import recurrent, transformer
from keras_seq2seq.models.rebuilding import rebuilt
from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer

LINES = ["abc", "cab"]


def weight_of(model, name):
    (found,) = [weight for weight in model.weights if weight.path.endswith(name)]
    return keras.ops.convert_to_numpy(found)


@pytest.fixture(scope="module")
def grown(text_model):
    before = text_model.preprocessor
    tokenizers = {
        "source_tokenizer": before.source_tokenizer.extended([["y", "x"], ["y", "a"]]),
        "target_tokenizer": before.target_tokenizer.extended([["ZZ"]]),
    }
    return rebuilt(text_model, before.replace(**tokenizers))


def test_without_changes_every_weight_is_the_same_and_none_is_shared(text_model):
    same = rebuilt(text_model, rates={"dropout": 0.3})
    assert same.encoder.dropout == same.decoder.dropout == 0.3
    for weight, other in zip(text_model.weights, same.weights, strict=True):
        assert weight is not other
        np.testing.assert_array_equal(weight, other)


def test_new_rows_are_the_mean_of_the_old_without_special_tokens(text_model, grown):
    assert grown.preprocessor.source_tokenizer.get_vocabulary()[-2:] == ["y", "x"]
    for name, axis, count in (
        ("encoder_embedding/embeddings", 0, 2),
        ("decoder_embedding/embeddings", 0, 1),
        ("decoder_logits/kernel", 1, 1),
        ("decoder_logits/bias", 0, 1),
    ):
        old = np.moveaxis(weight_of(text_model, name), axis, 0)
        new = np.moveaxis(weight_of(grown, name), axis, 0)
        np.testing.assert_array_equal(new[:-count], old)
        for row in new[-count:]:
            np.testing.assert_allclose(row, old[4:].mean(0), atol=1e-6)


def test_old_pairs_have_their_old_logits(text_model, grown, pairs):
    sources, targets = pairs.sources[:8], pairs.targets[:8]
    inputs, _, _ = text_model.preprocessor(sources, targets)
    same, _, _ = grown.preprocessor(sources, targets)
    np.testing.assert_array_equal(inputs["encoder_token_ids"], same["encoder_token_ids"])
    size = text_model.decoder.vocabulary_size
    np.testing.assert_allclose(grown(same)[..., :size], text_model(inputs), atol=1e-5)


def test_shared_embeddings_stay_shared_and_the_copying_decoder_grows():
    tokenizer = CharacterTokenizer.from_lines(LINES, name="one")
    both = TextPreprocessor(tokenizer, tokenizer, 5, 5)
    model = transformer(
        both, hidden_dim=8, num_layers=1, num_heads=2, share_embeddings=True, copy=True
    )
    more = tokenizer.extended([["d"]])
    new = rebuilt(model, both.replace(source_tokenizer=more, target_tokenizer=more))
    assert new.decoder.embedding is new.encoder.embedding
    assert new.decoder.vocabulary_size == 8
    assert len(new.weights) == len(model.weights)


def test_speech_with_ctc_keeps_its_source_and_gets_target_tokens():
    target = SymbolTokenizer.from_lines(["one two"])
    sound = WaveformPreprocessor(target, 8000, 5, 8000)
    model = recurrent(sound, embedding_dim=4, hidden_dim=4, convolutions=1, ctc_weight=0.5)
    more = sound.replace(target_tokenizer=target.extended([["three"]]))
    new = rebuilt(model, more, ctc_weight=0.25)
    assert new.ctc.weight == 0.25
    old, kernel = (weight_of(one, "ctc/projection/kernel") for one in (model, new))
    np.testing.assert_array_equal(kernel[:, :-1], old)
    np.testing.assert_allclose(kernel[:, -1], old[:, 4:].mean(1), atol=1e-6)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_room_for_longer_texts_grows_where_positions_are_computed(positions):
    tokenizer = CharacterTokenizer.from_lines(LINES)
    text = TextPreprocessor(tokenizer, tokenizer, 5, 6)
    model = transformer(text, hidden_dim=8, num_layers=1, num_heads=2, positions=positions)
    longer = text.replace(max_target_length=9)
    assert rebuilt(model, text.replace(max_target_length=3)).decoder.max_length == 7
    if positions == "sinusoidal":
        assert rebuilt(model, longer).decoder.max_length == 10
        return
    with pytest.raises(InputError, match="learned 7 target positions.*Received: 10"):
        rebuilt(model, longer)
