import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.layers import SentencePooling

RNG = np.random.default_rng(4)
DIM, PLACES = 3, 4


def by_hand(sequence, token_ids, places, end_ids):
    """The sentences of one row without padding."""
    sentences, words = [], []
    for vector, token_id in zip(sequence, token_ids, strict=True):
        words.append(vector * places[min(len(words), PLACES - 1)])
        if token_id in end_ids:
            sentences.append(np.sum(words, 0) / len(words) ** 0.5)
            words = []
    if words:
        sentences.append(np.sum(words, 0) / len(words) ** 0.5)
    return sentences


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 6), max_size=9), min_size=1, max_size=3),
    st.integers(0, 3),
    st.sets(st.integers(1, 6), min_size=1, max_size=2),
)
def test_sentences_are_those_read_word_by_word_whatever_the_padding(rows, padding, end_ids):
    longest = max(map(len, rows)) + padding
    token_ids = np.zeros((len(rows), longest), "int32")
    for row, ids in enumerate(rows):
        token_ids[row, : len(ids)] = ids
    sequence = RNG.normal(size=(*token_ids.shape, DIM)).astype("float32")
    layer = SentencePooling(sorted(end_ids), max_places=PLACES)
    pooled, mask = (np.asarray(x) for x in layer(sequence, token_ids))
    places = np.asarray(layer.places)
    for row, ids in enumerate(rows):
        expected = by_hand(sequence[row, : len(ids)], ids, places, end_ids)
        np.testing.assert_array_equal(mask[row], np.arange(mask.shape[1]) < len(expected))
        np.testing.assert_allclose(
            pooled[row, : len(expected)], np.reshape(expected, (-1, DIM)), atol=1e-5
        )
        assert (pooled[row, len(expected) :] == 0).all()


def test_as_many_positions_as_the_longest_row_has_sentences():
    layer = SentencePooling([2])
    pooled, mask = layer(
        np.ones((2, 6, DIM), "float32"), np.array([[5, 2, 5, 2, 0, 0], [5] * 6])
    )
    assert pooled.shape == (2, 2, DIM)
    np.testing.assert_array_equal(mask, [[True, True], [True, False]])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"end_ids": []}, "at least one. Received: end_ids=\\[\\]"),
        ({"end_ids": [0]}, "above 0.*end_ids=\\[0\\]"),
        ({"end_ids": [3], "max_places": 0}, "`max_places` must be at least 1. Received: 0"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SentencePooling(**arguments)
