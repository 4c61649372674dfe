"""Answers source by source, what is said of those that have none, and input that is none."""

import warnings

import numpy as np
import pytest

from keras_seq2seq.errors import InputError
from keras_seq2seq.models import load_model
from keras_seq2seq.models.answers import FIRST_WINDOW


@pytest.fixture(scope="module")
def broken_model(text_model, tmp_path_factory):
    """Weights that have diverged."""
    path = tmp_path_factory.mktemp("broken") / "model.keras"
    text_model.save(path)
    model = load_model(path)
    for weight in model.weights:
        weight.assign(weight * np.nan)
    return model


def test_one_bad_source_costs_the_others_nothing(text_model):
    sources = ["cab", "", "a" * 50, "fee", "\ud83d", None, b"cab", np.str_("bad"), "éa"]
    answers = list(text_model.answers(sources, num_beams=2, num_hypotheses=2))
    good = [0, 3, 7, 8]
    expected = text_model.search([sources[i] for i in good], num_beams=2, num_hypotheses=2)
    texts = text_model.texts(expected)
    for row, index in enumerate(good):
        assert answers[index].error == "" and answers[index].texts == texts[row]
        np.testing.assert_allclose(answers[index].log_probs, expected.log_probs[row], atol=1e-5)
    assert answers[1].error == "the source is empty; remove it or give it text."
    assert "has 50 tokens; this model takes at most 7" in answers[2].error
    assert "half of a surrogate pair" in answers[4].error
    assert "must be a string. Received: NoneType" in answers[5].error
    assert "Received: bytes b'cab'. Decode it first" in answers[6].error
    assert all(not answers[index].texts for index in (1, 2, 4, 5, 6))


def test_windows_and_prefixes_change_nothing_and_little_is_read_ahead(text_model, pairs):
    sources = [source for source in pairs.sources if len(source) > 1][:150]
    prefixes = ["AA", ""] * 75
    expected = text_model.generate(sources, prefixes=prefixes)
    read = []

    def reading():
        for source in sources:
            read.append(source)
            yield source

    answers = text_model.answers(reading(), prefixes=iter(prefixes), window=40, batch_size=9)
    texts = [next(answers).texts[0]]
    assert len(read) == FIRST_WINDOW
    for number, answer in enumerate(answers, 2):
        assert len(read) - number < 40
        texts.append(answer.texts[0])
    assert texts == expected
    with pytest.raises(InputError, match="Received: 3 prefixes, at least 4 sources"):
        list(text_model.answers(sources[:4], prefixes=[""] * 3))


def test_all_bad_sources_are_named_before_any_work(text_model):
    calls = text_model._graphs.cache_info()
    with pytest.raises(InputError, match="Source 2 of 4 is empty.*Others with problems: 3, 4"):
        text_model.generate(["cab", "", "a" * 9, 3], no_repeat_ngram_size=5)
    assert text_model._graphs.cache_info() == calls


def test_rules_that_leave_nothing_are_said(text_model):
    settings = {"allowed": ["AA", "AA BB"], "suppress": ["AA"], "num_beams": 2}
    with pytest.warns(UserWarning, match="Source 1 of 1 has no target: the rules leave no"):
        text_model.generate("cab", **settings)
    (answer,) = text_model.answers(["cab"], **settings)
    assert not answer.texts and "the rules leave no target that ends" in answer.error


@pytest.mark.parametrize("search", [{}, {"num_beams": 3}, {"sample": True}])
def test_a_probability_that_is_no_number_is_said(broken_model, search):
    with pytest.warns(UserWarning, match="Source 1 of 2 has no target.*NaN.*same of 1 more"):
        result = broken_model.search(["cab", "fee"], **search)
    assert np.isnan(result.log_probs).all()
    assert all("NaN" in one.error for one in broken_model.answers(["cab", "fee"], **search))
    with pytest.warns(UserWarning, match="NaN"):
        list(broken_model.stream("cab", **search))


def test_a_score_that_is_no_number_is_said(broken_model, text_model):
    with pytest.warns(UserWarning, match="Pair 1 of 2 has no score.*NaN.*2 in all"):
        assert np.isnan(broken_model.score(["cab", "fee"], ["CC", "FF"])).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        text_model.score(["cab"], ["CC"])
        text_model.generate("cab")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda model: model.generate(None), "`sources` must be a list. Received: NoneType"),
        (lambda model: model.generate(3), "`sources` must be a list. Received: int 3"),
        (lambda model: model.generate([None]), "Source 1 of 1 must be a string.*NoneType"),
        (lambda model: model.generate([3]), "Source 1 of 1 must be a string.*int 3"),
        (lambda model: model.generate(b"cab"), "A source is a string. Received: b'cab'"),
        (lambda model: model.generate([b"cab"]), "bytes b'cab'. Decode it first"),
        (lambda model: model.generate("\ud83d"), "half of a surrogate pair"),
        (lambda model: model.generate([["cab"]]), "must be a string. Received: list"),
        (lambda model: model.search("cab"), "takes a list of sources. Received one: 'cab'"),
        (lambda model: model.answers("cab"), "takes many sources. Received one: 'cab'"),
        (lambda model: model.answers(None), "takes many sources. Received one: None"),
        (lambda model: model.generate("cab", batch_size=0), "`batch_size` must be at least 1"),
        (lambda model: model.generate(["cab"], prefixes=[3]), "Prefix 1 of 1 must be a string"),
        (lambda model: model.generate(["cab"], prefixes=5), "`prefixes` must be a list"),
        (lambda model: model.stream(None), "must be a string. Received: NoneType"),
        (lambda model: model.stream(["cab"]), "must be a string. Received: list"),
        (lambda model: model.stream("cab", prefix=None), "prefix that must be a string"),
        (lambda model: model.search_tree(3), "must be a string. Received: int 3"),
        (lambda model: model.score("cab", ["AA"]), "Received one source: 'cab'"),
        (lambda model: model.score(["a"], "A"), "`targets` must be a list of strings"),
        (lambda model: model.score([3], ["AA"]), "Pair 1 of 1 has a source that must be"),
        (lambda model: model.score(["a"], [None]), "Target 1 of 1 must be a string"),
        (lambda model: model.align(["a"], ["\udfff"]), "half of a surrogate pair"),
        (lambda model: model.generate("a", allowed=[]), "--allowed must hold at least one"),
        (lambda model: model.generate("a", allowed=()), "--allowed must hold at least one"),
        (lambda model: model.generate("a", bias={"AA": 2e9}), "from -10000 to 10000.*2000000"),
    ],
)
def test_what_is_no_input_is_one_line(text_model, call, message):
    with pytest.raises(InputError, match=message) as caught:
        call(text_model)
    assert "\n" not in str(caught.value)


def test_a_target_without_room_is_refused(transformer_model):
    room = transformer_model.decoder.max_length
    with pytest.raises(InputError, match=f"has a target of {room} tokens; the decoder takes"):
        transformer_model.score(["cab"], [" ".join(["AA"] * room)])


def test_lists_of_other_kinds_are_taken(text_model):
    expected = text_model.generate(["cab", "fee"])
    assert text_model.generate(("cab", "fee")) == expected
    assert text_model.generate(np.array(["cab", "fee"])) == expected
    assert text_model.generate(iter(["cab", "fee"])) == expected
    assert text_model.generate(np.str_("cab")) == expected[0]
