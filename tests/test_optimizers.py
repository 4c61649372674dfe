import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.optimizers import FusedAdam, _function_of_jax

RNG = np.random.default_rng(2)
START = RNG.normal(size=(4, 3)).astype("float32")
GRADIENTS = RNG.normal(size=(6, 4, 3)).astype("float32")


def after_steps(optimizer, gradients):
    weight = keras.Variable(START, name="weight")
    optimizer.build([weight])
    for gradient in gradients:
        optimizer.apply([gradient], [weight])
    optimizer.finalize_variable_values([weight])
    return [np.asarray(v) for v in (weight, *optimizer.variables)]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.98, "epsilon": 1e-3},
        {"clipnorm": 0.5, "weight_decay": 0.1},
        {"global_clipnorm": 1.0, "use_ema": True, "ema_momentum": 0.9},
        {"gradient_accumulation_steps": 2},
        {"amsgrad": True},
        {"learning_rate": keras.optimizers.schedules.CosineDecay(0.1, 6)},
    ],
    ids=lambda arguments: "-".join(arguments) or "defaults",
)
def test_it_is_adam_of_keras(arguments):
    gradients = list(map(tf.constant, GRADIENTS))
    ours = after_steps(FusedAdam(**arguments), gradients)
    theirs = after_steps(keras.optimizers.Adam(**arguments), gradients)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_gradients_that_list_rows_are_those_of_keras():
    rows = [tf.IndexedSlices(GRADIENTS[0, :2], [1, 3], [4, 3])]
    ours = after_steps(FusedAdam(0.1), rows)
    theirs = after_steps(keras.optimizers.Adam(0.1), rows)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def small_model(optimizer):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer, "mse", jit_compile=False)
    return model


def test_fit_goes_on_from_what_adam_of_keras_saved(tmp_path):
    x, y = GRADIENTS[:, 0], GRADIENTS[:, 1, :2]
    theirs = small_model(keras.optimizers.Adam(0.1))
    theirs.fit(x, y, epochs=2, verbose=0)
    theirs.save_weights(tmp_path / "two.weights.h5")
    ours = small_model(FusedAdam(0.1))
    ours.optimizer.build(ours.trainable_variables)
    ours.load_weights(tmp_path / "two.weights.h5")
    for model in (ours, theirs):
        model.fit(x, y, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    ours.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, FusedAdam)


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_the_function_of_jax_is_adam_of_keras():
    theirs = after_steps(
        keras.optimizers.Adam(0.1, 0.5, 0.98, 1e-3), map(tf.constant, GRADIENTS)
    )
    m, v, weight = np.zeros_like(START), np.zeros_like(START), START
    for step, gradient in enumerate(GRADIENTS, 1):
        numbers = (np.float32(0.1), np.int32(step), 0.5, 0.98, 1e-3)
        m, v, weight = _function_of_jax()(gradient, m, v, weight, *numbers)
    for one, other in zip((weight, m, v), (theirs[0], *theirs[-2:]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
