import subprocess
import sys

import keras
import pytest

from keras_seq2seq.losses import SmoothedCrossentropy
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.schedules import InverseSquareRoot, LinearWarmup, noam
from tests.zoo import MODELS


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


@pytest.mark.large
def test_a_compiled_model_loads_after_one_import(tmp_path):
    model = Seq2Seq(*MODELS["general"]())
    model.compile(keras.optimizers.Adam(InverseSquareRoot(0.1, 10)), SmoothedCrossentropy(0.1))
    model.save(tmp_path / "model.keras")
    program = (
        "import keras, keras_seq2seq.models;"
        f"model = keras.saving.load_model({str(tmp_path / 'model.keras')!r});"
        "print(type(model.loss).__name__, model.loss.label_smoothing)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["SmoothedCrossentropy", "0.1"], done.stderr
