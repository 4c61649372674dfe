"""Strings in, strings out."""

from collections import Counter

import numpy as np
import pytest

from keras_seq2seq.decoding import BeamSearch
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import load_model
from keras_seq2seq.settings import GenerationSettings


def test_a_string_gives_a_string_and_a_list_a_list(text_model):
    single = text_model.generate("cab")
    assert isinstance(single, str)
    assert text_model.generate(["cab"]) == [single]
    assert text_model.generate([]) == []


@pytest.mark.parametrize("num_beams", [1, 3])
def test_order_and_batch_size_do_not_matter(text_model, pairs, num_beams):
    sources = pairs.sources[:40]
    expected = [text_model.generate(source, num_beams=num_beams) for source in sources]
    assert text_model.generate(sources, num_beams=num_beams) == expected
    assert text_model.generate(sources, num_beams=num_beams, batch_size=7) == expected


def test_a_beam_of_one_is_greedy(text_model, pairs):
    inputs = text_model.preprocessor.encoder_inputs(pairs.sources[:20])
    beam = text_model.decode(inputs, BeamSearch(1, text_model.end_id), text_model.max_length)
    greedy = text_model.search(pairs.sources[:20])
    np.testing.assert_array_equal(greedy.token_ids, beam.token_ids)
    np.testing.assert_allclose(greedy.log_probs, beam.log_probs, atol=1e-4)


def test_hypotheses_come_the_best_first(text_model, pairs):
    result = text_model.search(pairs.sources[:20], num_beams=4, num_hypotheses=4)
    assert result.token_ids.shape == (20, 4, text_model.max_length)
    assert np.all(np.diff(result.scores, axis=1) <= 0)


def test_the_score_of_a_generated_target_is_its_log_prob(text_model, pairs):
    sources = pairs.sources[:20]
    hypotheses = text_model.search(sources, num_beams=3, num_hypotheses=2)
    for rank in range(2):
        texts = [row[rank] for row in text_model.texts(hypotheses)]
        scores = text_model.score(sources, texts)
        np.testing.assert_allclose(scores, hypotheses.log_probs[:, rank], atol=1e-4)


def test_a_loaded_model_generates_the_same(text_model, pairs, tmp_path):
    text_model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    expected = text_model.search(pairs.sources[:30], num_beams=2, num_hypotheses=2)
    received = loaded.search(pairs.sources[:30], num_beams=2, num_hypotheses=2)
    np.testing.assert_array_equal(received.token_ids, expected.token_ids)
    np.testing.assert_array_equal(received.scores, expected.scores)


def test_alignment_has_a_row_a_target_token_and_sums_to_one(text_model):
    weights = text_model.align(["cab"], ["CC AA BB"])
    assert weights.shape == (1, 4, 4)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_one_trace_serves_every_batch(text_model):
    text_model.generate(["a", "abc"], num_beams=2)
    function = text_model._decode_functions(GenerationSettings(num_beams=2), False, False)
    text_model.generate(["abcdef"] * 5, num_beams=2)
    assert function.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    "sources, settings, message",
    [
        (["a", ""], {}, "Source 2 of 2 is empty"),
        (["a" * 50], {}, "has 50 tokens; this model takes at most 7: 'aaaa"),
        (["a"], {"num_beams": 0}, "--beam-size must be at least 1. Received: 0"),
        (["a"], {"num_beams": 2, "num_hypotheses": 3}, "n-best must be at most the beam size"),
        (
            ["a"],
            {"num_beams": 2, "length_penalty": -1.0},
            "length penalty must be at least 0.*Received: -1.0",
        ),
        (["a"], {"num_beams": 30}, "the target vocabulary has only 10 tokens"),
        (["a"], {"min_length": 13}, "--min-length is 13, this model generates at most 12"),
        (["a"], {"length_penalty": float("nan")}, "--length-penalty must be.*Received: nan"),
    ],
)
def test_bad_input_is_refused(text_model, sources, settings, message):
    with pytest.raises(InputError, match=message):
        text_model.search(sources, **settings)


def test_unknown_characters_are_counted(preprocessor):
    assert preprocessor.count_unknown(["caz", "zzy"]) == {"z": 3, "y": 1}


def test_lengths_stay_within_their_limits(text_model, pairs):
    result = text_model.search(pairs.sources[:20], min_length=3, max_length=5)
    assert result.token_ids.shape[2] == 6
    assert result.lengths.min() >= 3 and result.lengths.max() == 5
    # Every target ends, at the latest where it must.
    assert ((result.token_ids == text_model.end_id).sum(-1) == 1).all()
    longer = text_model.search(pairs.sources[:20], max_length=30)
    assert longer.token_ids.shape[2] == 31


def test_no_bigram_occurs_twice(text_model, pairs):
    def most_bigrams(texts):
        return max(
            max(Counter(zip(text.split(), text.split()[1:], strict=False)).values(), default=0)
            for text in texts
        )

    sources = pairs.sources[:30]
    assert most_bigrams(text_model.generate(sources, max_length=30)) > 1
    for num_beams in (1, 3):
        texts = text_model.generate(
            sources, max_length=30, num_beams=num_beams, no_repeat_ngram_size=2
        )
        assert most_bigrams(texts) == 1


def test_samples_are_the_same_for_the_same_seed_alone(text_model, pairs):
    def samples(seed):
        return text_model.search(
            pairs.sources[:10], sample=True, num_hypotheses=4, seed=seed
        ).token_ids

    np.testing.assert_array_equal(samples(1), samples(1))
    assert (samples(1) != samples(2)).any()
    assert (samples(1)[:, 0] != samples(1)[:, 1]).any()


def test_sampling_among_one_token_or_without_heat_is_greedy(text_model, pairs):
    greedy = text_model.generate(pairs.sources[:20])
    for settings in ({"top_k": 1}, {"temperature": 1e-4}, {"top_p": 1e-6}, {"min_p": 0.9999}):
        assert text_model.generate(pairs.sources[:20], sample=True, **settings) == greedy


def test_the_log_prob_of_a_sample_is_that_of_the_model(text_model, pairs):
    sources = pairs.sources[:20]
    result = text_model.search(sources, sample=True, temperature=0.8, top_p=0.9)
    scores = text_model.score(sources, [row[0] for row in text_model.texts(result)])
    np.testing.assert_allclose(scores, result.log_probs[:, 0], atol=1e-4)


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}, {"sample": True, "seed": 5}])
def test_a_stream_grows_and_ends_with_the_target(text_model, settings):
    texts = list(text_model.stream("cab", **settings))
    assert texts[-1] == text_model.generate("cab", **settings)
    assert texts[0] in ("", texts[0].split()[0] if texts[0] else "")
    if "num_beams" not in settings:
        for shorter, longer in zip(texts, texts[1:], strict=False):
            assert longer.startswith(shorter)


def test_a_stream_refuses_bad_input_before_the_first_token(text_model):
    with pytest.raises(InputError, match="is empty"):
        text_model.stream("")
