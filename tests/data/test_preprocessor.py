import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.data import TextPreprocessor
from keras_seq2seq.data.preprocessor import append_id
from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import END_ID, PAD_ID, SPECIAL_TOKENS, START_ID
from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer

ROWS = st.lists(
    st.tuples(st.text("abcx", max_size=6), st.lists(st.sampled_from(["AE", "B", "K"]))),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def preprocessor():
    return TextPreprocessor(
        CharacterTokenizer([*SPECIAL_TOKENS, "a", "b", "c"]),
        SymbolTokenizer([*SPECIAL_TOKENS, "EY", "S", "D", "AE", "B", "K"]),
        max_source_length=5,
        max_target_length=7,
    )


def arrays(batch):
    inputs, labels, weights = batch
    return [
        np.asarray(array)
        for array in (
            inputs["encoder_token_ids"],
            inputs["decoder_token_ids"],
            labels,
            weights,
        )
    ]


def test_one_pair_becomes_the_documented_arrays(preprocessor):
    encoder, decoder, labels, weights = arrays(preprocessor(["cab"], ["K AE B"]))
    assert encoder.tolist() == [[6, 4, 5, END_ID]]
    assert decoder.tolist() == [[START_ID, 9, 7, 8]]
    assert labels.tolist() == [[9, 7, 8, END_ID]]
    assert weights.tolist() == [[1.0, 1.0, 1.0, 1.0]]


def test_shorter_pairs_are_padded_with_weight_zero(preprocessor):
    batch = preprocessor(["cab", "a", "bc"], ["EY", "K AE B", "S D"])
    encoder, decoder, labels, weights = arrays(batch)
    assert encoder.tolist() == [[6, 4, 5, 3], [4, 3, 0, 0], [5, 6, 3, 0]]
    assert decoder.tolist() == [[2, 4, 0, 0], [2, 9, 7, 8], [2, 5, 6, 0]]
    assert labels.tolist() == [[4, 3, 0, 0], [9, 7, 8, 3], [5, 6, 3, 0]]
    assert weights.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]]


def test_dtypes_are_those_of_the_models(preprocessor):
    encoder, decoder, labels, weights = arrays(preprocessor(["cab"], ["K"]))
    assert encoder.dtype == decoder.dtype == labels.dtype == np.int32
    assert weights.dtype == np.float32


def test_an_empty_target_is_the_end_token_alone(preprocessor):
    encoder, decoder, labels, weights = arrays(preprocessor([""], [""]))
    assert encoder.tolist() == [[END_ID]]
    assert decoder.tolist() == [[START_ID]]
    assert labels.tolist() == [[END_ID]]
    assert weights.tolist() == [[1.0]]


@settings(deadline=None, max_examples=40)
@given(rows=ROWS)
def test_the_decoder_input_is_start_and_the_labels_before_each_end(preprocessor, rows):
    sources, targets = [row[0] for row in rows], [" ".join(row[1]) for row in rows]
    encoder, decoder, labels, weights = arrays(preprocessor(sources, targets))
    for i, (source, target) in enumerate(rows):
        assert (encoder[i] != PAD_ID).sum() == len(source) + 1
        assert encoder[i, len(source)] == END_ID
        assert labels[i, len(target)] == END_ID
        assert not labels[i, len(target) + 1 :].any()
        assert weights[i].sum() == len(target) + 1
        shifted = [START_ID, *labels[i, : len(target)]]
        assert decoder[i].tolist() == shifted + [PAD_ID] * (labels.shape[1] - len(shifted))


@settings(deadline=None, max_examples=25)
@given(rows=ROWS)
def test_a_pair_is_packed_the_same_alone_and_in_a_batch(preprocessor, rows):
    sources, targets = [row[0] for row in rows], [" ".join(row[1]) for row in rows]
    together = arrays(preprocessor(sources, targets))
    for i, (source, target) in enumerate(zip(sources, targets, strict=True)):
        for batch, alone in zip(
            together, arrays(preprocessor([source], [target])), strict=True
        ):
            assert batch[i, : alone.shape[1]].tolist() == alone[0].tolist()
            assert not batch[i, alone.shape[1] :].any()


def test_padding_to_a_given_shape_appends_zeros_alone(preprocessor):
    ids = preprocessor.tokenize_source(["cab", "a"]), preprocessor.tokenize_target(["K", "S D"])
    tight = arrays(preprocessor.pack(*ids))
    wide = arrays(preprocessor.pack(*ids, (6, 9)))
    assert [array.shape for array in wide] == [(2, 6), (2, 9), (2, 9), (2, 9)]
    for narrow, padded in zip(tight, wide, strict=True):
        assert padded[:, : narrow.shape[1]].tolist() == narrow.tolist()
        assert not padded[:, narrow.shape[1] :].any()


def test_a_traced_function_equals_eager(preprocessor):
    sources, targets = ["cab", "", "bx"], ["K AE B", "EY", "? S"]
    signature = [tf.TensorSpec([None], tf.string)] * 2
    traced = tf.function(preprocessor.__call__, input_signature=signature)
    graph = arrays(traced(tf.constant(sources), tf.constant(targets)))
    for one, other in zip(graph, arrays(preprocessor(sources, targets)), strict=True):
        assert one.tolist() == other.tolist()


def test_encoder_inputs_are_those_of_a_training_step(preprocessor):
    sources = ["cab", "a"]
    inputs = preprocessor.encoder_inputs(sources)
    assert list(inputs) == ["encoder_token_ids"]
    encoder = arrays(preprocessor(sources, ["K", "K"]))[0]
    assert np.asarray(inputs["encoder_token_ids"]).tolist() == encoder.tolist()


def test_sources_of_the_largest_length_pass(preprocessor):
    preprocessor.check_sources(["abcab", "a"])
    preprocessor.check_sources([])


def test_an_empty_source_is_named(preprocessor):
    with pytest.raises(InputError, match="Source 2 of 3 is empty; remove it or give it text"):
        preprocessor.check_sources(["a", "", ""])


def test_a_source_that_is_too_long_is_named_and_quoted(preprocessor):
    expected = "Source 3 of 3 has 6 tokens; this model takes at most 5: 'abcabc'. Shorten it"
    with pytest.raises(InputError, match=expected):
        preprocessor.check_sources(["a", "abcab", "abcabc"])


def test_a_long_source_is_quoted_in_part(preprocessor):
    with pytest.raises(InputError, match=f"'{'a' * 40}'"):
        preprocessor.check_sources(["a" * 1000])


def test_length_counts_tokens_and_not_bytes(preprocessor):
    preprocessor.check_sources(["😀😀😀😀😀"])


def test_unknown_tokens_are_counted_the_most_frequent_first(preprocessor):
    counts = preprocessor.count_unknown(["xaz", "zéz", "a", ""])
    assert counts == {"z": 3, "x": 1, "é": 1}
    assert list(counts)[0] == "z"


def test_no_unknown_tokens_give_no_counts(preprocessor):
    assert preprocessor.count_unknown(["abc"]) == {}


def test_unknown_tokens_are_counted_after_lower_casing():
    preprocessor = TextPreprocessor.from_pairs(
        ["ab"], ["x"], CharacterTokenizer, SymbolTokenizer, lowercase_source=True
    )
    assert preprocessor.count_unknown(["ABQ", "q"]) == {"q": 2}


def test_vocabularies_and_maxima_come_from_the_pairs():
    preprocessor = TextPreprocessor.from_pairs(
        ["cab", "aces"], ["K AE B", "S"], CharacterTokenizer, SymbolTokenizer
    )
    assert preprocessor.source_tokenizer.vocabulary[4:] == ["a", "c", "b", "e", "s"]
    assert preprocessor.target_tokenizer.vocabulary[4:] == ["AE", "B", "K", "S"]
    assert (preprocessor.max_source_length, preprocessor.max_target_length) == (4, 3)


def test_given_maxima_and_counts_win():
    preprocessor = TextPreprocessor.from_pairs(
        ["cab", "aces"],
        ["K AE B", "S K"],
        CharacterTokenizer,
        SymbolTokenizer,
        max_source_length=2,
        max_target_length=9,
        min_count=2,
    )
    assert preprocessor.source_tokenizer.vocabulary[4:] == ["a", "c"]
    assert preprocessor.target_tokenizer.vocabulary[4:] == ["K"]
    assert (preprocessor.max_source_length, preprocessor.max_target_length) == (2, 9)


def test_only_the_source_is_lower_cased():
    preprocessor = TextPreprocessor.from_pairs(
        ["Aa"], ["K k"], CharacterTokenizer, SymbolTokenizer, lowercase_source=True
    )
    assert preprocessor.source_tokenizer.vocabulary[4:] == ["a"]
    assert preprocessor.target_tokenizer.vocabulary[4:] == ["K", "k"]
    upper, lower = (arrays(preprocessor(sources, ["K"])) for sources in (["AA"], ["aa"]))
    assert [array.tolist() for array in upper] == [array.tolist() for array in lower]


@pytest.mark.parametrize("name", ["max_source_length", "max_target_length"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_length_below_one_is_refused(preprocessor, name, value):
    lengths = {"max_source_length": 3, "max_target_length": 3, name: value}
    expected = f"`{name}` must be at least 1. Received: {name}={value}"
    with pytest.raises(ValueError, match=expected):
        TextPreprocessor(
            preprocessor.source_tokenizer, preprocessor.target_tokenizer, **lengths
        )


def test_a_saved_preprocessor_packs_the_same():
    pairs = ["Cab", "a\u2028\0😀"], ["K AE B", "EY"]
    preprocessor = TextPreprocessor.from_pairs(
        *pairs, CharacterTokenizer, SymbolTokenizer, lowercase_source=True, max_source_length=6
    )
    loaded = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(preprocessor)
    )
    assert type(loaded) is TextPreprocessor
    assert loaded.get_config() == preprocessor.get_config()
    assert (loaded.max_source_length, loaded.max_target_length) == (6, 3)
    for one, other in zip(arrays(loaded(*pairs)), arrays(preprocessor(*pairs)), strict=True):
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize("splits_dtype", [tf.int32, tf.int64])
@pytest.mark.parametrize("rows", [[[1, 2], [], [3]], [[], []], [[5]], []])
def test_an_id_is_appended_to_each_row_of_any_length(rows, splits_dtype):
    values = tf.constant([one for row in rows for one in row], tf.int32)
    lengths = tf.constant([len(row) for row in rows], splits_dtype)
    ids = tf.RaggedTensor.from_row_lengths(values, lengths)
    assert append_id(ids, 9).to_list() == [[*row, 9] for row in rows]
