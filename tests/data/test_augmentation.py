import dataclasses

import numpy as np
import pytest

from keras_seq2seq.data import (
    Augmentation,
    FramePreprocessor,
    TextPreprocessor,
    WaveformPreprocessor,
    training_data,
    validation_data,
)
from keras_seq2seq.errors import InputError
from keras_seq2seq.tokenizers import CharacterTokenizer

RNG = np.random.default_rng(0)
RATE = 8000
ALL = Augmentation(speed=0.2, noise=0.5)
TONE = np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE).astype("float32")
TARGETS = ["ab", "b", "abba", "a", "bab"]
SOUNDS = [RNG.normal(size=n).astype("float32") for n in (900, 400, 700, 650, 500)]


def drawn(augmentation, waveform=TONE, seed=1, most=2 * RATE):
    return augmentation.sound(waveform, np.random.default_rng(seed), most)


def peak_hz(waveform):
    return np.argmax(np.abs(np.fft.rfft(waveform))) * RATE / len(waveform)


def decibels(waveform):
    return 10 * np.log10(np.mean(np.square(waveform)))


def test_nothing_is_changed_by_default():
    assert not Augmentation() and all(
        Augmentation(**{field.name: 0.1}) for field in dataclasses.fields(Augmentation)
    )
    np.testing.assert_array_equal(drawn(Augmentation()), TONE)


def test_another_speed_moves_length_and_pitch_together_and_keeps_the_level():
    factors = []
    for seed in range(40):
        changed = drawn(Augmentation(speed=0.2), seed=seed)
        factors.append(RATE / len(changed))
        assert peak_hz(changed) == pytest.approx(500 * factors[-1], abs=1.5)
        assert decibels(changed) == pytest.approx(decibels(TONE), abs=0.1)
    assert 0.8 <= min(factors) < 0.85 and 1.15 < max(factors) <= 1.2


def test_frames_of_another_speed_lie_between_the_old_ones():
    line = np.linspace(0, 9, 10, dtype="float32")[:, None] * [1, -2]
    changed = Augmentation(speed=0.3).frames(line, np.random.default_rng(4), 20)
    assert len(changed) != 10
    expected = np.linspace(0, 9, len(changed))[:, None] * [1, -2]
    np.testing.assert_allclose(changed, expected, atol=1e-5)
    one = np.ones((1, 2), "float32")
    for seed in range(9):
        assert set(Augmentation(0.6).frames(one, np.random.default_rng(seed), 9).ravel()) == {1}


def test_noise_has_levels_up_to_the_given_share():
    levels = [
        decibels(drawn(Augmentation(noise=0.5), seed=seed) - TONE) - decibels(TONE)
        for seed in range(60)
    ]
    assert -46.5 < min(levels) < -40 and -10 < max(levels) < -5.5  # 0.005 to 0.5.
    np.testing.assert_array_equal(drawn(Augmentation(noise=0.5), np.zeros(9, "float32")), 0)


def test_no_version_is_longer_than_the_model_takes_or_than_was_said():
    for seed in range(30):
        assert len(drawn(ALL, seed=seed, most=8100)) <= 8100
        assert len(drawn(ALL, seed=seed)) <= ALL.longest(np.array([RATE]))[0]
        assert len(drawn(Augmentation(0.5), np.ones(1, "float32"), seed)) >= 1


@pytest.mark.parametrize("name", ["speed", "noise"])
def test_negative_numbers_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        Augmentation(**{name: -0.1})


def test_a_speed_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"`speed` must be in \[0, 1\)"):
        Augmentation(speed=1.0)


def rows(data, epochs=1):
    """`{(epoch, labels): waveform without padding}`."""
    found = {}
    for number, (inputs, labels, _) in enumerate(data.dataset.take(epochs * data.steps)):
        batch = zip(*(inputs[n].numpy() for n in WAVEFORM), labels.numpy(), strict=True)
        for waveform, length, row in batch:
            assert not waveform[length:].any()
            found[number // data.steps, tuple(row[row > 0])] = waveform[:length]
    return found


WAVEFORM = ("encoder_waveform", "encoder_lengths")


@pytest.fixture(scope="module")
def sound():
    return WaveformPreprocessor.from_pairs(
        SOUNDS, TARGETS, CharacterTokenizer, sample_rate=RATE, max_source_length=1000
    )


def test_every_epoch_has_versions_of_its_own_that_hang_on_seed_epoch_and_pair_alone(sound):
    def data(size, **place):
        return training_data(
            sound, SOUNDS, TARGETS, batch_size=size, num_buckets=2, augmentation=ALL, **place
        )

    whole = rows(data(2), 2)
    assert len(whole) == 10
    for (_, labels), waveform in rows(data(2, initial_epoch=1)).items():
        np.testing.assert_array_equal(waveform, whole[1, labels])
    for (_, labels), waveform in rows(data(3)).items():
        np.testing.assert_array_equal(waveform, whole[0, labels])
    for key, waveform in rows(data(2, seed=5)).items():
        assert not np.array_equal(waveform, whole[key])
    for epoch, labels in whole:
        assert not np.array_equal(whole[epoch, labels], whole[1 - epoch, labels])


def test_what_is_held_out_is_not_changed(sound):
    lengths, found = [], []
    for inputs, _, _ in validation_data(sound, SOUNDS, TARGETS):
        lengths += inputs["encoder_lengths"].numpy().tolist()
        found += list(inputs["encoder_waveform"].numpy())
    order = np.argsort([*map(len, SOUNDS)])
    assert lengths == [len(SOUNDS[row]) for row in order]
    for waveform, row in zip(found, order, strict=True):
        np.testing.assert_array_equal(waveform[: len(SOUNDS[row])], SOUNDS[row])


def test_sources_that_cannot_be_changed_so_are_refused():
    frames = [np.ones((5, 3), "float32")]
    preprocessor = FramePreprocessor.from_pairs(frames, ["a"], CharacterTokenizer)
    with pytest.raises(InputError, match="Noise is for sound, of frames the speed alone"):
        training_data(preprocessor, frames, ["a"], augmentation=ALL)
    training_data(preprocessor, frames, ["a"], augmentation=Augmentation(speed=0.1))
    text = TextPreprocessor.from_pairs(["a"], ["a"], CharacterTokenizer, CharacterTokenizer)
    with pytest.raises(InputError, match="Augmentation is for sound and frames"):
        training_data(text, ["a"], ["a"], augmentation=Augmentation(speed=0.1))
