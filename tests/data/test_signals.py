"""What is done to a waveform before it is a source."""

import numpy as np
import pytest

from keras_seq2seq.data import change_speed


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
@pytest.mark.parametrize("percent", [80, 100, 150])
def test_a_tone_at_another_speed_is_shorter_and_higher(percent, dtype):
    tone = 10_000 * np.sin(np.arange(8000) * (2 * np.pi * 200 / 8000))
    changed = change_speed(tone.astype(dtype), percent)
    assert changed.dtype == dtype and len(changed) == -(-8000 * 100 // percent)
    expected = 10_000 * np.sin(np.arange(len(changed)) * (2 * np.pi * 2 * percent / 8000))
    # The filter sees silence before the first sample and after the last.
    middle = slice(200, -200)
    np.testing.assert_allclose(changed[middle], expected[middle], atol=60)


def test_samples_at_the_limits_stay_within_them():
    square = np.repeat(np.array([32767, -32768] * 20, np.int16), 20)
    changed = change_speed(square, 90)
    assert changed.max() == 32767 and changed.min() == -32768


def test_nothing_at_another_speed_is_nothing():
    assert change_speed(np.zeros(0, np.int16), 80).shape == (0,)


def test_a_speed_below_one_percent_is_refused():
    with pytest.raises(ValueError, match="`percent` must be at least 1. Received: percent=0"):
        change_speed(np.zeros(8, np.float32), 0)
