import sys

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.errors import InputError
from keras_seq2seq.metrics import TEXT_METRICS, ErrorRates, error_rates, text_scores

TOKENS = st.lists(st.sampled_from(["A", "AE", "B", "ä", ""]), max_size=6)
ROWS = st.lists(st.tuples(TOKENS, st.lists(TOKENS, min_size=1, max_size=3)), min_size=1)


def distance(one, other):
    row = list(range(len(other) + 1))
    for i, token in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, expected in enumerate(other, 1):
            before, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, before + (token != expected)),
            )
    return row[-1]


def test_right_answers_have_no_errors():
    assert error_rates([["K", "AE", "T"], ["A"]], [[["K", "AE", "T"]], [["A"]]]) == ErrorRates(
        token_error_rate=0.0, sequence_error_rate=0.0, sequences=2, reference_tokens=4
    )


@pytest.mark.parametrize(
    ("hypothesis", "rate"),
    [
        (["K", "AE", "B", "S"], 0.0),
        (["K", "AH", "B", "S"], 0.25),
        (["K", "AE", "B"], 0.25),
        (["K", "AE", "B", "S", "S"], 0.25),
        (["AE", "K", "B", "S"], 0.5),
        ([], 1.0),
        (["x"] * 8, 2.0),
    ],
)
def test_insertions_deletions_and_substitutions_count_one_each(hypothesis, rate):
    rates = error_rates([hypothesis], [[["K", "AE", "B", "S"]]])
    assert rates.token_error_rate == rate
    assert rates.sequence_error_rate == float(rate > 0)


def test_tokens_are_compared_whole():
    assert error_rates([["AE"]], [[["AH"]]]).token_error_rate == 1.0


def test_rates_are_over_all_tokens_and_all_sequences():
    rates = error_rates(
        [["a"], ["b", "b"], ["x"], ["d"]], [[["a"]], [["b", "c"]], [["x"] * 3], [["d"]]]
    )
    assert rates == ErrorRates(3 / 7, 2 / 4, 4, 7)


def test_any_of_several_references_is_right():
    references = [[["R", "EH", "D"], ["R", "IY", "D", "Z"]]]
    assert error_rates([["R", "IY", "D", "Z"]], references) == ErrorRates(0.0, 0.0, 1, 4)


def test_the_nearest_reference_is_the_one_with_the_lower_rate():
    references = [[["K", "AE", "B"], ["K", "AE", "T", "S"]]]
    assert error_rates([["K", "AE", "T"]], references) == ErrorRates(1 / 4, 1.0, 1, 4)
    assert error_rates([["K", "AE", "T"]], [references[0][::-1]]) == ErrorRates(
        1 / 4, 1.0, 1, 4
    )


def test_of_equal_rates_the_fewer_errors_count():
    references = [[["a", "x", "a", "x"], ["a", "x"]]]
    assert error_rates([["a", "a"]], references) == ErrorRates(1 / 2, 1.0, 1, 2)


def test_empty_sequences_are_compared_too():
    assert error_rates([[]], [[[]]]) == ErrorRates(0.0, 0.0, 1, 0)
    assert error_rates([["a", "b"]], [[[]]]) == ErrorRates(2.0, 1.0, 1, 0)


@settings(deadline=None)
@given(ROWS)
def test_rates_equal_a_plain_count_of_edits(rows):
    edits = tokens = wrong = 0
    for hypothesis, references in rows:
        edit, length = min(
            ((distance(hypothesis, reference), len(reference)) for reference in references),
            key=lambda pair: (pair[0] / max(1, pair[1]), pair[1]),
        )
        edits, tokens = edits + edit, tokens + length
        wrong += hypothesis not in references
    rates = error_rates([row[0] for row in rows], [row[1] for row in rows])
    assert rates.token_error_rate == pytest.approx(edits / max(1, tokens))
    assert rates.sequence_error_rate == wrong / len(rows)
    assert (rates.sequences, rates.reference_tokens) == (len(rows), tokens)


def test_rates_become_a_plain_dict():
    assert ErrorRates(0.5, 1.0, 1, 2).to_dict() == {
        "token_error_rate": 0.5,
        "sequence_error_rate": 1.0,
        "sequences": 1,
        "reference_tokens": 2,
    }


@pytest.mark.parametrize(
    ("hypotheses", "references", "received"),
    [([], [], "0 hyp.*, 0 ref"), ([["a"]], [], "1 hyp.*, 0 ref"), ([], [[["a"]]], "0 hyp")],
)
def test_different_numbers_are_refused(hypotheses, references, received):
    with pytest.raises(ValueError, match=f"as many references as hypotheses.*{received}"):
        error_rates(hypotheses, references)


def test_a_sequence_without_a_reference_is_refused():
    with pytest.raises(ValueError, match="needs at least one reference"):
        error_rates([["a"], ["b"]], [[["a"]], []])


def test_scores_are_those_of_the_packages_that_define_them():
    hypotheses = ["the cat sat on the mat", "a Dog runs"]
    references = [["the cat is on the mat", "the cat sat on a mat"], ["a dog runs"]]
    streams = [["the cat is on the mat", "a dog runs"], ["the cat sat on a mat", None]]
    bleu = sacrebleu.BLEU()
    found = text_scores("bleu", hypotheses, references)
    assert found.values == {"bleu": bleu.corpus_score(hypotheses, streams).score}
    assert found.signature == str(bleu.get_signature())
    lowered = text_scores("bleu_lowercase", hypotheses, references)
    assert lowered.values["bleu_lowercase"] > found.values["bleu"]
    assert "case:lc" in lowered.signature
    chrf = text_scores("chrf", hypotheses, references)
    assert chrf.values == {"chrf": sacrebleu.CHRF().corpus_score(hypotheses, streams).score}


def test_rouge_is_counted_by_hand():
    found = text_scores("rouge", ["a b c x", "Hello"], [["a b d c", "y"], ["hello"]])
    # Three of four unigrams, one of three bigrams, a b c in order; the second is right.
    expected = {
        "rouge_1": (0.75 + 1) / 2,
        "rouge_2": (1 / 3 + 0) / 2,
        "rouge_l": (0.75 + 1) / 2,
    }
    assert found.values == pytest.approx({name: 100 * v for name, v in expected.items()})


@pytest.mark.parametrize("metric", sorted(set(TEXT_METRICS) - {"wer"}))
def test_the_same_text_scores_all_and_another_nothing(metric):
    right = ["one two three four five six", "seven eight nine ten eleven"]
    scores = text_scores(metric, right, [[text] for text in right]).values.values()
    assert list(scores) == pytest.approx([100] * len(scores))
    wrong = text_scores(metric, ["", ""], [[text] for text in right]).values.values()
    assert set(wrong) == {0}


def test_scores_of_nothing_or_of_an_unknown_metric_are_refused():
    with pytest.raises(
        ValueError, match="one of bleu, bleu_lowercase, chrf, rouge, wer. Received"
    ):
        text_scores("meteor", ["a"], [["a"]])
    for hypotheses, references in (([], []), (["a"], []), (["a"], [[]])):
        with pytest.raises(ValueError, match="as many references as hypotheses"):
            text_scores("bleu", hypotheses, references)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(InputError, match=r"sacrebleu is not installed. .*keras-seq2seq\[metr"):
        text_scores("bleu", ["a"], [["a"]])


def test_the_word_error_rate_counts_words_against_the_nearest_reference():
    # One of three words wrong, and one of two missing: the nearest of two references counts.
    scores = text_scores("wer", ["a b x", "d"], [["a b c", "q r s t"], ["d e"]])
    assert scores.values == {"wer": pytest.approx(100 * 2 / 5)}
    assert scores.signature.startswith("version:jiwer 4")
    assert text_scores("wer", ["a b", ""], [["a b"], ["c d"]]).values == {"wer": 50}
