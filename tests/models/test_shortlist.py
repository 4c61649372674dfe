"""A search among listed tokens: that of the whole vocabulary with the others masked."""

import dataclasses
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.data import Pairs, TextPreprocessor
from keras_seq2seq.data.shortlist import Shortlist, fingerprint, learn_shortlist
from keras_seq2seq.decoding import shortlist as listing
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import LuongAttention
from keras_seq2seq.models import (
    Ensemble,
    PointerGenerator,
    RecurrentDecoder,
    RecurrentEncoder,
    Seq2Seq,
    TokenEmbedding,
    TransformerDecoder,
    TransformerEncoder,
)
from keras_seq2seq.models.generation import TextGeneration
from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer

LETTERS = "abcdefghijklmnopqrst"
SOURCES = ["cab", "hello", "a", "stop", "kind"]


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list(LETTERS), rng.integers(1, 7))) for _ in range(300)]
    words += list(LETTERS)
    return Pairs(words, [" ".join(letter.upper() for letter in word) for word in words])


@pytest.fixture(scope="module")
def preprocessor(pairs):
    return TextPreprocessor.from_pairs(
        pairs.sources, pairs.targets, CharacterTokenizer, SymbolTokenizer, max_target_length=8
    )


def build(preprocessor, kind):
    keras.utils.set_random_seed(5)
    sizes = [one.vocabulary_size() for one in preprocessor.tokenizers.values()]
    source, target = (TokenEmbedding(size, 16) for size in sizes)
    tied = kind.endswith("tied")
    if kind.startswith("transformer"):
        encoder = TransformerEncoder(source, 24, num_heads=2, num_layers=1)
        decoder = TransformerDecoder(
            target, 24, 2, 1, max_length=9, tie_output=tied, output_bias=tied
        )
    else:
        attention = LuongAttention(16)
        encoder = RecurrentEncoder(source, 16)
        decoder = RecurrentDecoder(target, 16, attention=attention, tie_output=tied)
    model = Seq2Seq(encoder, decoder, preprocessor)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.8)
    return model


@pytest.fixture(scope="module")
def models(preprocessor):
    kinds = ("transformer", "transformer_tied", "recurrent", "recurrent_tied")
    return {kind: build(preprocessor, kind) for kind in kinds}


@pytest.fixture(autouse=True)
def tight(monkeypatch):
    """Lists of these small vocabularies are not rounded up to all of it."""
    monkeypatch.setattr(listing, "ROUNDING", 2)


def made(preprocessor, table, common=(0, 1, 2, 3), size=64):
    return Shortlist(
        np.array(table, np.int32),
        np.array(common, np.int32),
        np.full(11, size, np.int32),
        fingerprint(preprocessor),
    )


@pytest.fixture(scope="module")
def whole(preprocessor, tmp_path_factory):
    """A list of the whole vocabulary."""
    path = tmp_path_factory.mktemp("lists") / "whole"
    sizes = [one.vocabulary_size() for one in preprocessor.tokenizers.values()]
    made(preprocessor, np.zeros((sizes[0], 1)), range(sizes[1]), sizes[1]).write(path)
    return str(path)


@pytest.fixture(scope="module")
def some(preprocessor, tmp_path_factory):
    """Three tokens a source token, at random."""
    path = tmp_path_factory.mktemp("lists") / "some"
    sizes = [one.vocabulary_size() for one in preprocessor.tokenizers.values()]
    table = np.random.default_rng(2).integers(4, sizes[1], (sizes[0], 3))
    made(preprocessor, table).write(path)
    return str(path)


class Masked(TextGeneration):
    """A model whose logits of tokens that a table does not allow are impossible."""

    def __init__(self, model, table, always):
        self.model, self.table, self.always = model, table, always
        self.weights = model.weights
        self.alignment_model = model.alignment_model
        self.decoder = SimpleNamespace(
            vocabulary_size=model.decoder.vocabulary_size, max_length=model.decoder.max_length
        )
        self._preprocessor = model.preprocessor
        self.encoder_spec = model.encoder_spec
        self._begin_caches()

    def encode(self, inputs):
        ids = inputs["encoder_token_ids"]
        size = self.decoder.vocabulary_size
        allowed = tf.reduce_max(tf.one_hot(tf.gather(self.table, ids), size), (1, 2))
        allowed = tf.maximum(allowed, tf.reduce_max(tf.one_hot(self.always, size), 0))
        return {**self.model.encode(inputs), "own": (1 - allowed) * -1e9}

    def step(self, token, state):
        state = dict(state)
        own = state.pop("own")
        logits, changed = self.model.step(token, state)
        return logits + own, changed

    @property
    def position_entries(self):
        return self.model.position_entries


def same(received, expected, atol=1e-4):
    np.testing.assert_array_equal(received.token_ids, expected.token_ids)
    np.testing.assert_array_equal(received.lengths, expected.lengths)
    np.testing.assert_allclose(received.log_probs, expected.log_probs, atol=atol)
    np.testing.assert_allclose(received.token_log_probs, expected.token_log_probs, atol=atol)


SEARCHES = {
    "greedy": {},
    "beam": {"num_beams": 3, "num_hypotheses": 3, "length_penalty": 0.6},
    "diverse": {"num_beams": 4, "num_beam_groups": 2, "num_hypotheses": 2},
    "sample": {"sample": True, "seed": 3, "num_hypotheses": 2, "top_k": 5, "top_p": 0.9},
    "rules": {
        "num_beams": 2,
        "min_length": 2,
        "max_length": 5,
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "suppress": ("C",),
        "bias": (("A", 1.5),),
        "forbid_unknown": True,
    },
    "allowed": {"allowed": ("A B", "C", "D E F", "S T O P"), "num_beams": 2},
}


@pytest.mark.parametrize("search", SEARCHES)
def test_a_list_of_the_whole_vocabulary_changes_nothing(models, whole, search):
    kinds = models if search in ("greedy", "beam") else ["transformer"]
    for kind in kinds:
        expected = models[kind].search(SOURCES, **SEARCHES[search])
        received = models[kind].search(SOURCES, shortlist=whole, **SEARCHES[search])
        same(received, expected)


@pytest.mark.parametrize("search", [name for name in SEARCHES if name != "sample"])
def test_a_list_is_the_search_with_the_other_tokens_masked(models, some, search):
    kinds = models if search in ("greedy", "beam") else ["recurrent"]
    for kind in kinds:
        model = models[kind]
        from keras_seq2seq.settings import GenerationSettings

        settings = GenerationSettings(shortlist=some, **SEARCHES[search])
        values = model.values(settings)
        masked = Masked(model, values["shortlist"], values["always_listed"])
        expected = masked.search(SOURCES, dataclasses.replace(settings, shortlist=None))
        received = model.search(SOURCES, settings)
        same(received, expected)
        free = model.search(SOURCES, dataclasses.replace(settings, shortlist=None))
        assert search == "allowed" or (free.token_ids != expected.token_ids).any()
