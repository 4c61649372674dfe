import keras
import pytest

from keras_seq2seq.schedules import InverseSquareRoot, LinearWarmup, noam


@pytest.mark.parametrize(
    "step, expected", [(0, 0.25), (1, 0.5), (3, 1.0), (15, 0.5), (63, 0.25)]
)
def test_it_rises_and_falls(step, expected):
    assert float(InverseSquareRoot(1.0, 4)(step)) == pytest.approx(expected)


@pytest.mark.parametrize("step", [1, 10, 4000, 10_000])
def test_noam_is_the_paper_s_equation(step):
    expected = 512**-0.5 * min(step**-0.5, step * 4000**-1.5)
    assert float(noam(512, 4000)(step - 1)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("step, expected", [(0, 0.5), (2, 1.5), (3, 2.0), (100, 2.0)])
def test_it_rises_and_stays(step, expected):
    assert float(LinearWarmup(2.0, 4)(step)) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", [InverseSquareRoot, LinearWarmup])
def test_an_optimizer_takes_it_and_gives_it_back(schedule):
    optimizer = keras.optimizers.Adam(schedule(0.1, 10))
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert float(copy.learning_rate) == pytest.approx(0.01)


@pytest.mark.parametrize("schedule", [InverseSquareRoot, LinearWarmup])
@pytest.mark.parametrize("arguments", [(0.0, 4), (1.0, 0)])
def test_values_out_of_range_are_refused(schedule, arguments):
    with pytest.raises(ValueError, match="`peak` must be above 0 and `warmup_steps`"):
        schedule(*arguments)
