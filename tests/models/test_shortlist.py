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
from keras_seq2seq.settings import GenerationSettings
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
        weight.assign(weight + rng.normal(size=weight.shape) * 0.3)
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
    """A token for each source token, at random."""
    path = tmp_path_factory.mktemp("lists") / "some"
    sizes = [one.vocabulary_size() for one in preprocessor.tokenizers.values()]
    table = np.random.default_rng(2).integers(4, sizes[1], (sizes[0], 1))
    table[0] = 0
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


def masked_model(model, settings):
    values = model.values(settings)
    return Masked(model, values["shortlist"], values["always_listed"])


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
    kinds = ["recurrent", "transformer_tied"] if search == "greedy" else ["transformer"]
    for kind in kinds:
        expected = models[kind].search(SOURCES, **SEARCHES[search])
        received = models[kind].search(SOURCES, shortlist=whole, **SEARCHES[search])
        same(received, expected)


@pytest.mark.parametrize("search", [name for name in SEARCHES if name != "sample"])
def test_a_list_is_the_search_with_the_other_tokens_masked(models, some, search):
    differs = False
    for kind in models if search == "beam" else ["recurrent"]:
        model = models[kind]
        settings = GenerationSettings(shortlist=some, **SEARCHES[search])
        masked = masked_model(model, settings)
        expected = masked.search(SOURCES, dataclasses.replace(settings, shortlist=None))
        received = model.search(SOURCES, settings)
        same(received, expected)
        free = model.search(SOURCES, dataclasses.replace(settings, shortlist=None))
        differs |= bool((free.token_ids != expected.token_ids).any())
    # What is allowed is in every list.
    assert differs == (search != "allowed")


def test_a_graph_the_loop_in_python_and_xla_give_the_same(models, some):
    model = models["recurrent"]
    settings = GenerationSettings(shortlist=some, num_beams=2, length_penalty=0.5)
    first = model.search(SOURCES, settings)
    # The first search of few sources has no graph; the next one has.
    same(model.search(SOURCES, settings), first)
    same(model.search(SOURCES, settings, jit_compile=True), first)
    (best,) = model.texts(first)[0]
    assert [*model.stream(SOURCES[0], settings)][-1] == best
    assert model.search_tree(SOURCES[0], settings).nodes


def test_a_target_does_not_depend_on_the_sources_beside_it(models, some):
    for model in (models["transformer"], models["recurrent"]):
        together = model.search(SOURCES, shortlist=some, num_beams=3)
        for row, source in enumerate(SOURCES):
            alone = model.search([source], shortlist=some, num_beams=3)
            np.testing.assert_array_equal(alone.token_ids[0], together.token_ids[row])
            np.testing.assert_allclose(alone.log_probs[0], together.log_probs[row], atol=1e-4)


def test_a_prefix_comes_out_though_no_list_has_it(models, some):
    model = models["transformer"]
    settings = GenerationSettings(shortlist=some, num_beams=2)
    listed = set(model.values(settings)["shortlist"].ravel())
    names = model.preprocessor.target_tokenizer.get_vocabulary()
    prefix = next(name for number, name in enumerate(names[4:], 4) if number not in listed)
    found = model.generate(SOURCES, settings, prefixes=f"{prefix} {prefix}")
    assert all(text.startswith(f"{prefix} {prefix}") for text in found)
    assert [*model.stream("cab", settings, prefix=prefix)][-1].startswith(prefix)


def test_an_ensemble_has_the_lists_of_all_its_models(models, some):
    settings = GenerationSettings(shortlist=some, num_beams=2)
    several = [models["transformer_tied"], models["recurrent"]]
    received = Ensemble(several).search(SOURCES, settings)
    plain = dataclasses.replace(settings, shortlist=None)
    expected = Ensemble([masked_model(one, settings) for one in several]).search(SOURCES, plain)
    same(received, expected)


def test_a_score_is_that_of_the_whole_vocabulary(models, some):
    model = models["recurrent"]
    found = model.search(SOURCES, shortlist=some)
    scores = model.score(SOURCES, [row[0] for row in model.texts(found)])
    # Normalized over a list a probability is no smaller.
    assert (found.log_probs[:, 0] >= scores - 1e-4).all()
    assert (found.log_probs[:, 0] > scores + 1e-2).any()


def test_a_list_with_a_size_keeps_what_most_rows_allow():
    table = tf.constant([[9, 9], [5, 6], [6, 7], [6, 0]])
    sources = tf.constant([[1, 3], [2, 0], [2, 0]])
    every = listing.listed_tokens(sources, table, tf.constant([0, 1]), 10)
    assert every.ids.numpy().tolist() == [0, 1, 2, 5, 6, 7]  # 2 rounds it up.
    impossible = (every.own.numpy() < 0).astype(int)
    assert impossible.tolist() == [[0, 0, 1, 0, 0, 1], [0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0]]
    few = listing.listed_tokens(sources, table, tf.constant([0, 1]), 10, size=4)
    assert few.ids.numpy().tolist() == [0, 1, 6, 7]
    assert few.places([[7, 6], [0, 1]], 10).numpy().tolist() == [[3, 2], [0, 1]]


def test_pairs_teach_which_tokens_go_together(preprocessor, pairs, models, tmp_path):
    found, share = learn_shortlist(preprocessor, pairs.sources, pairs.targets, best=1, common=1)
    source, target = (
        {token: number for number, token in enumerate(one.get_vocabulary())}
        for one in preprocessor.tokenizers.values()
    )
    vocabulary = preprocessor.target_tokenizer.get_vocabulary()
    for letter in LETTERS:
        assert found.table[source[letter], 0] == target[letter.upper()]
    assert share == 1.0
    assert {0, 1, 2, 3} <= set(found.common) and len(found.common) <= 5
    # The longest word has six different letters.
    assert found.size_of(1) == found.size_of(1024) == len(target)
    found.write(tmp_path / "learned")
    written = GenerationSettings(shortlist=str(tmp_path / "learned"), min_length=2)
    for word, text in zip(SOURCES, models["recurrent"].generate(SOURCES, written), strict=True):
        common = {vocabulary[one] for one in found.common}
        assert set(text.split()) <= {*word.upper(), *common}


def test_bad_files_are_one_line(models, preprocessor, some, whole, tmp_path):
    model = models["transformer"]

    def refused(path, words):
        with pytest.raises(InputError, match=words) as caught:
            model.generate(SOURCES, shortlist=str(path))
        assert "\n" not in str(caught.value)

    refused(tmp_path, "a folder")
    refused(tmp_path / "none", "no such file")
    content = open(some, "rb").read()
    for name, cut in (("half", content[: len(content) // 2]), ("text", b"a\tb\n"), ("", b"")):
        path = tmp_path / f"cut{name}"
        path.write_bytes(cut)
        refused(path, "cannot be read as a shortlist")
    with open(tmp_path / "format", "wb") as file:
        np.savez(file, format="of another kind")
    refused(tmp_path / "format", "another format")
    table = np.zeros((preprocessor.source_tokenizer.vocabulary_size(), 1))
    for wrong in (table + 99, table - 1, table[1:]):
        made(preprocessor, wrong).write(tmp_path / "ids")
        refused(tmp_path / "ids", "ids that are not of this model's vocabularies")
    dataclasses.replace(made(preprocessor, table), fingerprint="0").write(tmp_path / "other")
    refused(tmp_path / "other", "other vocabularies")
    np.savez(tmp_path / "packed.npz", format=np.zeros(9))
    np.savez_compressed(tmp_path / "packed.npz", format=np.zeros(100_000))
    refused(tmp_path / "packed.npz", "unpacks to more than it is")


def test_what_cannot_have_a_list_is_refused(models, preprocessor, whole):
    size = preprocessor.target_tokenizer.vocabulary_size()
    shared = TokenEmbedding(size, 16)
    joint = TextPreprocessor(*[preprocessor.target_tokenizer] * 2, 8, 8)
    copies = PointerGenerator(RecurrentDecoder(shared, 16, attention=LuongAttention(16)))
    model = Seq2Seq(RecurrentEncoder(shared, 16), copies, joint)
    with pytest.raises(InputError, match="copies source tokens"):
        model.generate("A", shortlist=whole)
    with pytest.raises(InputError, match="needs a model with a CTC head"):
        models["recurrent"].generate("a", shortlist=whole, ctc_weight=0.5)
