import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import END_ID, PAD_ID, SPECIAL_TOKENS, START_ID, UNKNOWN_ID
from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer, TableTokenizer

ODD_CHARACTERS = [
    " ", "\t", "\v", "\f", "\0", "\x1c", "\x85", "\xa0", "\u2028", "\u2029", "\ufeff",
    "\ufffd", "\uffff", "e\u0301", "😀", "\U0010ffff", "\"", "\\", ",", "#",
]  # fmt: skip
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")
    | st.sampled_from("".join(ODD_CHARACTERS)),
    min_size=1,
)
SYMBOL = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\v\f\r"), min_size=1
).filter(lambda symbol: symbol not in SPECIAL_TOKENS)


@pytest.fixture(scope="module")
def characters():
    return CharacterTokenizer.from_lines(["cab", "ca", "c"])


@pytest.fixture(scope="module")
def symbols():
    return SymbolTokenizer([*SPECIAL_TOKENS, "EY", "S", "K", "AE", "B"])


def texts(tensor):
    return np.vectorize(lambda text: text.decode("utf-8"), otypes=[object])(tensor.numpy())


@settings(deadline=None, max_examples=50)
@given(st.lists(TEXT, min_size=1, max_size=5))
def test_characters_round_trip_for_any_text_without_line_breaks(lines):
    tokenizer = CharacterTokenizer.from_lines(lines)
    ids = tokenizer.tokenize(lines)
    assert texts(tokenizer.detokenize(ids)).tolist() == lines
    assert ids.row_lengths().numpy().tolist() == [len(line) for line in lines]
    assert UNKNOWN_ID not in ids.flat_values.numpy()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(SYMBOL, min_size=1, max_size=5), min_size=1, max_size=4))
def test_symbols_round_trip_for_any_symbols_without_spaces(rows):
    lines = [" ".join(row) for row in rows]
    tokenizer = SymbolTokenizer.from_lines(lines)
    ids = tokenizer.tokenize(lines)
    assert texts(tokenizer.detokenize(ids)).tolist() == lines
    assert ids.row_lengths().numpy().tolist() == [len(row) for row in rows]


@settings(deadline=None, max_examples=25)
@given(st.lists(TEXT, min_size=1, max_size=4), st.booleans())
def test_ids_in_the_graph_are_those_of_the_list(lines, lowercase):
    tokenizer = CharacterTokenizer.from_lines(lines, lowercase=lowercase)
    vocabulary = tokenizer.get_vocabulary()
    pieces = tokenizer.split_strings(tf.constant(lines), lowercase).to_list()
    expected = [[vocabulary.index(piece.decode()) for piece in row] for row in pieces]
    assert tokenizer.tokenize(lines).to_list() == expected


@pytest.mark.parametrize("token", ODD_CHARACTERS)
def test_odd_tokens_keep_the_ids_of_the_tokens_after_them(token):
    line = f"{token}a" if len(token) == 1 else token
    vocabulary = [*SPECIAL_TOKENS, *line, "z"]
    tokenizer = CharacterTokenizer(vocabulary)
    ids = tokenizer.tokenize([f"{line}z"])
    assert ids.to_list() == [[4, 5, 6]]
    assert texts(tokenizer.detokenize(ids)).tolist() == [f"{line}z"]


def test_characters_become_the_ids_of_the_vocabulary(characters):
    assert characters.get_vocabulary() == [*SPECIAL_TOKENS, "c", "a", "b"]
    assert characters.tokenize(["cab", "", "bb"]).to_list() == [[4, 5, 6], [], [6, 6]]


def test_symbols_become_the_ids_of_the_vocabulary(symbols):
    assert symbols.tokenize(["K AE B", "S EY"]).to_list() == [[6, 7, 8], [5, 4]]


def test_spaces_around_and_between_symbols_do_not_matter(symbols):
    assert symbols.tokenize(["  K\tAE   B "]).to_list() == [[6, 7, 8]]


def test_ids_are_int32(characters):
    assert characters.tokenize(["cab"]).dtype == tf.int32


def test_one_string_gives_one_row(characters):
    ids = characters.tokenize("cab")
    assert ids.numpy().tolist() == [4, 5, 6]
    assert characters.detokenize(ids).numpy() == b"cab"


def test_no_strings_give_no_rows(characters):
    assert characters.tokenize([]).to_list() == []


@pytest.mark.parametrize("cls", [CharacterTokenizer, SymbolTokenizer])
def test_a_traced_function_equals_eager(cls):
    lines = ["K AE b", "", "Ä ß é", "x"]
    tokenizer = cls.from_lines(lines[:3], lowercase=True)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def traced(strings):
        ids = tokenizer.tokenize(strings)
        return ids, tokenizer.detokenize(ids)

    ids, back = traced(tf.constant(lines))
    eager = tokenizer.tokenize(lines)
    assert ids.to_list() == eager.to_list()
    assert back.numpy().tolist() == tokenizer.detokenize(eager).numpy().tolist()


def test_what_the_vocabulary_lacks_becomes_unknown(characters, symbols):
    assert characters.tokenize(["xcé"]).to_list() == [[UNKNOWN_ID, 4, UNKNOWN_ID]]
    assert symbols.tokenize(["K k"]).to_list() == [[6, UNKNOWN_ID]]


def test_a_byte_that_is_not_utf8_is_one_unknown_token(characters):
    assert characters.tokenize([b"c\xffa"]).to_list() == [[4, UNKNOWN_ID, 5]]


def test_lower_casing_covers_letters_beyond_ascii():
    tokenizer = CharacterTokenizer.from_lines(["ÄÉЖ"], lowercase=True)
    assert tokenizer.get_vocabulary()[4:] == ["ä", "é", "ж"]
    assert tokenizer.tokenize(["äÉж"]).to_list() == [[4, 5, 6]]


def test_case_is_kept_by_default():
    tokenizer = CharacterTokenizer.from_lines(["aA"])
    assert tokenizer.tokenize(["Aa"]).to_list() == [[4, 5]]


def test_text_ends_before_the_first_end_token(characters):
    ids = [[4, 5, END_ID, 6, END_ID], [END_ID, 4, 5, 6, 4], [4, 5, 6, 4, 5]]
    assert texts(characters.detokenize(ids)).tolist() == ["ca", "", "cabca"]


def test_padding_and_start_are_left_out_of_text(characters, symbols):
    ids = [[START_ID, 4, 5, PAD_ID, PAD_ID]]
    assert texts(characters.detokenize(ids)).tolist() == ["ca"]
    assert texts(symbols.detokenize(ids)).tolist() == ["EY S"]


def test_unknown_tokens_are_shown(characters):
    assert texts(characters.detokenize([[4, UNKNOWN_ID, 99]])).tolist() == ["c[UNK][UNK]"]


def test_leading_dimensions_are_kept(characters):
    ids = np.array([[[4, 5], [6, END_ID], [5, PAD_ID]], [[6, 6], [END_ID, 4], [4, 4]]])
    assert texts(characters.detokenize(ids)).tolist() == [["ca", "b", "a"], ["bb", "", "cc"]]


def test_ragged_and_padded_ids_give_the_same_text(characters):
    ids = characters.tokenize(["cab", "", "a"])
    assert texts(characters.detokenize(ids)).tolist() == ["cab", "", "a"]
    padded = ids.to_tensor(PAD_ID, shape=[None, 7])
    assert texts(characters.detokenize(padded)).tolist() == ["cab", "", "a"]


def test_rare_tokens_and_tokens_beyond_the_size_become_unknown():
    lines = ["aaab", "abc"]
    assert CharacterTokenizer.from_lines(lines, min_count=2).vocabulary[4:] == ["a", "b"]
    assert CharacterTokenizer.from_lines(lines, max_size=5).vocabulary[4:] == ["a"]


def test_a_carriage_return_inside_a_line_is_unknown():
    tokenizer = CharacterTokenizer.from_lines(["a\rb"])
    assert tokenizer.tokenize(["a\rb"]).to_list() == [[4, UNKNOWN_ID, 5]]


def test_lines_without_any_token_are_refused():
    with pytest.raises(InputError, match="The vocabulary is empty"):
        SymbolTokenizer.from_lines(["", "  "])
    with pytest.raises(InputError, match="The vocabulary is empty"):
        SymbolTokenizer.from_lines([])


def test_an_invalid_vocabulary_is_refused():
    with pytest.raises(InputError, match="must start with"):
        CharacterTokenizer(["a", "b"])
    with pytest.raises(InputError, match="must be unique"):
        CharacterTokenizer([*SPECIAL_TOKENS, "a", "a"])


@pytest.mark.parametrize("cls", [CharacterTokenizer, SymbolTokenizer])
@pytest.mark.parametrize("lowercase", [False, True])
def test_a_saved_tokenizer_gives_the_same_ids(cls, lowercase):
    lines = ["A \u2028 b😀", "\0 q Q"]
    tokenizer = cls.from_lines(lines, lowercase=lowercase, name="odd")
    loaded = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(tokenizer)
    )
    assert type(loaded) is cls
    assert loaded.get_config() == tokenizer.get_config()
    assert loaded.tokenize(lines).to_list() == tokenizer.tokenize(lines).to_list()
    assert loaded.name == "odd"


def test_tokens_and_ids_name_each_other(characters):
    assert characters.vocabulary_size() == 7
    assert [characters.token_to_id(token) for token in "cabx"] == [4, 5, 6, UNKNOWN_ID]
    assert [characters.id_to_token(i) for i in (0, 4, 6)] == ["[PAD]", "c", "b"]


@pytest.mark.parametrize("index", [-1, 7])
def test_an_id_outside_the_vocabulary_is_refused(characters, index):
    with pytest.raises(ValueError, match=rf"must be in \[0, 7\). Received: id={index}"):
        characters.id_to_token(index)


def test_changing_the_returned_vocabulary_does_not_change_the_tokenizer(characters):
    characters.get_vocabulary().append("x")
    characters.get_config()["vocabulary"].append("x")
    assert characters.vocabulary_size() == 7


def test_the_base_class_says_that_it_cannot_split():
    with pytest.raises(TypeError, match="TableTokenizer with abstract method '?split"):
        TableTokenizer([*SPECIAL_TOKENS, "a"])
