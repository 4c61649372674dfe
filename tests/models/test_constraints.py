"""What a user may ask of generation, on models that read strings."""

import json
import math

import keras
import numpy as np
import pytest

from keras_seq2seq.data import TextPreprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Ensemble, lstm, lstm_attention
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer

SEARCHES = [{}, {"num_beams": 3}, {"num_beams": 4, "num_beam_groups": 2}, {"sample": True}]
IDS = ["greedy", "beam", "diverse", "sample"]


@pytest.fixture(scope="module")
def no_attention(preprocessor):
    keras.utils.set_random_seed(1)
    return lstm(preprocessor, embedding_dim=4, hidden_dim=6)


@pytest.fixture(scope="module")
def copying_model():
    """Half of the target words are unknown, so that they come out often."""
    words = [f"w{index}" for index in range(8)]
    preprocessor = TextPreprocessor.from_pairs(
        [" ".join(words)], ["A B C"], SymbolTokenizer, SymbolTokenizer, max_target_length=6
    )
    keras.utils.set_random_seed(2)
    model = lstm_attention(preprocessor, embedding_dim=8, hidden_dim=8)
    for weight in model.weights:
        weight.assign(weight * 3)
    return model


@pytest.mark.parametrize("search", SEARCHES, ids=IDS)
@pytest.mark.parametrize("name", ["text_model", "transformer_model"])
def test_alignments_and_log_probs_are_those_of_teacher_forcing(request, pairs, name, search):
    model = request.getfixturevalue(name)
    sources = pairs.sources[:12]
    result = model.search(sources, alignments=True, **search)
    texts = [row[0] for row in model.texts(result)]
    forced, aligned = model.token_log_probs(sources, texts), model.align(sources, texts)
    for row, source in enumerate(sources):
        tokens = int(result.lengths[row, 0]) + 1
        alignment = result.alignments[row, 0]
        np.testing.assert_allclose(
            alignment[:tokens, : len(source) + 1],
            aligned[row, :tokens, : len(source) + 1],
            atol=1e-4,
        )
        assert not alignment[tokens:].any() and not alignment[:, len(source) + 1 :].any()
        np.testing.assert_allclose(
            result.token_log_probs[row, 0, :tokens], forced[row][:tokens], atol=1e-4
        )
        assert result.log_probs[row, 0] == pytest.approx(forced[row].sum(), abs=1e-4)


def test_an_ensemble_aligns_and_penalizes_coverage_like_its_model(text_model, pairs):
    settings = GenerationSettings(
        num_beams=3, num_hypotheses=3, coverage_penalty=0.4, alignments=True
    )
    ensemble = Ensemble([text_model, text_model])
    expected = text_model.search(pairs.sources[:8], settings)
    received = ensemble.search(pairs.sources[:8], settings)
    np.testing.assert_allclose(received.alignments, expected.alignments, atol=1e-4)
    np.testing.assert_allclose(received.scores, expected.scores, atol=1e-4)
    np.testing.assert_allclose(
        ensemble.align(["cab"], ["CC AA"]), text_model.align(["cab"], ["CC AA"]), atol=1e-5
    )


@pytest.mark.parametrize("name", ["text_model", "transformer_model"])
def test_the_coverage_penalty_is_that_of_the_alignments(request, pairs, name):
    model = request.getfixturevalue(name)
    beta, sources = 0.7, pairs.sources[:10]
    settings = GenerationSettings(
        num_beams=3, num_hypotheses=3, coverage_penalty=beta, length_penalty=0.5
    )
    result = model.search(sources, settings)
    for row, source in enumerate(sources):
        for rank in range(3):
            attention = result.alignments[row, rank, :, : len(source) + 1].sum(0)
            coverage = np.log(np.clip(attention, 1e-6, 1)).sum()
            length = np.count_nonzero(result.token_ids[row, rank])
            ranked = result.log_probs[row, rank] / math.sqrt(length)
            assert result.scores[row, rank] == pytest.approx(ranked + beta * coverage, abs=1e-3)


@pytest.mark.parametrize("search", SEARCHES, ids=IDS)
def test_a_batch_gives_what_its_sources_give_alone(text_model, pairs, search):
    if search.get("sample"):
        pytest.skip("the noise of a sample depends on its row")
    settings = GenerationSettings(max_length_ratio=1.5, **search)
    sources = pairs.sources[:10]
    prefixes = ["", "AA", "BB CC"] * 3 + ["FF"]
    prefixes = [p if len(s) > 1 else "" for p, s in zip(prefixes, sources, strict=True)]
    together = text_model.search(sources, settings, prefixes=prefixes, batch_size=4)
    for row, (source, prefix) in enumerate(zip(sources, prefixes, strict=True)):
        alone = text_model.search([source], settings, prefixes=prefix)
        np.testing.assert_array_equal(alone.token_ids[0], together.token_ids[row])
        np.testing.assert_allclose(alone.scores[0], together.scores[row], atol=1e-4)
        assert text_model.texts(alone)[0][0].startswith(prefix)


def test_lengths_follow_the_source(text_model, pairs):
    sources = pairs.sources[:40]
    result = text_model.search(
        sources, num_beams=3, min_length_ratio=0.5, max_length_ratio=1.2, repetition_penalty=1.2
    )
    for source, length in zip(sources, result.lengths[:, 0], strict=True):
        most = max(1, math.floor(1.2 * len(source) + 1e-4))
        assert math.ceil(0.5 * len(source) - 1e-4) <= length <= most


@pytest.mark.parametrize("search", SEARCHES, ids=IDS)
def test_only_allowed_targets_come_out(text_model, pairs, search):
    allowed = ["AA", "AA BB", "FF EE DD", "CC CC CC CC"]
    texts = text_model.generate(pairs.sources[:20], allowed=allowed, **search)
    assert set(texts) <= set(allowed)


def test_the_best_allowed_target_is_that_of_the_highest_score(text_model, pairs):
    allowed = ["AA", "AA BB", "FF EE DD", "CC CC CC CC", "BB"]
    sources = pairs.sources[:10]
    texts = text_model.generate(sources, allowed=allowed, num_beams=5, patience=math.inf)
    for source, text in zip(sources, texts, strict=True):
        assert text == allowed[np.argmax(text_model.score([source] * 5, allowed))]


def test_suppressed_words_never_come_out_and_favoured_ones_do(text_model, pairs):
    sources = pairs.sources[:20]
    plain = " ".join(text_model.generate(sources))
    assert "AA" in plain
    assert "AA" not in " ".join(text_model.generate(sources, suppress=["AA"]))
    number = text_model.preprocessor.target_tokenizer.token_to_id("AA")
    assert text_model.generate(sources, suppress_ids=[number]) == text_model.generate(
        sources, suppress=["AA"]
    )
    favoured = text_model.generate(sources, bias={"AA": 50.0}, max_length=3)
    assert set(favoured) == {"AA AA AA"}
    assert favoured == text_model.generate(sources, bias_ids={number: 50.0}, max_length=3)


@pytest.mark.parametrize("search", [{}, {"num_beams": 3, "num_hypotheses": 2}])
def test_unknown_tokens_are_replaced_by_the_source_token_attended_most(copying_model, search):
    sources = ["w3 w1 w7", "w2", "w5 w6"]
    result = copying_model.search(sources, replace_unknown=True, bias={"[UNK]": 3}, **search)
    plain = copying_model.texts(result)
    assert "[UNK]" in str(plain)
    for row, texts in enumerate(copying_model.texts(result, sources)):
        words = sources[row].split()
        for rank, text in enumerate(texts):
            expected = [
                words[np.argmax(result.alignments[row, rank, time, : len(words)])]
                if token == "[UNK]"
                else token
                for time, token in enumerate(plain[row][rank].split())
            ]
            assert text.split() == expected
    best = [row[0] for row in copying_model.texts(result, sources)]
    settings = GenerationSettings(replace_unknown=True, bias={"[UNK]": 3}, **search)
    assert copying_model.generate(sources, settings) == best
    assert list(copying_model.stream(sources[0], settings))[-1] == best[0]


def test_one_trace_serves_every_batch_with_prefixes_and_alignments(text_model):
    settings = GenerationSettings(num_beams=2, alignments=True, max_length_ratio=2.0)
    text_model.generate(["a", "abc"], settings, prefixes="AA")
    function = text_model._decode_functions(settings, True, False)
    text_model.generate(["abcdef"] * 5, settings, prefixes=["AA BB"] * 5)
    assert function.experimental_get_tracing_count() == 1


def test_a_search_tree_ends_in_what_is_generated(text_model):
    tree = text_model.search_tree("cab", num_beams=3, prefix="AA")
    best = next(index for index, node in enumerate(tree.nodes) if node.rank == 0)
    ids = [tree.nodes[index].token_id for index in tree.path(best)]
    text = text_model.preprocessor.target_tokenizer.detokenize([ids]).numpy()[0].decode()
    assert text == text_model.generate("cab", num_beams=3, prefixes="AA")


def test_scoring_does_not_depend_on_the_batch(text_model, pairs):
    sources, targets = pairs.sources[:9], pairs.targets[:9]
    together = text_model.token_log_probs(sources, targets, batch_size=4)
    for source, target, parts in zip(sources, targets, together, strict=True):
        (alone,) = text_model.token_log_probs([source], [target])
        np.testing.assert_allclose(parts, alone, atol=1e-5)
        assert len(parts) == len(target.split()) + 1
    np.testing.assert_allclose(
        text_model.score(sources, targets), [p.sum() for p in together], atol=1e-5
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_beams": 4, "num_beam_groups": 3}, "must divide the beam size.*groups 3, beam"),
        ({"coverage_penalty": 0.2}, "does not apply to --beam-size 1"),
        ({"coverage_penalty": -1.0, "num_beams": 2}, "--coverage-penalty must be at least 0"),
        ({"ctc_weight": 1.5}, r"--ctc-weight must be in \[0, 1\]"),
        ({"ctc_weight": 0.5}, "--ctc-weight needs a model with a CTC head"),
        ({"diversity_penalty": -1.0}, "--diversity-penalty must be at least 0"),
        ({"max_length_ratio": 0.0}, "--max-length-ratio must be above 0"),
        ({"min_length_ratio": 2.0, "max_length_ratio": 1.0}, "least length must not exceed"),
        ({"min_length_ratio": 5.0}, "has 3 tokens, so its target would need at least 15"),
        ({"suppress": "AA"}, "--suppress takes a list, each item text. Received: 'AA'"),
        ({"suppress": ["XX"]}, "'XX' is no token of the target vocabulary"),
        ({"suppress_ids": [99]}, "token id must be from 0 to 9, the target vocabulary.*99"),
        ({"bias": {"XX": 1.0}}, "'XX' is no token"),
        (
            {"bias": {"AA": 1.0}, "bias_ids": {4: 2.0, 5: 1.0, 6: 1, 7: 1, 8: 1, 9: 1}},
            "two bia",
        ),
        ({"bias": {"AA": float("inf")}}, "must be a finite number"),
        ({"allowed": ["AA XX"]}, "allowed target 'AA XX' has the token 'XX'"),
        ({"allowed": ["AA BB"], "max_length": 1}, "has 2 tokens; this generates at most 1"),
        ({"prefixes": "AA XX"}, "prefix 'AA XX' has the token 'XX'"),
        ({"prefixes": "AA BB", "max_length": 1}, "prefix 'AA BB' has 2 tokens.*at most 1"),
        ({"prefixes": "AA " * 4, "max_length_ratio": 1.0}, "has 4 tokens.*at most 3"),
        ({"prefixes": ["AA"] * 2}, "2 prefixes, 1 sources"),
        ({"prefixes": "BB", "allowed": ["AA"]}, "'BB' begins no allowed target"),
    ],
)
def test_bad_settings_are_refused(text_model, arguments, message):
    with pytest.raises(InputError, match=message):
        text_model.search(["cab"], **arguments)


@pytest.mark.parametrize(
    "settings", [{"coverage_penalty": 0.2, "num_beams": 2}, {"alignments": True}]
)
def test_what_needs_attention_is_refused_without(no_attention, settings):
    option = "--" + next(iter(settings)).replace("_", "-")
    with pytest.raises(InputError, match=f"{option} needs attention, and this model has none"):
        no_attention.generate("cab", **settings)


def test_a_model_without_attention_follows_ratios_and_prefixes(no_attention):
    text = no_attention.generate("cab", prefixes="AA", max_length_ratio=1.0, num_beams=2)
    assert text.startswith("AA") and len(text.split()) <= 3


def test_lengths_that_contradict_each_other_leave_no_hypothesis(text_model):
    """In a graph, where nothing can be refused; `search` refuses before."""
    inputs = text_model.preprocessor.encoder_inputs(["cab"])
    for num_beams in (1, 2):
        settings = GenerationSettings(num_beams, max_length=5, min_length_ratio=3.0)
        assert (text_model.generate_ids(inputs, settings).log_probs.numpy() < -5e8).all()


def test_as_many_targets_as_sources_are_scored(text_model):
    with pytest.raises(InputError, match="2 sources, 1 targets"):
        text_model.score(["a", "b"], ["AA"])


def test_settings_survive_json():
    settings = GenerationSettings(
        suppress=["a"], bias={"b": 1.5}, bias_ids={3: -1.0}, allowed=["a b"], num_beams=2
    )
    assert GenerationSettings(**json.loads(json.dumps(settings.to_dict()))) == settings
    assert hash(settings) == hash(GenerationSettings(**settings.to_dict()))


def test_characters_are_copied_too():
    preprocessor = TextPreprocessor.from_pairs(
        ["abc"], ["AB"], CharacterTokenizer, CharacterTokenizer, max_target_length=4
    )
    keras.utils.set_random_seed(0)
    model = lstm_attention(preprocessor, embedding_dim=4, hidden_dim=4)
    text = model.generate("xyz", replace_unknown=True, bias={"[UNK]": 50.0})
    assert len(text) == 4 and set(text) <= set("xyz")
