import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import END_ID, PAD_ID, SPECIAL_TOKENS, START_ID, UNKNOWN_ID
from keras_seq2seq.tokenizers.vocabulary import (
    build_vocabulary,
    check_vocabulary,
    count_tokens,
)

SPECIAL = ["[PAD]", "[UNK]", "[START]", "[END]"]
LINES = st.lists(st.lists(st.sampled_from("abcdé😀"), max_size=6), max_size=6)


def test_special_tokens_stand_at_their_ids():
    assert [SPECIAL_TOKENS[i] for i in (PAD_ID, UNKNOWN_ID, START_ID, END_ID)] == SPECIAL
    assert PAD_ID == 0


def test_tokens_are_counted_over_all_lines():
    assert count_tokens([["a", "b"], [], ["a"]]) == {"a": 2, "b": 1}


def test_the_most_frequent_token_comes_first():
    assert build_vocabulary([["b", "a"], ["a"]]) == [*SPECIAL, "a", "b"]


def test_ties_are_broken_by_code_point():
    assert build_vocabulary([["é", "b", "😀", "B"]]) == [*SPECIAL, "B", "b", "é", "😀"]


@settings(deadline=None)
@given(LINES.filter(any), st.randoms())
def test_the_order_of_lines_does_not_change_the_vocabulary(lines, random):
    shuffled = random.sample(lines, len(lines))
    assert build_vocabulary(shuffled) == build_vocabulary(lines)


@settings(deadline=None)
@given(LINES.filter(any))
def test_a_built_vocabulary_is_valid_and_holds_every_token(lines):
    vocabulary = build_vocabulary(lines)
    assert check_vocabulary(vocabulary) == vocabulary
    assert set(vocabulary) == {*SPECIAL, *(token for line in lines for token in line)}


def test_rare_tokens_are_left_out():
    assert build_vocabulary([["a", "b", "a"]], min_count=2) == [*SPECIAL, "a"]


def test_max_size_counts_special_tokens_and_keeps_the_most_frequent():
    lines = [["a", "b", "b", "c", "c", "c"]]
    assert build_vocabulary(lines, max_size=6) == [*SPECIAL, "c", "b"]


def test_a_token_spelled_like_a_special_token_is_left_out():
    assert build_vocabulary([["[END]", "a", "[PAD]", "[END]"]]) == [*SPECIAL, "a"]


@pytest.mark.parametrize(
    ("lines", "arguments"),
    [
        ([], {}),
        ([[]], {}),
        ([["[END]"]], {}),
        ([["a"]], {"min_count": 2}),
        ([["a"]], {"max_size": 4}),
        ([["a"]], {"max_size": 0}),
    ],
)
def test_a_vocabulary_without_tokens_is_refused(lines, arguments):
    with pytest.raises(InputError, match="The vocabulary is empty: no token occurs often"):
        build_vocabulary(lines, **arguments)


def test_the_refusal_says_what_was_received():
    expected = "Received: 2 different tokens, min_count=3, max_size=None"
    with pytest.raises(InputError, match=expected):
        build_vocabulary([["a", "b"]], min_count=3)


@pytest.mark.parametrize(
    "vocabulary", [[], ["a", "b"], SPECIAL[:3], ["[UNK]", "[PAD]", "[START]", "[END]", "a"]]
)
def test_a_vocabulary_without_the_special_tokens_is_refused(vocabulary):
    with pytest.raises(InputError, match=r"must start with \['\[PAD\]', .* Received: \["):
        check_vocabulary(vocabulary)


def test_a_repeated_token_is_refused():
    with pytest.raises(InputError, match=r"must be unique. Repeated: \['a'\]"):
        check_vocabulary([*SPECIAL, "a", "b", "a"])


@pytest.mark.parametrize("token", ["", "\n", "\r", "a\nb", "a\r"])
def test_a_token_that_would_break_the_vocabulary_file_is_refused(token):
    with pytest.raises(InputError, match="must not be empty or hold a line break"):
        check_vocabulary([*SPECIAL, "a", token])


def test_the_checked_vocabulary_is_a_copy():
    vocabulary = [*SPECIAL, "a"]
    checked = check_vocabulary(vocabulary)
    vocabulary.append("b")
    assert checked == [*SPECIAL, "a"]
