import keras
import numpy as np
import pytest

from keras_seq2seq.layers import (
    AttentionalRecurrence,
    BahdanauAttention,
    LuongAttention,
    MonotonicAttention,
)

RNG = np.random.default_rng(3)
INPUTS = RNG.normal(size=(2, 4, 3)).astype("float32")
MEMORY = RNG.normal(size=(2, 5, 6)).astype("float32")
MASK = np.array([[True] * 5, [True, True, True, False, False]])


def state_of(recurrence, units=8):
    attention = recurrence.attention
    state = {"memory": MEMORY, "memory_mask": MASK}
    for index in range(len(recurrence.cells)):
        state[f"{index}_0"] = RNG.normal(size=(2, units)).astype("float32")
        state[f"{index}_1"] = RNG.normal(size=(2, units)).astype("float32")
    if attention.key_layer is not None:
        state["memory_keys"] = np.asarray(attention.keys(MEMORY))
    if recurrence.input_feeding == "attention":
        state["attention"] = np.zeros((2, attention.units), "float32")
    if attention.uses_alignment:
        state["alignment"] = np.asarray(attention.first_alignment(MASK))
    return state


def cells(count=1):
    return [keras.layers.LSTMCell(8) for _ in range(count)]


def test_input_feeding_is_luong_s_recurrence():
    recurrence = AttentionalRecurrence(cells(), LuongAttention(7), "attention")
    state = state_of(recurrence)
    outputs, _, weights = recurrence(INPUTS, state)
    fed, states = state["attention"], [state["0_0"], state["0_1"]]
    for time in range(4):
        vector = np.concatenate([INPUTS[:, time], fed], -1)
        hidden, states = recurrence.cells[0](vector, states)
        fed, alignment = recurrence.attention(hidden, MEMORY, MASK)
        np.testing.assert_allclose(outputs[:, time], fed, atol=1e-5)
        np.testing.assert_allclose(weights[:, time], alignment, atol=1e-5)


def test_context_feeding_is_bahdanau_s_recurrence():
    recurrence = AttentionalRecurrence(cells(), BahdanauAttention(7), "context")
    state = state_of(recurrence)
    outputs, _, weights = recurrence(INPUTS, state)
    attention, states = recurrence.attention, [state["0_0"], state["0_1"]]
    for time in range(4):
        _, alignment = attention(states[0], MEMORY, MASK)
        context = np.einsum("bs,bsd->bd", alignment, MEMORY)
        hidden, states = recurrence.cells[0](
            np.concatenate([INPUTS[:, time], context], -1), states
        )
        expected = attention.combine(context, hidden)
        np.testing.assert_allclose(outputs[:, time], expected, atol=1e-5)
        np.testing.assert_allclose(weights[:, time], alignment, atol=1e-5)


@pytest.mark.parametrize("feeding", ["none", "attention", "context"])
@pytest.mark.parametrize("attention", [LuongAttention, BahdanauAttention, MonotonicAttention])
def test_steps_are_the_whole_sequence(attention, feeding):
    recurrence = AttentionalRecurrence(cells(2), attention(7), feeding, residual=True)
    state = state_of(recurrence)
    outputs, last, weights = recurrence(INPUTS, state)
    for time in range(4):
        output, changed, alignment = recurrence(INPUTS[:, time], state)
        np.testing.assert_allclose(output, outputs[:, time], atol=1e-5)
        np.testing.assert_allclose(alignment, weights[:, time], atol=1e-5)
        assert set(changed) <= set(state)
        state = {**state, **changed}
    for name, tensor in last.items():
        np.testing.assert_allclose(tensor, state[name], atol=1e-5)


def test_dropout_draws_one_mask_a_sequence_and_none_outside_training():
    keras.utils.set_random_seed(0)
    settings = {"dropout": 0.5, "recurrent_dropout": 0.5}
    recurrence = AttentionalRecurrence(cells(2), LuongAttention(7), "attention", **settings)
    state = state_of(recurrence)
    still = [np.asarray(recurrence(INPUTS, state)[0]) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    trained = [np.asarray(recurrence(INPUTS, state, training=True)[0]) for _ in range(2)]
    assert np.abs(trained[0] - trained[1]).max() > 1e-3


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((None, "attention"), "Input feeding needs an attention. Received: attention=None"),
        ((None, "input"), "`input_feeding` must be one of .* Received: input_feeding='input'"),
    ],
)
def test_feedings_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        AttentionalRecurrence(cells(), *arguments)


def test_it_is_rebuilt_from_its_configuration():
    recurrence = AttentionalRecurrence(cells(2), BahdanauAttention(7), "context", dropout=0.1)
    copy = AttentionalRecurrence.from_config(recurrence.get_config())
    assert copy.get_config() == recurrence.get_config()
