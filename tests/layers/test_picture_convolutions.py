"""Convolutions over pictures and their neighbours in time."""

import keras
import numpy as np
import pytest

from keras_seq2seq.layers import PictureConvolutions
from keras_seq2seq.models import PictureEmbedding

RNG = np.random.default_rng(3)
SHAPE = (7, 6, 2)
FRAMES = RNG.normal(size=(2, 5, 84)).astype("float32")
ALL = np.ones((2, 5), bool)


def built(*arguments):
    layer = PictureConvolutions(SHAPE, *arguments)
    layer.build((None, None, 84))
    return layer


@pytest.mark.parametrize("sizes", [1, 3, (1, 3), (3, 1), (5, 3)])
def test_it_is_a_convolution_over_time_and_space(sizes):
    layer = built((4, 3), sizes)
    expected = FRAMES.reshape(2, 5, *SHAPE)
    for convolution, seen in zip(
        layer.convolutions, (sizes, sizes) if isinstance(sizes, int) else sizes, strict=True
    ):
        kernel, bias = convolution.get_weights()
        height, width, channels, filters = kernel.shape
        kernel = kernel.reshape(height, width, seen, channels // seen, filters)
        # Keras has time first.
        kernel = np.transpose(kernel, (2, 0, 1, 3, 4))
        expected = keras.ops.relu(
            keras.ops.conv(expected, kernel, (1, 2, 2), padding="same") + bias
        )
    output = layer(FRAMES, ALL)
    assert output.shape == (2, 5, layer.output_dim)
    np.testing.assert_allclose(output, np.reshape(expected, (2, 5, -1)), atol=1e-5)


@pytest.mark.parametrize(("size", "same"), [(1, True), (3, False)])
def test_one_that_sees_a_picture_alone_does_not_know_its_neighbours(size, same):
    layer, others = built((4,), size), FRAMES.copy()
    others[:, [0, 1, 3, 4]] = RNG.normal(size=(2, 4, 84))
    at_two, again = (np.array(layer(x, ALL))[:, 2] for x in (FRAMES, others))
    assert np.allclose(at_two, again, atol=1e-6) == same


def test_padding_changes_nothing():
    layer, mask = built((4, 3), 3), ALL.copy()
    mask[:, 3:] = False
    alone = layer(FRAMES[:, :3], ALL[:, :3])
    np.testing.assert_allclose(layer(FRAMES, mask)[:, :3], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("filters", "sizes", "message"),
    [
        ((4,), 2, "must be odd and at least 1. Received: 2"),
        ((4, 3), (1, -1), "must be odd and at least 1"),
        ((4, 3), (1, 3, 3), "or one for each of `filters`. Received: .*\\(1, 3, 3\\)"),
        ((4, 0), 1, "all sizes at least 1"),
    ],
)
def test_sizes_that_do_not_fit(filters, sizes, message):
    with pytest.raises(ValueError, match=message):
        PictureConvolutions(SHAPE, filters, sizes)


@pytest.mark.parametrize(("filters", "sizes"), [((), []), ((8,), [1]), ((8, 8, 8), [1, 3, 3])])
def test_an_embedding_looks_first_and_then_compares(filters, sizes):
    embedding = PictureEmbedding(SHAPE, 4, filters)
    assert embedding.temporal_kernel_size == sizes
    again = PictureEmbedding(**embedding.get_config())
    assert again.temporal_kernel_size == sizes
    # As a file of an older version says it.
    assert PictureEmbedding(SHAPE, 4, filters, 3).get_config()["temporal_kernel_size"] == 3
