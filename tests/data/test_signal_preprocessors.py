import keras
import numpy as np
import pytest

from keras_seq2seq.data import (
    FramePreprocessor,
    Signal,
    WaveformPreprocessor,
    training_data,
    validation_data,
)
from keras_seq2seq.data.signals import read_signal, signal_length
from keras_seq2seq.errors import InputError
from keras_seq2seq.tokenizers import CharacterTokenizer

RNG = np.random.default_rng(0)
FRAMES = [RNG.normal(size=(length, 3)).astype("float32") for length in (5, 2, 9, 4, 7, 5, 3)]
TARGETS = ["ab", "b", "abba", "a", "bab", "aa", "b"]


@pytest.fixture(scope="module")
def frames():
    return FramePreprocessor.from_pairs(FRAMES, TARGETS, CharacterTokenizer)


def test_frames_are_padded_with_zeros_and_have_their_lengths(frames):
    inputs = frames.encoder_inputs([FRAMES[1], FRAMES[3]])
    assert inputs["encoder_lengths"].numpy().tolist() == [2, 4]
    features = inputs["encoder_features"].numpy()
    np.testing.assert_array_equal(features[0, :2], FRAMES[1])
    np.testing.assert_array_equal(features[1], FRAMES[3])
    assert not features[0, 2:].any()


def test_maxima_and_shape_come_from_the_data(frames):
    assert frames.feature_shape == (3,) and frames.feature_dim == 3
    assert frames.max_source_length == 9 and frames.max_target_length == 4


def test_the_target_half_is_that_of_text(frames):
    inputs, labels, weights = frames([FRAMES[0], FRAMES[1]], ["ab", "b"])
    a, b = (frames.target_tokenizer.token_to_id(letter) for letter in "ab")
    assert labels.numpy().tolist() == [[a, b, 3], [b, 3, 0]]
    assert inputs["decoder_token_ids"].numpy().tolist() == [[2, a, b], [2, b, 0]]
    assert weights.numpy().tolist() == [[1, 1, 1], [1, 1, 0]]


def rows_of(dataset):
    """Each row as `(frames without padding, labels without padding)`, as lists."""
    rows = []
    for inputs, labels, _ in dataset:
        for features, length, row in zip(
            inputs["encoder_features"].numpy(),
            inputs["encoder_lengths"].numpy(),
            labels.numpy(),
            strict=True,
        ):
            assert not features[length:].any()
            rows.append((features[:length].tolist(), row[row > 0].tolist()))
    return rows


def saved(tmp_path):
    paths = [tmp_path / f"{index}.npy" for index in range(len(FRAMES))]
    for path, array in zip(paths, FRAMES, strict=True):
        np.save(path, array)
    return paths


def test_files_and_arrays_make_the_same_batches_in_the_same_order(frames, tmp_path):
    signals = [Signal(str(index), array) for index, array in enumerate(FRAMES)]
    expected = None
    for sources in (FRAMES, signals, saved(tmp_path), [str(p) for p in saved(tmp_path)]):
        data = training_data(frames, sources, TARGETS, batch_size=2, num_buckets=2, seed=4)
        rows = rows_of(data.dataset.take(2 * data.steps))
        expected = expected or rows
        assert rows == expected
    assert sorted(map(str, expected[:7])) == sorted(map(str, expected[7:]))


def test_a_resumed_run_of_frames_sees_the_batches_of_the_uninterrupted_one(frames):
    def start(epoch):
        return training_data(
            frames, FRAMES, TARGETS, batch_size=2, num_buckets=2, initial_epoch=epoch
        )

    whole = rows_of(start(0).dataset.take(3 * start(0).steps))
    assert rows_of(start(2).dataset.take(start(2).steps)) == whole[2 * len(FRAMES) :]


def test_validation_has_every_pair_once_in_the_order_of_length(frames):
    rows = rows_of(validation_data(frames, FRAMES, TARGETS, batch_size=3))
    order = np.argsort([len(array) for array in FRAMES], kind="stable")
    assert [row for row, _ in rows] == [FRAMES[index].tolist() for index in order]


def test_a_batch_of_long_sources_has_fewer_rows(frames):
    assert frames.rows_at_most(np.array([5, 9])) == 2**22 // 27
    waveform = WaveformPreprocessor(frames.target_tokenizer, 16000, 10**7, 4)
    assert waveform.rows_at_most(np.array([16000, 16000 * 60])) == 4
    assert waveform.rows_at_most(np.array([10**7])) == 1
    assert waveform.rows_at_most(np.array([], int)) > 0


def test_pictures_are_flattened():
    videos = [RNG.integers(0, 255, (2, 4, 5, 3)).astype("uint8")]
    preprocessor = FramePreprocessor.from_pairs(videos, ["a"], CharacterTokenizer)
    assert preprocessor.feature_shape == (4, 5, 3)
    features = preprocessor.encoder_inputs(videos)["encoder_features"].numpy()
    expected = videos[0] / np.float32(255)
    np.testing.assert_array_equal(features.reshape(1, 2, 4, 5, 3)[0], expected)
    flat = videos[0].reshape(2, 60)
    again = preprocessor.encoder_inputs([flat])["encoder_features"]
    np.testing.assert_array_equal(again, features)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            np.zeros((4, 2)),
            r"array \(4, 2\): its frames have the shape \(2,\); .* takes \(3,\)",
        ),
        (np.full((2, 3), np.nan), "holds NaN or infinity"),
        ("missing.npy", "missing.npy: no such file"),
        ("sound.wav", "must be one of .npy"),
        ("notes.txt", "must be one of .npy"),
    ],
)
def test_a_source_that_does_not_fit_is_named(frames, source, message):
    with pytest.raises(InputError, match=message):
        frames.encoder_inputs([source])


def test_a_file_that_is_no_array_is_named(frames, tmp_path):
    path = tmp_path / "broken.npy"
    path.write_bytes(b"not numpy")
    with pytest.raises(InputError, match="broken.npy: cannot be read as a NumPy array"):
        frames.encoder_inputs([path])


def test_lengths_are_checked_and_never_cut(frames):
    with pytest.raises(InputError, match="Source 2 of 2 has 10 frames; .* at most 9"):
        frames.check_sources([FRAMES[0], np.zeros((10, 3))])
    with pytest.raises(InputError, match="Source 1 of 1 is empty; remove it or give it frames"):
        frames.check_sources([np.zeros((0, 3))])
    assert frames.check_sources(FRAMES).tolist() == [5, 2, 9, 4, 7, 5, 3]


def test_a_waveform_is_no_source_of_frames():
    with pytest.raises(InputError, match="expected frames .* Is it a waveform"):
        FramePreprocessor.from_pairs([np.zeros(100)], ["a"], CharacterTokenizer)


@pytest.mark.parametrize("size", [0, (3, 0), ()])
def test_sizes_are_checked(frames, size):
    with pytest.raises(ValueError, match="`feature_shape` must hold sizes above 0"):
        FramePreprocessor(frames.target_tokenizer, size, 5, 5)
    with pytest.raises(ValueError, match="`sample_rate` must be at least 1"):
        WaveformPreprocessor(frames.target_tokenizer, 0, 5, 5)


def test_preprocessors_are_saved_and_loaded(frames):
    waveform = WaveformPreprocessor(frames.target_tokenizer, 8000, 900, 4)
    for preprocessor in (frames, waveform):
        config = keras.saving.serialize_keras_object(preprocessor)
        again = keras.saving.deserialize_keras_object(config)
        assert again.get_config() == preprocessor.get_config()
        assert again.source_size == preprocessor.source_size


def sine(rate, seconds=0.1, hertz=440):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(
        "float32"
    )


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_sound_files_are_read_mixed_and_resampled(tmp_path, suffix):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / f"stereo{suffix}"
    left = sine(16000)
    soundfile.write(path, np.stack([left, np.zeros_like(left)], 1), 16000)
    samples = read_signal(path, 8000)
    assert samples.dtype == np.float32 and len(samples) == signal_length(path, 8000) == 800
    # Away from the ends, where the filter sees silence.
    np.testing.assert_allclose(samples[50:-50], sine(8000)[50:-50] / 2, atol=2e-3)
    np.testing.assert_allclose(read_signal(path, 16000), left / 2, atol=1e-4)


def test_integer_samples_are_scaled_and_other_shapes_refused(frames):
    waveform = WaveformPreprocessor(frames.target_tokenizer, 8000, 900, 4)
    samples = np.array([0, 16384, -32768], np.int16)
    inputs = waveform.encoder_inputs([samples])
    assert inputs["encoder_waveform"].numpy().tolist() == [[0, 0.5, -1]]
    with pytest.raises(InputError, match=r"expected a waveform `\(samples,\)`; received"):
        waveform.encoder_inputs([np.zeros((5, 2))])


def test_frames_of_another_shape_are_found_before_the_work(frames, tmp_path):
    names = [str(tmp_path / f"{number}.npy") for number in range(3)]
    size = frames.feature_dim
    for name, features in zip(names, (size, size + 1, size), strict=True):
        np.save(name, np.zeros((4, features), "float32"))
    targets = ["a"] * 3
    with pytest.raises(InputError, match=rf"1\.npy: its frames have the shape \({size + 1},\)"):
        FramePreprocessor.from_pairs(names, targets, CharacterTokenizer)
    for data in (training_data, validation_data):
        with pytest.raises(InputError, match=r"1\.npy: its frames"):
            data(frames, names, targets)
    with pytest.raises(InputError, match=r"Source 2 of 3 cannot be used: .*1\.npy: its frames"):
        frames.check_sources(names)
    np.save(names[1], np.zeros((), "float32"))
    assert "shape ()" in frames.source_problems(names)[1][1]
    sounds = WaveformPreprocessor(frames.target_tokenizer, 8000, 900, 4)
    with pytest.raises(InputError, match=r"0\.npy: expected a waveform"):
        training_data(sounds, names[:1], targets[:1])


def test_a_file_that_is_no_sound_is_named(frames, tmp_path):
    pytest.importorskip("soundfile")
    waveform = WaveformPreprocessor(frames.target_tokenizer, 8000, 900, 4)
    path = tmp_path / "broken.wav"
    path.write_bytes(b"RIFF....")
    with pytest.raises(InputError, match="broken.wav: cannot be read as sound"):
        waveform.source_lengths([path])


def test_what_makes_no_tokenizer_is_refused():
    with pytest.raises(InputError, match="`target_tokenizer` must be a class of tokenizers"):
        FramePreprocessor.from_pairs([np.ones((3, 2), np.float32)], ["a"], 3)
