import keras
import numpy as np
import pytest

from keras_seq2seq.layers import ScheduledSampling

# A model that after token y always writes y + 1, whatever its state.
TOKENS = np.array([[2, 10, 20, 30], [2, 10, 0, 0]], "int32")
STATE = {"count": np.zeros((2,), "int32")}


def step(token, state):
    logits = keras.ops.one_hot(token + 1, 50)
    return logits, {"count": state["count"] + 1}


@pytest.mark.parametrize(
    "schedule, step_count, expected",
    [
        ("constant", 70, 0.25),
        ("linear", 0, 1.0),
        ("linear", 40, 0.6),
        ("linear", 90, 0.25),
        ("exponential", 50, np.exp(-0.5)),
        ("inverse_sigmoid", 0, 100 / 101),
        ("inverse_sigmoid", 300, 100 / (100 + np.exp(3))),
        ("inverse_sigmoid", 100000, 0.25),
    ],
)
def test_the_schedules_are_bengio_s(schedule, step_count, expected):
    layer = ScheduledSampling(schedule, steps=100, floor=0.25)
    assert float(layer.probability(step_count)) == pytest.approx(expected, rel=1e-5)


def test_with_probability_one_the_given_tokens_stay():
    layer = ScheduledSampling("constant", floor=1.0)
    np.testing.assert_array_equal(layer(TOKENS, STATE, step=step), TOKENS)


def test_with_probability_zero_the_model_reads_what_it_wrote():
    layer = ScheduledSampling("constant", floor=0.0)
    # Start and padding stay.
    np.testing.assert_array_equal(layer(TOKENS, STATE, step=step), [[2, 3, 4, 5], [2, 3, 0, 0]])


def test_the_share_of_given_tokens_is_the_probability():
    tokens = np.full((400, 51), 30, "int32")
    layer = ScheduledSampling("constant", floor=0.7, seed=1)
    state = {"count": np.zeros((400,), "int32")}
    mixed = np.asarray(layer(tokens, state, step=step))
    assert (mixed[:, 1:] == 30).mean() == pytest.approx(0.7, abs=0.01)


def test_every_call_counts_as_a_step():
    layer = ScheduledSampling("linear", steps=2)
    np.testing.assert_array_equal(layer(TOKENS, STATE, step=step), TOKENS)
    layer(TOKENS, STATE, step=step)
    assert float(layer.step_count) == 2
    assert float(layer.probability(layer.step_count)) == 0


@pytest.mark.parametrize("settings", [{"schedule": "cosine"}, {"steps": 0}, {"floor": 1.5}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValueError, match="Received: "):
        ScheduledSampling(**settings)
