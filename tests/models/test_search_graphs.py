"""One graph serves all values of settings, and says what a graph of them alone says."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.decoding import structure_of
from keras_seq2seq.decoding.values import DTYPES, TABLES, round_up, value_specs
from keras_seq2seq.settings import GenerationSettings
from tests.searches import EVERY_RULE

SAMPLE = GenerationSettings(
    sample=True, num_hypotheses=3, seed=3, temperature=0.7, top_k=4, top_p=0.9, min_p=0.01
)
LISTS = GenerationSettings(
    num_beams=3,
    num_hypotheses=3,
    patience=1.1,
    length_rule="gnmt",
    length_penalty=0.6,
    min_length=1,
    max_length=5,
    allowed=("AA BB", "CC", "AA AA EE", "DD EE FF"),
    bias={"CC": -0.5},
)


def traces(model):
    """Graphs of searches and steps that were ever asked for and not there."""
    return model._graphs.cache_info().misses + model._steppings.cache_info().misses


@pytest.mark.parametrize(
    "settings", [EVERY_RULE, SAMPLE, LISTS], ids=["rules", "sample", "lists"]
)
def test_what_is_fed_gives_what_is_frozen(text_model, pairs, settings):
    sources = sorted((s for s in pairs.sources[:30] if len(s) > 2), key=len)
    inputs = text_model.preprocessor.encoder_inputs(sources)
    frozen = tf.function(text_model.generate_ids, autograph=False)(inputs, settings)
    fed = text_model.search(sources, settings)
    np.testing.assert_array_equal(fed.token_ids, frozen.token_ids)
    np.testing.assert_allclose(fed.scores, frozen.scores, rtol=1e-6)


def test_many_values_are_one_graph(text_model):
    sample = dataclasses.replace(SAMPLE, max_length=12, repetition_penalty=1.1, suppress=["AA"])
    beam = GenerationSettings(
        num_beams=2,
        num_beam_groups=2,
        length_penalty=0.5,
        coverage_penalty=0.1,
        min_length=1,
        bias={"BB": 0.1},
    )
    text_model.generate("cab", sample)
    text_model.generate("cab", beam)
    graphs = text_model._graphs.cache_info().misses
    rng = np.random.default_rng(0)
    for index in range(50):
        text_model.generate(
            "cab",
            sample,
            seed=index,
            temperature=float(rng.uniform(0.5, 2)),
            top_k=index % 9 + 1,
            top_p=float(rng.uniform(0.1, 0.99)),
            min_p=float(rng.uniform(0.001, 0.2)),
            max_length=index % 12 + 1,
            repetition_penalty=float(rng.uniform(1.01, 2)),
            suppress_ids=[4 + index % 5],
        )
        text_model.search(
            ["cab"],
            beam,
            length_penalty=float(rng.uniform(0.01, 2)),
            patience=float(rng.uniform(0.5, 4)),
            coverage_penalty=float(rng.uniform(0.01, 2)),
            diversity_penalty=float(rng.uniform(0, 2)),
            max_length=index % 10 + 3,
            min_length=index % 3 + 1,
            bias={"BB": float(rng.uniform(-2, 2)), "CC": 0.1},
            num_hypotheses=index % 2 + 1,
        )
    assert text_model._graphs.cache_info().misses == graphs
    for settings in (sample, beam):
        function = text_model._decode_functions(settings, False, False)
        assert function.experimental_get_tracing_count() == 1
    assert text_model._fed_values.cache_info().currsize <= 64


def test_lengths_beyond_the_usual_are_one_graph_more(text_model, pairs):
    sources = pairs.sources[:9]
    text_model.generate(sources, max_length=13)
    graphs = text_model._graphs.cache_info().misses
    for length in range(13, 60):
        result = text_model.search(sources, max_length=length)
        assert result.token_ids.shape == (9, 1, length + 1)
        assert ((result.token_ids == text_model.end_id).sum(-1) == 1).all()
    assert text_model._graphs.cache_info().misses == graphs


def test_a_stream_of_any_length_and_value_is_one_graph(text_model):
    settings = GenerationSettings(num_beams=2, length_penalty=0.5)
    list(text_model.stream("cab", settings))
    steps = text_model._steppings.cache_info().misses
    for index, source in enumerate(["a", "fed", "abcdef", "bad"]):
        values = {"max_length": 3 + index, "length_penalty": 0.1 + index}
        texts = list(text_model.stream(source, settings, **values))
        assert texts[-1] == text_model.generate(source, settings, **values)
    text_model.search_tree("face", settings, patience=2.0)
    assert text_model._steppings.cache_info().misses == steps
    structure = text_model._structure_of(settings, False)
    stepping = text_model._steppings(structure, False)
    assert stepping._begin.experimental_get_tracing_count() == 1
    assert stepping._step.experimental_get_tracing_count() == 1


def test_compiled_by_xla_lengths_and_top_k_are_rounded_up(transformer_model, text_model, pairs):
    structures = {
        structure_of(GenerationSettings(max_length=length), True) for length in range(1, 129)
    }
    assert len(structures) == len({round_up(length) for length in range(1, 129)}) == 24
    assert structure_of(GenerationSettings(max_length=33), True, longest=36).max_length == 36
    assert structure_of(dataclasses.replace(SAMPLE, top_k=5), True).top_k == 8
    sources = pairs.sources[:9]
    before = text_model._graphs.cache_info().misses
    for length in (19, 20):
        settings = GenerationSettings(num_beams=2, max_length=length)
        received = text_model.search(sources, settings, jit_compile=True)
        assert received.token_ids.shape == (9, 1, length + 1)
        np.testing.assert_array_equal(
            received.token_ids, text_model.search(sources, settings).token_ids
        )
    # One compiled and one that is not.
    assert text_model._graphs.cache_info().misses <= before + 2


def test_every_number_of_the_settings_is_a_value_or_structure():
    """A new field has to say what it is."""
    structure = {
        "num_beams",
        "num_hypotheses",
        "length_rule",
        "num_beam_groups",
        "sample",
        "no_repeat_ngram_size",
        "shortlist",
        "alignments",
        "replace_unknown",
    }
    lists = {"forbid_unknown", "suppress", "suppress_ids", "bias", "bias_ids", "allowed"}
    fields = {field.name for field in dataclasses.fields(GenerationSettings)}
    assert fields == structure | lists | set(DTYPES)
    every = dataclasses.replace(EVERY_RULE, allowed=("AA",), min_length=1, shortlist="a")
    fed = {*value_specs(structure_of(every)), *value_specs(structure_of(SAMPLE))}
    assert fed == {*DTYPES, *TABLES} - {"ctc_weight"}


def test_the_graphs_that_are_kept_are_few(text_model):
    assert text_model._graphs.cache_info().maxsize == 32
    assert text_model._steppings.cache_info().maxsize == 32
