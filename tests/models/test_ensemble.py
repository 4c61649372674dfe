import keras
import numpy as np
import pytest

from keras_seq2seq.data import TextPreprocessor
from keras_seq2seq.models import Ensemble, Seq2Seq, lstm, transformer
from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer


def test_a_model_with_itself_is_the_model(text_model, pairs):
    sources = pairs.sources[:20]
    for settings in ({}, {"num_beams": 3, "num_hypotheses": 2}):
        expected = text_model.search(sources, **settings)
        received = Ensemble([text_model, text_model]).search(sources, **settings)
        np.testing.assert_array_equal(received.token_ids, expected.token_ids)
        np.testing.assert_allclose(received.log_probs, expected.log_probs, atol=1e-4)


def test_probabilities_are_averaged(text_model, transformer_model, pairs):
    sources, targets = pairs.sources[:10], pairs.targets[:10]
    inputs, labels, _ = text_model.preprocessor(sources, targets)
    probabilities = [
        np.exp(model.score_tokens(inputs, labels)) for model in (text_model, transformer_model)
    ]
    ensemble = Ensemble([text_model, transformer_model])
    expected = np.log(np.mean(probabilities, 0))
    np.testing.assert_allclose(ensemble.score_tokens(inputs, labels), expected, atol=1e-5)
    result = ensemble.search(sources, num_beams=2)
    scores = ensemble.score(sources, [row[0] for row in ensemble.texts(result)])
    np.testing.assert_allclose(scores, result.log_probs[:, 0], atol=1e-4)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_models_of_different_room_and_kind_generate_together(
    text_model, preprocessor, pairs, jit_compile
):
    """Caches of two lengths and a recurrent state, searched by one lineage."""
    models = [text_model]
    for room in (13, 20):
        keras.utils.set_random_seed(room)
        model = transformer(preprocessor, hidden_dim=8, num_heads=2, num_layers=1)
        config = model.get_config()
        config["decoder"]["config"]["max_length"] = room
        models.append(Seq2Seq.from_config(config))
    ensemble = Ensemble(models)
    sources = pairs.sources[:6]
    result = ensemble.search(sources, num_beams=3, jit_compile=jit_compile)
    texts = [row[0] for row in ensemble.texts(result)]
    np.testing.assert_allclose(
        ensemble.score(sources, texts), result.log_probs[:, 0], atol=1e-4
    )


def test_vocabularies_must_be_the_same(text_model):
    other = TextPreprocessor.from_pairs(["xy"], ["X Y"], CharacterTokenizer, SymbolTokenizer)
    with pytest.raises(ValueError, match="must have the same source vocabulary"):
        Ensemble([text_model, lstm(other, embedding_dim=2, hidden_dim=2)])


def test_no_model_is_refused():
    with pytest.raises(ValueError, match="at least one model"):
        Ensemble([])
