"""Words, WordPiece and SentencePiece: what they split, learn, join and keep."""

import gc

import keras
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import SPECIAL_TOKENS, UNKNOWN_ID
from keras_seq2seq.tokenizers import (
    SentencePieceTokenizer,
    WordPieceTokenizer,
    WordTokenizer,
)
from keras_seq2seq.tokenizers.word_tokenizer import punctuation

LINES = ["the cat sat on the mat.", "the mats, the cats", "a Hat is on that cat"] * 3
LEARN = {
    "words": lambda lines=LINES, **more: WordTokenizer.from_lines(lines, **more),
    "wordpiece": lambda lines=LINES, **more: WordPieceTokenizer.from_lines(
        lines, **{"vocabulary_size": 70, **more}
    ),
    "unigram": lambda lines=LINES, **more: SentencePieceTokenizer.from_lines(
        lines, **{"vocabulary_size": 50, **more}
    ),
    "bpe": lambda lines=LINES, **more: SentencePieceTokenizer.from_lines(
        lines, **{"vocabulary_size": 50, "algorithm": "bpe", **more}
    ),
}
SUBWORDS = [name for name in LEARN if name != "words"]


@pytest.fixture(scope="module", params=list(LEARN))
def tokenizer(request):
    return LEARN[request.param]()


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def sentencepiece(request):
    return LEARN[request.param]()


def test_tokenizers_outlive_a_cleared_session_and_their_equals(sentencepiece):
    expected = sentencepiece.tokenize(LINES).to_list()
    equal = type(sentencepiece).from_config(sentencepiece.get_config())
    other = type(sentencepiece).from_lines(["another text"], vocabulary_size=30)
    keras.utils.clear_session()
    assert equal.tokenize(LINES).to_list() == expected
    del equal
    gc.collect()
    assert sentencepiece.tokenize(LINES).to_list() == expected
    assert other.detokenize(other.tokenize(["a text"])).numpy().tolist() == [b"a text"]


def restored(tokenizer, lines):
    return [text.decode() for text in tokenizer.detokenize(tokenizer.tokenize(lines)).numpy()]


def test_special_tokens_come_first_and_no_text_becomes_one(tokenizer):
    assert tuple(tokenizer.vocabulary[:4]) == SPECIAL_TOKENS
    for special in SPECIAL_TOKENS:
        ids = tokenizer.tokenize([f"cat {special} cat"]).to_list()[0]
        assert not {0, 2, 3} & set(ids)


def test_pieces_and_ids_belong_together(tokenizer):
    ids = tokenizer.tokenize(LINES)
    assert ids.dtype == tf.int32
    for line, row in zip(LINES, ids.to_list(), strict=True):
        assert [tokenizer.token_to_id(piece) for piece in tokenizer.split_text(line)] == row
        assert UNKNOWN_ID not in row


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text("thecasmon.,Hi ☃\t"), min_size=1, max_size=8))
def test_sentencepiece_restores_text_with_one_space_for_several(sentencepiece, lines):
    expected = []
    for line in lines:
        text = " ".join(line.split())
        # A run of unknown characters is one token.
        while "☃☃" in text:
            text = text.replace("☃☃", "☃")
        expected.append(text.replace("☃", "[UNK]"))
    assert restored(sentencepiece, lines) == expected


def test_words_are_joined_by_a_space_and_pieces_to_words():
    for name in ("words", "wordpiece"):
        assert restored(LEARN[name](), ["the cats,on that mat."]) == [
            "the cats , on that mat ."
        ]


def test_words_split_at_punctuation_and_symbols_of_any_script():
    tokenizer = WordTokenizer.from_lines(["a"])
    text = "«Où?» — 3€+x_y #☎ don't。好、\u00a0é\tz"
    expected = "« Où ? » — 3 € + x _ y # ☎ don ' t 。 好 、 \u00a0é z".split(" ")
    assert tokenizer.split_text(text) == expected


def test_the_class_of_punctuation_is_the_same_for_both_regular_expressions():
    import re

    letters = [chr(c) for c in range(1, 0x30000) if not 0xD800 <= c <= 0xDFFF]
    graph = tf.strings.regex_full_match(tf.constant(letters), punctuation()).numpy()
    python = [re.fullmatch(punctuation(), letter) is not None for letter in letters]
    assert graph.tolist() == python


def test_the_longest_piece_is_taken_and_a_hopeless_word_is_unknown():
    tokenizer = WordPieceTokenizer([*SPECIAL_TOKENS, "un", "u", "##want", "##wanted", "##n"])
    assert tokenizer.split_text("unwanted unwant unx un") == [
        "un",
        "##wanted",
        "un",
        "##want",
        "unx",
        "un",
    ]
    assert tokenizer.tokenize(["unx un"]).to_list() == [[UNKNOWN_ID, 4]]


def test_unigram_takes_the_greatest_sum_and_bpe_the_best_merge():
    vocabulary = [*SPECIAL_TOKENS, "▁", "a", "b", "ab", "▁a", "bb"]
    unigram = SentencePieceTokenizer(vocabulary, [0] * 4 + [-1, -1, -1, -1.5, -9, -2.5])
    # ▁ ab b: -3.5; ▁ a bb: -4.5; ▁a b b: -11.
    assert unigram.split_text("abb") == ["▁", "ab", "b"]
    bpe = SentencePieceTokenizer(vocabulary, [0] * 4 + [-9, -9, -9, -1, -2, 0], "bpe")
    # bb first, then ▁a.
    assert bpe.split_text("abb") == ["▁a", "bb"]


@pytest.mark.parametrize("name", SUBWORDS)
def test_the_same_lines_give_the_same_vocabulary_within_its_size(name):
    learned = LEARN[name](vocabulary_size=60)
    assert learned.get_config()["vocabulary"] == LEARN[name](vocabulary_size=60).vocabulary
    assert learned.vocabulary_size() <= 60
    assert any(len(token.strip("▁#")) > 2 for token in learned.vocabulary[4:])


@pytest.mark.parametrize("name", list(LEARN))
@pytest.mark.parametrize("lowercase", [False, True])
def test_a_saved_tokenizer_gives_the_same_ids(name, lowercase):
    tokenizer = LEARN[name](lowercase=lowercase, name="mine")
    loaded = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(tokenizer)
    )
    assert loaded.get_config() == tokenizer.get_config()
    text = ["The HAT, Äh ☃ mats"]
    assert loaded.tokenize(text).to_list() == tokenizer.tokenize(text).to_list()
    assert loaded.name == "mine"
    assert (tokenizer.split_text("THE")[-1].islower()) == lowercase


def test_a_traced_function_equals_eager(tokenizer):
    lines = ["the  cats\u3000", "", "[END] ☃ that", "x\x00y"]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def traced(strings):
        ids = tokenizer.tokenize(strings)
        return ids, tokenizer.detokenize(ids)

    ids, back = traced(tf.constant(lines))
    assert ids.to_list() == tokenizer.tokenize(lines).to_list()
    assert [text.decode() for text in back.numpy()] == restored(tokenizer, lines)
    assert tokenizer.tokenize(["", " \t "]).to_list() == [[], []]


def test_bytes_that_are_not_utf8_do_not_break_the_rest(tokenizer):
    rows = tokenizer.tokenize([b"the \xff cat", "the cat"]).to_list()
    assert rows[1] == [i for i in rows[0] if i != UNKNOWN_ID and tokenizer.vocabulary[i] != "▁"]
    assert UNKNOWN_ID in rows[0]


def test_unknown_pieces_are_shown_as_they_are(sentencepiece):
    assert "☃☂" in sentencepiece.split_text("the ☃☂cat")


@pytest.mark.parametrize("name", SUBWORDS)
def test_a_vocabulary_that_cannot_be_learned_is_refused(name):
    with pytest.raises(InputError, match="no text to learn it from"):
        LEARN[name]([" ", ""])
    with pytest.raises(InputError, match=r"different characters.* Received: .*12"):
        LEARN[name](vocabulary_size=12)


def test_wrong_arguments_are_refused():
    vocabulary = [*SPECIAL_TOKENS, "a"]
    with pytest.raises(ValueError, match=r"one of \('unigram', 'bpe'\). Received: .*'other'"):
        SentencePieceTokenizer(vocabulary, [0] * 5, "other")
    with pytest.raises(ValueError, match="one score a token. Received: 4 scores, 5 tokens"):
        SentencePieceTokenizer(vocabulary, [0] * 4)
