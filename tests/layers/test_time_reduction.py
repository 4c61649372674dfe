import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.layers import MaskedConvolution, TimeReduction

RNG = np.random.default_rng(2)


def lengths_mask(lengths, longest):
    return np.arange(longest)[None] < np.array(lengths)[:, None]


def test_neighbours_are_joined_and_padding_counts_as_zeros():
    sequence = np.arange(10, dtype="float32").reshape(1, 5, 2) + 1
    mask = lengths_mask([3], 5)
    joined, reduced = TimeReduction(2)(sequence, mask)
    np.testing.assert_array_equal(joined, [[[1, 2, 3, 4], [5, 6, 0, 0], [0, 0, 0, 0]]])
    np.testing.assert_array_equal(reduced, [[True, True, False]])


def test_a_convolution_sees_what_stands_around():
    layer = MaskedConvolution(1, 3)
    sequence = np.array([[[1.0], [2.0], [4.0], [8.0]]], "float32")
    layer(sequence, lengths_mask([3], 4))
    layer.convolution.set_weights([np.array([100, 10, 1.0]).reshape(3, 1, 1), np.zeros(1)])
    output, mask = layer(sequence, lengths_mask([3], 4))
    # The fourth is padding: the third sees 2, 4 and nothing.
    np.testing.assert_allclose(np.asarray(output)[0, :3, 0], [12, 124, 240])
    np.testing.assert_array_equal(mask, [[True, True, True, False]])


LAYERS = {
    (kind, size): layer
    for size in (1, 2, 3, 4)
    for kind, layer in (
        ("reduction", TimeReduction(size)),
        ("convolution", MaskedConvolution(2, size)),
        ("strided", MaskedConvolution(2, 3, strides=size)),
    )
}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(LAYERS)),
    st.lists(st.integers(1, 7), min_size=1, max_size=3),
    st.integers(0, 5),
)
def test_padding_changes_nothing(key, lengths, padding):
    layer, longest = LAYERS[key], max(lengths)
    sequence = RNG.normal(size=(len(lengths), longest, 2)).astype("float32")
    output, mask = (np.asarray(x) for x in layer(sequence, lengths_mask(lengths, longest)))
    garbage = RNG.normal(size=(len(lengths), padding, 2)).astype("float32")
    padded = np.concatenate([sequence, garbage], 1)
    padded_output, padded_mask = (
        np.asarray(x) for x in layer(padded, lengths_mask(lengths, longest + padding))
    )
    size = output.shape[1]
    np.testing.assert_array_equal(padded_mask[:, :size], mask)
    assert not padded_mask[:, size:].any()
    np.testing.assert_allclose(padded_output[:, :size][mask], output[mask], atol=1e-5)


def test_a_factor_below_one_is_refused():
    with pytest.raises(ValueError, match="`factor` must be at least 1. Received: factor=0"):
        TimeReduction(0)
