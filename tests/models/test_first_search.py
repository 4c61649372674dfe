"""A search without its graph, which answers what a process is asked first."""

import numpy as np
import pytest

from keras_seq2seq.models import search_graphs
from keras_seq2seq.settings import GenerationSettings
from tests.searches import BEAM, EVERY_RULE

WORDS = ["cab", "fee", "abcdef"]
SAMPLE = GenerationSettings(sample=True, num_hypotheses=2, temperature=0.7, top_k=4, seed=5)


def without_a_graph(model, settings, steps, prefixes=None):
    structure = model._structure_of(settings, False)
    prefix_ids = None if prefixes is None else model._target.tokenize(prefixes)
    return model.generate_few_steps(
        model.preprocessor.encoder_inputs(WORDS),
        structure,
        steps,
        prefix_ids=prefix_ids,
        values=model._fed_values(settings),
    )


@pytest.mark.parametrize(
    "settings", [BEAM, EVERY_RULE, SAMPLE], ids=["beam", "rules", "sample"]
)
@pytest.mark.parametrize("prefixes", [None, ["AA", "BB CC", ""]], ids=["", "prefixes"])
def test_it_finds_what_the_graph_finds(text_model, settings, prefixes):
    found = without_a_graph(text_model, settings, 99, prefixes)
    graph = text_model._decode_functions(settings, prefixes is not None, False)
    arguments = [
        text_model.preprocessor.encoder_inputs(WORDS),
        text_model._fed_values(settings),
    ]
    expected = graph(*arguments, *([prefixes] if prefixes else []))
    np.testing.assert_array_equal(found.token_ids, expected.token_ids)
    np.testing.assert_allclose(found.log_probs, expected.log_probs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=1e-5)


def test_a_transformer_too(transformer_model):
    found = without_a_graph(transformer_model, BEAM, 99)
    expected = transformer_model._decode_functions(BEAM, False, False)(
        transformer_model.preprocessor.encoder_inputs(WORDS),
        transformer_model._fed_values(BEAM),
    )
    np.testing.assert_array_equal(found.token_ids, expected.token_ids)


def test_a_long_search_is_left_to_the_graph(text_model):
    settings = GenerationSettings(min_length=5)
    assert without_a_graph(text_model, settings, 5) is None
    assert without_a_graph(text_model, settings, 99) is not None


def test_only_the_first_search_of_few_sources_has_no_graph(text_model, monkeypatch):
    # As in a new process, for these settings alone.
    settings = GenerationSettings(
        max_length=4, min_length=1, suppress=("BB",), no_repeat_ngram_size=6
    )
    asked = []
    monkeypatch.setattr(
        type(text_model), "generate_few_steps", lambda *a, **o: asked.append(1) or None
    )
    text_model.search(WORDS * (1 + search_graphs.FEW_SOURCES // len(WORDS)), settings)
    assert asked == []
    for _ in range(2):
        text_model.search(WORDS, settings)
    assert asked == [1]
