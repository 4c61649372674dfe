"""KerasHub's BART and T5 through this package's loop give what KerasHub gives."""

import io
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import keras
import keras_hub
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from export.serving import export_serving
from export.tflite import convert_signatures
from keras_seq2seq.converters import Seq2SeqLMGeneration
from keras_seq2seq.converters.kerashub import KerasHubTokenizer
from keras_seq2seq.decoding import BeamSearch
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.tokenizers.byte_level_bpe import byte_characters

DOC = Path(__file__).parents[2] / "docs" / "kerashub.md"
LENGTH = 10


# What BART and T5 begin and end targets with.
IDS = {"bart": {"start_id": 2, "end_id": 2}, "t5": {"start_id": 0, "end_id": 1}}


def bart():
    backbone = keras_hub.models.BartBackbone(
        vocabulary_size=30,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        dropout=0.0,
        max_sequence_length=24,
    )
    return keras_hub.models.BartSeq2SeqLM(backbone, preprocessor=None)


def t5():
    backbone = keras_hub.models.T5Backbone(
        vocabulary_size=30,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        key_value_dim=6,
        dropout=0.0,
    )
    return keras_hub.models.T5Seq2SeqLM(backbone, preprocessor=None)


@pytest.fixture(scope="module", params=["bart", "t5"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def model(kind):
    keras.utils.set_random_seed(2)
    model = {"bart": bart, "t5": t5}[kind]()
    for weight in model.weights:
        # Far from the beginning's symmetry: the choices differ.
        noise = keras.random.normal(weight.shape, stddev=0.3, seed=len(weight.path))
        weight.assign(weight + noise)
    model.compile(sampler="greedy")
    return model


@pytest.fixture(scope="module")
def inputs():
    ids = np.random.default_rng(0).integers(4, 30, (6, 9)).astype("int32")
    mask = (np.arange(9) < np.array([9, 5, 1, 7, 3, 8])[:, None]).astype("int32")
    return {"encoder_token_ids": ids * mask, "encoder_padding_mask": mask}


@pytest.fixture(scope="module")
def generation(model, kind):
    return Seq2SeqLMGeneration(model, max_length=LENGTH, **IDS[kind])


@pytest.fixture(scope="module")
def found(generation, inputs):
    """What a search finds, by its beams."""

    @cache
    def run(beams):
        function = tf.function(
            lambda inputs: generation.decode(
                inputs, BeamSearch(beams, generation.end_id), LENGTH, rules=[]
            ),
            autograph=False,
        )
        return function({name: tf.constant(value) for name, value in inputs.items()})

    return run


def test_greedy_is_kerashubs_own(model, generation, found, inputs):
    decoder_token_ids = np.zeros((6, LENGTH + 1), "int32")
    decoder_token_ids[:, 0] = generation.start_id
    given = np.zeros_like(decoder_token_ids)
    given[:, 0] = 1
    prompt = {"decoder_token_ids": decoder_token_ids, "decoder_padding_mask": given}
    generated = model.generate({**inputs, **prompt}, stop_token_ids=[generation.end_id])
    expected = np.asarray(generated["decoder_token_ids"])[:, 1:]
    mask = np.asarray(generated["decoder_padding_mask"])[:, 1:]
    received = found(1)
    np.testing.assert_array_equal(received.token_ids[:, 0], expected * mask)
    assert len(np.unique(expected, axis=0)) > 1


def test_the_steps_give_the_logits_of_the_whole_sequence(model, generation, inputs):
    tokens = np.random.default_rng(1).integers(4, 30, (6, 7)).astype("int32")
    state = generation.encode(inputs)
    expected = model(
        {
            **inputs,
            "decoder_token_ids": tokens,
            "decoder_padding_mask": np.ones_like(tokens),
        }
    )
    for position in range(7):
        logits, changed = generation.step(tokens[:, position], state)
        np.testing.assert_allclose(logits, expected[:, position], atol=1e-4)
        state |= changed


def test_a_beam_is_at_least_as_probable_as_greedy(found):
    greedy, beam = found(1), found(2)
    assert (beam.log_probs[:, 0].numpy() >= greedy.log_probs[:, 0].numpy() - 1e-5).all()


@pytest.mark.large
def test_it_converts_to_builtin_operations_of_litert(generation, found, inputs):
    def generate(**inputs):
        hypotheses = generation.decode(
            inputs, BeamSearch(2, generation.end_id), LENGTH, rules=[]
        )
        return {"token_ids": hypotheses.token_ids, "log_probs": hypotheses.log_probs}

    function = tf.function(generate, autograph=False).get_concrete_function(
        **{
            name: tf.TensorSpec((1, 9), spec.dtype, name)
            for name, spec in generation.encoder_spec(1).items()
        }
    )
    content = convert_signatures({"serving_default": function}, "float32")
    runner = Interpreter(model_content=content).get_signature_runner("serving_default")
    expected = found(2)
    for row in range(6):
        outputs = runner(**{name: value[row : row + 1] for name, value in inputs.items()})
        np.testing.assert_array_equal(outputs["token_ids"][0], expected.token_ids[row])
        np.testing.assert_allclose(outputs["log_probs"][0], expected.log_probs[row], atol=1e-4)


@pytest.mark.large
def test_the_example_of_the_document_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"<!-- tested -->\n```python\n(.*?)```", DOC.read_text(), re.DOTALL)
    names: dict = {}
    exec(compile("\n".join(blocks), str(DOC), "exec"), names)
    assert Interpreter(model_content=names["content"]).get_signature_list()
    assert os.path.exists("bart/saved_model.pb")
    ids = np.array([[5, 6, 7, 2]], "int32")
    arguments = {"encoder_token_ids": ids, "encoder_padding_mask": np.ones_like(ids)}
    serving = tf.saved_model.load("bart").signatures["serving_default"]
    received = serving(**{name: tf.constant(value) for name, value in arguments.items()})
    generate = tf.function(names["generate"], autograph=False)
    expected = generate(**{name: tf.constant(value) for name, value in arguments.items()})
    np.testing.assert_array_equal(received["token_ids"], expected["token_ids"])


# Strings.

SOURCES = {
    "bart": ["a sun afternoon", "sun no", "noon", "after a sun"],
    "t5": ["the quick fox", "earth", "the earth is round", "brown fox"],
}


def bart_tokenizer():
    merges = ["Ġ a", "Ġ s", "Ġ n", "n o", "o n", "Ġs u", "Ġa f", "no on", "Ġsu n", "e r"]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *"abcdefghijklmnopqrstuvwxyzĠ"]
    tokens += [merge.replace(" ", "") for merge in merges]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return keras_hub.models.BartTokenizer(vocabulary=vocabulary, merges=merges)


def t5_tokenizer():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the quick brown fox", "the earth is round"]),
        model_writer=model,
        vocab_size=24,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    return keras_hub.models.T5Tokenizer(proto=model.getvalue())


@pytest.fixture(scope="module")
def texts(kind):
    """A model with its tokenizer, that says different things of different sources."""
    seed, deviation = {"bart": (1, 0.3), "t5": (2, 0.5)}[kind]
    keras.utils.set_random_seed(seed)
    tokenizer = {"bart": bart_tokenizer, "t5": t5_tokenizer}[kind]()
    sizes = {"vocabulary_size": tokenizer.vocabulary_size(), "num_layers": 1, "num_heads": 2}
    sizes |= {"hidden_dim": 16, "intermediate_dim": 32, "dropout": 0.0}
    lengths = {"encoder_sequence_length": 20, "decoder_sequence_length": LENGTH}
    hub = keras_hub.models
    if kind == "bart":
        backbone = hub.BartBackbone(**sizes, max_sequence_length=24)
        own = hub.BartSeq2SeqLMPreprocessor(tokenizer, **lengths)
        model = hub.BartSeq2SeqLM(backbone, preprocessor=own)
    else:
        backbone = hub.T5Backbone(**sizes, key_value_dim=6)
        own = hub.T5Seq2SeqLMPreprocessor(tokenizer, **lengths)
        model = hub.T5Seq2SeqLM(backbone, preprocessor=own)
    for weight in model.weights:
        weight.assign(weight + keras.random.normal(weight.shape, stddev=deviation))
    model.compile(sampler="greedy")
    return model


def test_strings_are_those_of_kerashubs_own_generate(texts, kind):
    generation = Seq2SeqLMGeneration(texts, max_length=LENGTH)
    expected = texts.generate(SOURCES[kind])
    assert len(set(expected)) > 1
    assert generation.generate(SOURCES[kind]) == expected
    assert list(generation.stream(SOURCES[kind][0]))[-1] == expected[0]
    (score,) = generation.search(SOURCES[kind][:1]).log_probs[0]
    assert generation.search(SOURCES[kind][:1], num_beams=4).log_probs[0][0] >= score - 1e-5


@pytest.mark.large
def test_strings_go_through_a_version_for_serving_without_keras(texts, kind, tmp_path):
    generation = Seq2SeqLMGeneration(texts, max_length=LENGTH)
    settings = GenerationSettings(num_beams=3, num_hypotheses=2)
    version = export_serving(generation, tmp_path, settings, batch_sizes=(1, 5))
    warm_up = version / "assets.extra" / "tf_serving_warmup_requests"
    assert warm_up.stat().st_size > 0
    code = (
        "import json, sys, tensorflow as tf, tensorflow_text\n"
        "sys.modules['keras'] = sys.modules['keras_hub'] = None\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "out = model.signatures['serving_default'](tf.constant(json.load(sys.stdin)))\n"
        "print(json.dumps([[[one.decode() for one in row] for row in out['text'].numpy()],"
        " [one.decode() for one in out['error'].numpy()]]))"
    )
    sources = [*SOURCES[kind], "x" * 100_000]
    done = subprocess.run(
        [sys.executable, "-c", code, str(version)],
        input=json.dumps(sources),
        capture_output=True,
        text=True,
        check=True,
    )
    received, errors = json.loads(done.stdout.splitlines()[-1])
    expected = generation.texts(generation.search(SOURCES[kind], settings))
    assert received == [*expected, ["", ""]]
    assert errors[:-1] == [""] * len(expected)
    assert "tokens; this model takes at most" in errors[-1]


def test_sources_are_refused_not_cut(texts):
    generation = Seq2SeqLMGeneration(texts, max_length=LENGTH)
    with pytest.raises(InputError, match="Source 2 of 2 has .* takes at most 1[89]"):
        generation.generate(["a", "a sun " * 30])
    with pytest.raises(InputError, match="Source 1 of 1 is empty"):
        generation.generate("")
    with pytest.raises(InputError, match="not offered for KerasHub"):
        generation.score(["a"], ["b"])
    with pytest.raises(InputError, match="needs attention"):
        generation.generate("a", alignments=True)


PARTS = [" ", "  ", "a", "ab", "n", "12", "'s", ".", "\n", "é", "६", "</s>", "<mask>", "x</s"]


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(st.lists(st.lists(st.sampled_from(PARTS)).map("".join), max_size=3))
def test_byte_pairs_are_those_of_kerashubs_graph_and_no_digit_is_dropped(texts):
    ours, theirs = byte_pair_tokenizers()
    ids = ours.tokenize(texts)
    assert [one.decode() for one in ours._detokenize(ids).numpy()] == texts
    # What KerasHub splits as GPT-2 does: no such digit, no white space in the end.
    same = [re.sub("६", "", text) for text in texts]
    same = [re.sub(r"\s+(?=</s>|$)", "", text) for text in same]
    assert ours.tokenize(same).to_list() == theirs(same).to_list()


def test_the_graph_of_byte_pairs_keeps_no_words():
    (graph,) = byte_pair_tokenizers()[0]._tokenize._list_all_concrete_functions()
    kinds = {operation.type for operation in graph.graph.get_operations()}
    assert "LookupTableFindV2" in kinds
    assert not {kind for kind in kinds if "Mutable" in kind or "Insert" in kind}


@cache
def byte_pair_tokenizers():
    """Ours, and KerasHub's own inside a graph."""
    merges = ["Ġ Ġ", "Ġ a", "a b", "Ġ n", "1 2", "' s", "Ã ©"]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *byte_characters()]
    tokens += [merge.replace(" ", "") for merge in merges]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    own = keras_hub.models.BartTokenizer(vocabulary=vocabulary, merges=merges)
    specification = [tf.TensorSpec([None], tf.string)]
    return KerasHubTokenizer(own), tf.function(own.tokenize, input_signature=specification)


def test_a_model_without_a_preprocessor_needs_its_ids():
    with pytest.raises(ValueError, match="needs `start_id` and `end_id`"):
        Seq2SeqLMGeneration(bart(), max_length=8)


def test_a_length_that_the_positions_do_not_hold_is_refused():
    with pytest.raises(ValueError, match=r"in \[1, 24\].*Received: max_length=25"):
        Seq2SeqLMGeneration(bart(), max_length=25, start_id=2, end_id=2)
    with pytest.raises(ValueError, match="any number.*Received: max_length=0"):
        Seq2SeqLMGeneration(t5(), max_length=0, start_id=0, end_id=1)
