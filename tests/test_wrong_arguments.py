"""Wrong values from Python: the right answer, or one line that says what is wanted."""

import itertools
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from export.trained import warn_if_untrained
from keras_seq2seq.data import (
    FramePreprocessor,
    Pairs,
    TextPreprocessor,
    read_corpora,
    read_dataset,
    read_pairs,
    split_by_source,
    training_data,
    validation_data,
)
from keras_seq2seq.decoding import (
    GreedySearch,
    MinP,
    NoRepeatNGram,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
)
from keras_seq2seq.errors import InputError, check_counts
from keras_seq2seq.metrics import error_rates, sentence_bleu, text_scores
from keras_seq2seq.models import Ensemble, RecurrentEncoder, TokenEmbedding, lstm_attention
from keras_seq2seq.schedules import LinearWarmup, noam
from keras_seq2seq.serving import Client
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.testing import check_attention, check_decoder, check_encoder, check_model
from keras_seq2seq.tokenizers import (
    CharacterTokenizer,
    SentencePieceTokenizer,
    SymbolTokenizer,
    WordPieceTokenizer,
)

URL = "http://127.0.0.1:9/v1/models/m"
NAN = float("nan")


def refused(message, call):
    with pytest.raises(InputError) as error:
        call()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_numbers_that_count_are_whole():
    check_counts(a=1, b=np.int64(7))
    check_counts(0, a=0)
    for value in (1.0, "1", None, True, np.array(1), NAN):
        refused(
            "`size` must be a whole number. Received: ", lambda v=value: check_counts(size=v)
        )
    refused("`size` must be at least 2. Received: size=1.", lambda: check_counts(2, size=1))


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("`batch_size` must be a whole", lambda m: m.generate(["cab"], batch_size=1.5)),
        ("`batch_size` must be a whole", lambda m: m.search(["cab"], batch_size=None)),
        ("`batch_size` must be at least 1", lambda m: m.score(["cab"], ["AA"], batch_size=0)),
        ("`sources` must be a list", lambda m: m.generate(np.array([["cab", "fee"]]))),
        ("`window` must be a whole", lambda m: m.answers(["cab"], window="3")),
        ("`jit_compile` must be a bool", lambda m: m.generate("cab", jit_compile="no")),
        (
            "`GenerationSettings(num_beams=4, ...)`",
            lambda m: m.generate("cab", {"num_beams": 2}),
        ),
        ("Settings must be", lambda m: m.stream("cab", GenerationSettings)),
        ("Settings must be", lambda m: m.check_settings({"num_beams": 2})),
        (
            "`max_length` must be at least 1",
            lambda m: m.decode({}, GreedySearch(3), max_length=0),
        ),
        ("`training_data(preprocessor, sources", lambda m: m.fit(["cab"], ["AA"])),
        ("Received: list", lambda m: m.fit([("cab", "AA")])),
        ("Received: NoneType", lambda m: m.evaluate(None)),
        ("`model` must be a Seq2Seq", lambda m: check_model(None)),
        ("`encoder` must be an Encoder", lambda m: check_encoder(keras.layers.LSTM(3))),
        ("`decoder` must be a Decoder", lambda m: check_decoder(None)),
        ("`attention` must be a MemoryAttention", lambda m: check_attention(3)),
        ("a list of Seq2Seq models", lambda m: Ensemble(m)),
        ("a list of Seq2Seq models", lambda m: Ensemble([m, None])),
        ("`model` must be a Seq2Seq", lambda m: warn_if_untrained(None)),
        ("`hidden_dim` must be a whole", lambda m: RecurrentEncoder(m.encoder.embedding, 4.0)),
        ("`vocabulary_size` must be a whole", lambda m: TokenEmbedding(9.5, 4)),
    ],
)
def test_of_a_model(text_model, message, call):
    refused(message, lambda: call(text_model))


def test_batches_without_labels_teach_nothing(preprocessor, pairs):
    model = lstm_attention(preprocessor, hidden_dim=2, embedding_dim=2)
    model.compile("adam", jit_compile=False)
    data = training_data(preprocessor, pairs.sources[:8], pairs.targets[:8])
    refused("Received: TrainingData", lambda: model.fit(data))
    inputs = data.dataset.map(lambda inputs, labels, weights: inputs)
    refused("no labels to learn", lambda: model.fit(inputs, steps_per_epoch=1, verbose=0))


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("`batch_size` must be at least 1", {"batch_size": 0}),
        ("`batch_size` must be a whole", {"batch_size": 2.5}),
        ("`num_buckets` must be at least 1", {"num_buckets": 0}),
        ("`seed` must be a whole", {"seed": "x"}),
        ("must be below 2 ** 63", {"seed": 2**70}),
        (
            "`weights` must be finite and at least 0. Received: nan for pair 2.",
            {"weights": [1, NAN]},
        ),
        (
            "`weights` must be finite and at least 0. Received: -1 for pair 1.",
            {"weights": [-1, 1]},
        ),
        ("`weights` must have the shape (2,)", {"weights": [1.0]}),
        ("`weights` must be numbers", {"weights": ["a", "b"]}),
        ("`repeats` must have the shape (2,)", {"repeats": np.ones((2, 1))}),
        ("`preprocessor` must be a Preprocessor", {"preprocessor": None}),
        ("The sources must be a list. Received: NoneType", {"sources": None}),
        ("The sources must be a list. Received: str", {"sources": "ca"}),
        ("The targets must be a list. Received: generator", {"targets": (x for x in "ab")}),
        ("There is no pair to train on", {"sources": [], "targets": []}),
    ],
)
def test_of_training_data(preprocessor, message, changes):
    given = {"preprocessor": preprocessor, "sources": ["a", "b"], "targets": ["AA", "BB"]}
    refused(message, lambda: training_data(**{**given, **changes}))


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("There is no pair to validate on", lambda p: validation_data(p, [], [])),
        ("The sources must be a list", lambda p: Pairs("ab", "cd")),
        (
            "`validation_sources` must be at least 0",
            lambda p: split_by_source(Pairs(["a", "b"], ["A", "B"]), validation_sources=-1),
        ),
        (
            "`validation_sources` must be a whole",
            lambda p: split_by_source(Pairs(["a", "b"], ["A", "B"]), validation_sources=0.1),
        ),
        ("A path must be a string or a Path. Received: int 0", lambda p: read_pairs(0)),
        ("A path must be a string or a Path. Received: NoneType", lambda p: read_pairs(None)),
        ("`given` must be a list", lambda p: read_corpora("pairs.tsv")),
        ("Corpora must be a list of files", lambda p: read_corpora([])),
        (
            "`max_target_length` must be at least 1",
            lambda p: TextPreprocessor.from_pairs(
                ["a"], ["A"], CharacterTokenizer, SymbolTokenizer, max_target_length=0
            ),
        ),
        (
            "`max_source_length` must be a whole",
            lambda p: TextPreprocessor(p.source_tokenizer, p.target_tokenizer, 3.5, 2),
        ),
        ("`lines` must be a list", lambda p: CharacterTokenizer.from_lines("abc")),
        (
            "`source_tokenizer` must be a TableTokenizer",
            lambda p: TextPreprocessor(None, p.target_tokenizer, 3, 3),
        ),
        ("A key of the examples is a string", lambda p: read_dataset([("a", "b")], 0, 1)),
        ("must be a dictionary", lambda p: read_dataset([("a", "b")], "a", "b")),
        ("A dataset gives examples", lambda p: read_dataset(None, "a", "b")),
        ("`lines` must be a list", lambda p: WordPieceTokenizer.from_lines(None)),
        (
            "A line must be a string. Received: 2",
            lambda p: SymbolTokenizer.from_lines(["a", 2]),
        ),
        (
            "A line must be a string. Received: '\\ud83d'",
            lambda p: SentencePieceTokenizer.from_lines(["\ud83d"]),
        ),
        (
            "`algorithm` must be unigram or bpe",
            lambda p: SentencePieceTokenizer.from_lines(["ab"], algorithm="foo"),
        ),
        ("`k` must be at least 1", lambda p: TopK(0)),
        ("`p` must be above 0 and at most 1", lambda p: TopP(2.0)),
        ("`min_p` must be above 0", lambda p: MinP(NAN)),
        ("`temperature` must be above 0", lambda p: Temperature(0.0)),
        ("`size` must be at least 1", lambda p: NoRepeatNGram(0)),
        ("`penalty` must be above 0", lambda p: RepetitionPenalty(NAN)),
        ("`hidden_dim` must be at least 1", lambda p: noam(0, 10)),
        ("A text must be a string", lambda p: text_scores("chrf", [None], [["a"]])),
    ],
)
def test_of_data_and_parts(preprocessor, message, call):
    refused(message, lambda: call(preprocessor))
    refused("`warmup_steps` must be a whole number", lambda: LinearWarmup(1e-3, NAN))
    with pytest.raises(InputError, match="`warmup_steps` at least 1. Received: .*0"):
        LinearWarmup(1e-3, 0)


def test_a_text_in_the_place_of_a_list_of_references_is_no_list():
    for call in (
        lambda: text_scores("bleu", ["a b c d"], ["a b c d"]),
        lambda: error_rates(["ab"], ["ab"]),
    ):
        refused("The references of a hypothesis are a list. Received one", call)
    refused("`references` must be a list", lambda: sentence_bleu("a b c d", "a b c d"))
    assert error_rates(["ab"], [["ab"]]).token_error_rate == 0


def test_values_of_another_kind_are_no_frames():
    frames = [np.ones((3, 2), "float32"), np.ones((5, 2), "float32")]
    reader = FramePreprocessor.from_pairs(frames, ["b", "c"], SymbolTokenizer)
    np.testing.assert_array_equal(reader.read(np.ones((3, 4), np.float16)[:, ::2]), frames[0])
    for wrong in (np.ones((3, 2), complex), np.full((3, 2), "1"), np.full((3, 2), None)):
        refused("not numbers. Give float32.", lambda wrong=wrong: reader.read(wrong))


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("A URL must be a string. Received: 8501", lambda: Client(8501)),
        ("A time-out must be a number", lambda: Client(URL, "10")),
        ("`retries` must be a whole number", lambda: Client(URL, retries=1.5)),
        ("Headers are a dictionary", lambda: Client(URL, headers=["a: b"])),
        ("Headers are names with texts", lambda: Client(URL, headers={"a": 1})),
        ("Sources must be a list. Received: NoneType", lambda: Client(URL).generate(None)),
        (
            "max_length must be a whole number. Received: 2.5",
            lambda: Client(URL).generate(["a"], max_length=2.5),
        ),
        (
            "n_best must be a whole number. Received: True",
            lambda: Client(URL).generate(["a"], n_best=True),
        ),
        (
            "temperature must be a number. Received: '1'",
            lambda: Client(URL).stream("a", temperature="1"),
        ),
        (
            "one max_length, or one a source. Received 1 values for 2",
            lambda: Client(URL).generate(["a", "b"], max_length=[3]),
        ),
    ],
)
def test_of_the_client(message, call):
    refused(message, call)


def test_what_looks_odd_and_is_right_has_its_answer(text_model, tmp_path):
    best = text_model.generate("cab")
    several = (
        ("cab",),
        np.array(["cab"]),
        (text for text in ["cab"]),
        itertools.repeat("cab", 1),
    )
    for sources in several:
        assert text_model.generate(sources) == [best]
    assert text_model.generate(np.str_("cab")) == best
    assert text_model.generate([]) == []
    (tmp_path / "pairs.tsv").write_text("cab\tAA\n")
    for path in (str(tmp_path / "pairs.tsv"), Path(tmp_path / "pairs.tsv")):
        assert read_pairs(path) == Pairs(["cab"], ["AA"])
    assert TopK(tf.constant(2)) and Temperature(tf.constant(0.5))
