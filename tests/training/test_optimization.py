"""Optimizers and learning rates against NumPy and against plain batches."""

import keras
import numpy as np
import pytest

from training.run.callbacks import Warmup
from training.run.optimization import (
    build_learning_rate,
    build_optimizer,
    plateau_callbacks,
    precision,
)
from training.settings import TrainingConfig


def rate(learning_rate, step):
    return float(learning_rate(step)) if callable(learning_rate) else learning_rate


@pytest.mark.parametrize("schedule", ["cosine", "inverse_square_root", "constant"])
def test_every_schedule_warms_up_in_updates(schedule):
    config = TrainingConfig(
        schedule=schedule, warmup_steps=10, learning_rate=1.0, gradient_accumulation=3
    )
    learning_rate = build_learning_rate(config, total_steps=300)
    rates = [rate(learning_rate, step) for step in range(31)]
    assert rates[0] < 0.05 and rates[15] == pytest.approx(0.5, abs=0.05)
    assert max(rates) == pytest.approx(1.0, abs=0.02)
    assert np.argmax(rates) in (29, 30)


@pytest.mark.parametrize("schedule", ["cosine", "constant", "plateau"])
def test_no_warm_up_begins_at_the_peak(schedule):
    config = TrainingConfig(schedule=schedule, warmup_steps=0, learning_rate=0.5)
    assert rate(build_learning_rate(config, 100), 0) == pytest.approx(0.5)


def test_a_plateau_warms_up_and_then_leaves_the_rate_to_its_callback():
    model = keras.Sequential([keras.layers.Dense(1)])
    config = TrainingConfig(schedule="plateau", warmup_steps=4, learning_rate=0.8)
    model.compile(build_optimizer(config, 100), "mse")
    rates = []

    class Record(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rates.append(float(model.optimizer.learning_rate))
            if batch == 5:
                model.optimizer.learning_rate = 0.1

    warmup = plateau_callbacks(config, "loss")[0]
    assert isinstance(warmup, Warmup)
    x = np.ones((7, 1), "float32")
    model.fit(x, x, batch_size=1, verbose=0, callbacks=[warmup, Record()])
    np.testing.assert_allclose(rates, [0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.1], rtol=1e-6)


def steps(config, gradients):
    """One weight `[3, 4]` after these gradients; plain gradient descent at rate 1."""
    optimizer = build_optimizer(
        config.replace(optimizer="sgd", schedule="constant", warmup_steps=0, learning_rate=1.0),
        100,
    )
    weights = [keras.Variable([3.0, 4.0]), keras.Variable([0.0], name="bias")]
    optimizer.build(weights)
    for gradient in gradients:
        optimizer.apply([keras.ops.array(part) for part in gradient])
    return [keras.ops.convert_to_numpy(weight) for weight in weights], optimizer


GRADIENT = ([3.0, 0.0], [4.0])  # A global norm of 5.


def test_clipping_is_of_each_weight_or_of_all_together():
    (first, second), _ = steps(TrainingConfig(clipnorm=1.0), [GRADIENT])
    np.testing.assert_allclose([*first, *second], [2.0, 4.0, -1.0])
    (first, second), _ = steps(TrainingConfig(global_clipnorm=1.0), [GRADIENT])
    np.testing.assert_allclose([*first, *second], [2.4, 4.0, -0.8], rtol=1e-6)
    (first, second), _ = steps(TrainingConfig(clipnorm=0.0), [GRADIENT])
    np.testing.assert_allclose([*first, *second], [0.0, 4.0, -4.0])


def test_accumulated_gradients_are_one_update_of_their_mean():
    config = TrainingConfig(clipnorm=0.0, gradient_accumulation=2)
    (first, second), _ = steps(config, [([2.0, 0.0], [1.0])])
    np.testing.assert_allclose([*first, *second], [3.0, 4.0, 0.0])
    (first, second), _ = steps(config, [([2.0, 0.0], [1.0]), ([0.0, 2.0], [3.0])])
    np.testing.assert_allclose([*first, *second], [2.0, 3.0, -2.0])


def test_weight_decay_spares_biases():
    config = TrainingConfig(weight_decay=0.5)
    optimizer = build_optimizer(config.replace(schedule="constant", warmup_steps=0), 100)
    kernel, bias = keras.Variable([1.0], name="kernel"), keras.Variable([1.0], name="bias")
    optimizer.build([kernel, bias])
    optimizer.apply([keras.ops.zeros(1), keras.ops.zeros(1)])
    np.testing.assert_allclose(kernel, [1 - 0.5 * 1e-3], rtol=1e-6)
    np.testing.assert_allclose(bias, [1.0])


@pytest.mark.parametrize(
    ("accumulated", "values"), [(1, [2.0, 1.0, 0.0]), (2, [2.0, 2.0, 1.0, 1.0, 0.0])]
)
def test_the_average_forgets_at_its_momentum_an_update(accumulated, values):
    config = TrainingConfig(ema=0.81, clipnorm=0.0, gradient_accumulation=accumulated)
    weights, optimizer = steps(config, [([1.0, 0.0], [0.0])] * 3 * accumulated)
    assert weights[0][0] == 0.0
    averages = [keras.Variable(weight) for weight in weights]
    optimizer.finalize_variable_values(averages)
    # It begins at the first update's value, then sees the weight after every batch.
    expected, momentum = values[0], 0.81 ** (1 / accumulated)
    for value in values[1:]:
        expected = momentum * expected + (1 - momentum) * value
    assert float(averages[0][0]) == pytest.approx(expected, rel=1e-5)


def test_beta_2_reaches_adam():
    assert build_optimizer(TrainingConfig(beta_2=0.98), 10).beta_2 == 0.98


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float32"])
def test_the_precision_holds_inside_the_block_alone(policy):
    before = keras.config.dtype_policy().name
    with precision(policy):
        layer = keras.layers.Dense(1)
    assert layer.dtype_policy.name == policy and layer.variable_dtype == "float32"
    assert keras.config.dtype_policy().name == before
