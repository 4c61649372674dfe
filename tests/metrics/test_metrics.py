import importlib
import importlib.util
import sys

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.errors import InputError
from keras_seq2seq.metrics import (
    TEXT_METRICS,
    ErrorRates,
    check_metric,
    error_rates,
    metric_warnings,
    never_scores,
    rouge_tokens,
    sentence_bleu,
    text_scores,
)

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


SHORT = ["2024-03-03", "good day", "yes"]
CHINESE = ["今天天气很好", "我们去公园散步吧", "他喜欢机器翻译"]
THAI = ["วันนี้อากาศดีมาก", "เราไปเดินเล่นที่สวนสาธารณะกันเถอะ"]
ENGLISH = ["the cat sat on the mat", "it rained all day and all night"]


@pytest.mark.parametrize("texts", [SHORT, CHINESE, THAI, ENGLISH, ["a"]])
@pytest.mark.parametrize("tokenizer", ["13a", "intl", "zh", "char", "none"])
def test_right_texts_score_all_by_every_tokenizer(texts, tokenizer):
    found = text_scores("bleu", texts, [[text] for text in texts], tokenizer)
    assert found.values == {"bleu": pytest.approx(100)}
    assert f"tok:{tokenizer}" in found.signature
    assert sentence_bleu(texts[0], texts[:1], tokenizer) == pytest.approx(100)


def test_the_order_is_effective_only_where_no_reference_has_four_tokens():
    assert "eff:yes" in text_scores("bleu", ["a b"], [["a b c"]]).signature
    found = text_scores("bleu", ["a b c d", "e"], [["a b c d"], ["e"]])
    assert "eff:no" in found.signature
    # What is generated does not change how it is counted.
    assert "eff:yes" in text_scores("bleu", ["a b c d e f"], [["a b c"]]).signature


@pytest.mark.parametrize(
    ("metric", "texts", "tokenizer", "said"),
    [
        ("bleu", SHORT, "13a", "tokens on average by the tokenizer 13a"),
        ("bleu", CHINESE, "13a", "a script without spaces between words"),
        ("bleu_lowercase", THAI, "none", "a script without spaces between words"),
        ("wer", CHINESE, "13a", "a whole sentence counts as one word"),
        ("wer", ["", " "], "13a", "no target has a word"),
        ("rouge", ["yes", "no"], "13a", "rouge_2 counts pairs"),
        ("rouge", ["one two three", "..."], "13a", "1 of 2 targets have neither letters"),
    ],
)
def test_a_metric_that_says_little_is_told_with_what_fits(metric, texts, tokenizer, said):
    lines = metric_warnings(metric, [[text] for text in texts], tokenizer)
    assert any(said in line for line in lines)
    assert all("\n" not in line for line in lines)


def test_a_metric_that_fits_has_no_warning():
    for metric in TEXT_METRICS:
        assert metric_warnings(metric, [[text] for text in ENGLISH]) == []
    assert metric_warnings("bleu", [[text] for text in CHINESE], "zh") == []
    assert metric_warnings("bleu", [[text] for text in THAI], "char") == []
    # Words with spaces between them, of a script that has none.
    assert metric_warnings("wer", [["我 喜欢 机器 翻译"]]) == []
    assert metric_warnings("none", [["a"]]) == []


def test_a_monitor_that_could_not_choose_is_named():
    short = [["good day"], ["yes"]]
    assert "no target has 4 tokens" in never_scores("bleu", short)
    assert never_scores("bleu", short, "char") == ""
    assert never_scores("bleu", [["a b c"], ["a b c d"]]) == ""
    assert "letters or digits" in never_scores("rouge", [["..."]])
    assert never_scores("chrf", [["a"]]) == ""


def test_a_tokenizer_that_needs_more_is_refused_in_one_line(monkeypatch, tmp_path):
    utilities = importlib.import_module("sacrebleu.utils")
    monkeypatch.setattr(utilities, "SACREBLEU_DIR", str(tmp_path))
    with pytest.raises(InputError, match="flores200 needs the file .*flores200sacrebleuspm"):
        check_metric("bleu", "flores200")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"ja-mecab needs MeCab and ipadic.*sacrebleu\[ja\]"):
        text_scores("bleu", ["a"], [["a"]], "ja-mecab")
    with pytest.raises(InputError, match="--bleu-tokenizer must be one of"):
        check_metric("bleu", "nothing")


def test_words_are_parted_by_any_white_space_and_may_be_missing():
    for space in (" ", "  ", "\t", "\u00a0", "\u3000", "\u2003"):
        assert text_scores("wer", ["a b"], [[f"a{space}b"]]).values == {"wer": 0}
    # No word in any reference: every generated one is a whole error.
    assert text_scores("wer", ["a b", ""], [[""], [" "]]).values == {"wer": 200}
    assert text_scores("wer", [""], [[""]]).values == {"wer": 0}
    assert text_scores("wer", ["a"], [["", "a b c"]]).values["wer"] == pytest.approx(200 / 3)


@given(st.text(st.characters(max_codepoint=0x7F), max_size=40))
def test_rouge_splits_ascii_as_rouge_score_does(text):
    tokenize = importlib.import_module("rouge_score.tokenize").tokenize
    assert rouge_tokens(text) == tokenize(text, None)


def test_rouge_sees_letters_of_every_script():
    assert rouge_tokens("Café Größe, naïve_x") == ["café", "größe", "naïve", "x"]
    assert rouge_tokens("Привет, мир!") == ["привет", "мир"]
    assert rouge_tokens("नमस्ते दुनिया") == ["नमस्ते", "दुनिया"]
    assert rouge_tokens("我爱NLP很") == ["我", "爱", "nlp", "很"]
    for text in ("Привет мир", "我爱你", "สวัสดี ครับ"):
        assert text_scores("rouge", [text], [[text]]).values["rouge_l"] == 100


def test_references_of_unequal_number_are_padded_with_none():
    hypotheses = ["a b c d e", "f g h i"]
    references = [["a b c d", "a b c d e f g h i j k l"], ["f g h i"]]
    streams = [["a b c d", "f g h i"], ["a b c d e f g h i j k l", None]]
    expected = sacrebleu.BLEU().corpus_score(hypotheses, streams).score
    assert text_scores("bleu", hypotheses, references).values["bleu"] == expected
