import keras
import numpy as np
import pytest

from keras_seq2seq.layers import (
    DeltaFeatures,
    FrameNormalization,
    FrequencyWarp,
    LogMelSpectrogram,
    SpecAugment,
)

RNG = np.random.default_rng(3)
FRAMES = RNG.normal(2, 3, (2, 6, 4)).astype("float32")
MASK = np.arange(6) < np.array([[6], [4]])


def test_each_utterance_gets_mean_0_and_variance_1():
    result = np.asarray(FrameNormalization(epsilon=0.0)(FRAMES, MASK))
    for row, length in zip(result, [6, 4], strict=True):
        np.testing.assert_allclose(row[:length].mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(row[:length].std(0), 1, atol=1e-5)
        assert not row[length:].any()


def test_given_statistics_are_used():
    layer = FrameNormalization([1, 2, 3, 4], [4, 4, 4, 4], epsilon=0.0)
    expected = (FRAMES - [1, 2, 3, 4]) / 2 * MASK[..., None]
    np.testing.assert_allclose(layer(FRAMES, MASK), expected, rtol=1e-5, atol=1e-6)


def test_a_constant_or_single_or_missing_frame_gives_zeros():
    for mask in (MASK[:, :1], np.zeros((2, 1), bool)):
        result = FrameNormalization()(FRAMES[:, :1], mask)
        np.testing.assert_array_equal(result, np.zeros((2, 1, 4)))


@pytest.mark.parametrize("statistics", [([1.0], None), (None, [1.0]), ([1.0], [1.0, 2.0])])
def test_statistics_must_be_whole(statistics):
    with pytest.raises(ValueError, match="Give `mean` and `variance` of the same features"):
        FrameNormalization(*statistics)


def test_the_slope_of_a_line_is_its_slope():
    line = (np.arange(9, dtype="float32") * 0.5)[None, :, None]
    result = np.asarray(DeltaFeatures(window=2)(line, np.ones((1, 9), bool)))
    assert result.shape == (1, 9, 3)
    np.testing.assert_allclose(result[..., 0], line[..., 0])
    np.testing.assert_allclose(result[0, 2:-2, 1], 0.5, rtol=1e-5)
    np.testing.assert_allclose(result[0, 4:-4, 2], 0, atol=1e-6)


def test_padding_changes_no_slope():
    layer = DeltaFeatures()
    alone = layer(FRAMES[1:, :4], MASK[1:, :4])
    np.testing.assert_allclose(layer(FRAMES, MASK)[1:, :4], alone, atol=1e-6)


def stretches(hidden):
    """Begins and ends of the runs of `True`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], hidden, [False]])))
    return list(zip(edges[::2], edges[1::2], strict=True))


def test_hidden_stretches_are_short_and_inside_the_utterance():
    layer = SpecAugment(1, 30, 0.25, feature_masks=0, seed=1)
    ones = np.ones((200, 40, 5), "float32")
    lengths = np.repeat([40, 12], 100)
    mask = np.arange(40) < lengths[:, None]
    hidden = np.asarray(layer(ones, mask, training=True)) == 0
    assert (hidden.all(2) == hidden.any(2)).all()
    widths, begins = [], []
    for row, length in zip(hidden[..., 0], lengths, strict=True):
        for begin, end in stretches(row):
            assert end <= length and end - begin <= length // 4
            widths.append((end - begin) / (length // 4))
            begins.append(begin / length)
    assert max(widths) == 1 and min(widths) <= 1 / 3  # All widths occur,
    assert min(begins) < 0.1 and max(begins) > 0.7  # everywhere.


def test_hidden_features_are_bands():
    layer = SpecAugment(
        time_masks=0, feature_masks=1, feature_width=3, feature_share=1.0, seed=2
    )
    hidden = np.asarray(
        layer(np.ones((100, 4, 8), "float32"), np.ones((100, 4)), training=True)
    )
    hidden = hidden == 0
    assert (hidden.all(1) == hidden.any(1)).all()
    runs = [run for row in hidden[:, 0] for run in stretches(row)]
    assert {end - begin for begin, end in runs} == {1, 2, 3}
    assert min(runs)[0] == 0 and max(end for _, end in runs) == 8


def test_nothing_is_hidden_outside_of_training():
    np.testing.assert_array_equal(SpecAugment()(FRAMES, MASK, training=False), FRAMES)


def test_a_warp_moves_bands_as_a_sound_of_other_frequencies_has_them():
    front_end = LogMelSpectrogram(8000, num_mels=20, low_hz=100)

    def bands(hertz):
        tone = np.sin(2 * np.pi * hertz * np.arange(1600) / 8000)[None].astype("float32")
        return np.asarray(front_end(tone, np.ones((1, 1600), bool))[0])[0, 5:10]

    frames = np.repeat(bands(1000)[None], 60, axis=0)
    real = np.ones(frames.shape[:2], bool)
    warped = np.asarray(FrequencyWarp(100, 4000, 0.2, seed=3)(frames, real, training=True))
    bands_with_most = warped.argmax(-1)
    assert (bands_with_most == bands_with_most[:, :1]).all()  # One factor an utterance.
    for hertz in (810, 1190):
        other = bands(hertz)
        distance = np.abs(warped - other).mean((1, 2)).min()
        assert distance < 0.4 * np.abs(frames[0] - other).mean()
    # The factors that this seed draws first: what was at 1000 Hz is at as many times of it.
    drawn = keras.random.uniform((len(frames), 1), 0.8, 1.2, seed=keras.random.SeedGenerator(3))
    expected = [bands(1000 * float(factor)).argmax(-1)[0] for factor in np.asarray(drawn)[:, 0]]
    assert len(set(expected)) > 2
    np.testing.assert_allclose(bands_with_most[:, 0], expected, atol=1)


def test_no_warp_is_none():
    for layer in (FrequencyWarp(100, 4000, 0.0), FrequencyWarp(100, 4000)):
        training = not layer.share
        np.testing.assert_array_equal(layer(FRAMES, MASK, training=training), FRAMES)
    with pytest.raises(ValueError, match="`share` must be in"):
        FrequencyWarp(100, 4000, 1.0)


def test_negative_numbers_are_refused():
    with pytest.raises(ValueError, match="`time_width` must be at least 0"):
        SpecAugment(time_width=-1)
    with pytest.raises(ValueError, match="`window` must be at least 1"):
        DeltaFeatures(0)


@pytest.mark.parametrize(
    "layer",
    [
        FrameNormalization([1.0], [2.0]),
        DeltaFeatures(3),
        FrequencyWarp(60, 4000, 0.1),
        SpecAugment(1, 2, 0.3, 4, 5, 0.6),
    ],
)
def test_they_are_saved_and_loaded(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
