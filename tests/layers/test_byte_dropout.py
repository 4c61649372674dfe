import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.layers import ByteDropout
from keras_seq2seq.layers.byte_dropout import _drop_in_jax


def dropped(layer, values):
    return np.asarray(layer(values, training=True))


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.9, 0.9999])
def test_a_share_is_dropped_and_the_mean_kept(rate):
    values = dropped(ByteDropout(rate, seed=1), np.ones((1000, 1001), "float32"))
    rounded = min(max(round(256 * rate), 1), 255) / 256
    assert np.mean(values == 0) == pytest.approx(rounded, abs=0.002)
    np.testing.assert_allclose(values[values != 0], 1 / (1 - rounded), rtol=1e-6)
    assert abs(rounded - rate) <= 1 / 256


def test_places_are_dropped_independently():
    zeros = dropped(ByteDropout(0.5, seed=2), np.ones((500, 4, 250), "float32")) == 0
    zeros = zeros.reshape(-1, 4)
    # Four neighbours are the bytes of one word: all 16 combinations are equally frequent.
    counts = np.bincount(zeros @ [1, 2, 4, 8], minlength=16)
    expected = len(zeros) / 16
    # The 0.9999 quantile of chi-square with 15 degrees of freedom.
    assert np.sum((counts - expected) ** 2 / expected) < 44.3
    assert not np.array_equal(zeros[:1000], zeros[1000:2000])


@pytest.mark.parametrize("shape", [(1,), (2,), (3,), (5, 1), (0, 4), (3, 7, 5)])
def test_every_size_is_served(shape):
    assert dropped(ByteDropout(0.3), np.ones(shape, "float32")).shape == shape


def test_the_gradient_passes_where_a_value_passed():
    values = tf.random.normal((50, 30))
    with tf.GradientTape() as tape:
        tape.watch(values)
        output = ByteDropout(0.25, seed=3)(values, training=True)
    gradient = tape.gradient(output, values)
    kept = np.asarray(output) != 0
    np.testing.assert_allclose(gradient, np.where(kept, 256 / 192, 0), rtol=1e-6)


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_nothing_is_dropped_at_inference(rate):
    values = np.arange(12, dtype="float32")
    np.testing.assert_array_equal(ByteDropout(rate)(values), values)


def test_a_seed_gives_the_same_masks_and_each_call_another():
    values = np.ones((20, 20), "float32")
    one, other = ByteDropout(0.5, seed=4), ByteDropout(0.5, seed=4)
    first = dropped(one, values)
    np.testing.assert_array_equal(first, dropped(other, values))
    assert not np.array_equal(first, dropped(one, values))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_it_compiles_and_forgets_what_is_not_a_number(jit_compile):
    layer = ByteDropout(0.5, seed=5)

    @tf.function(jit_compile=jit_compile, input_signature=[tf.TensorSpec([None, None])])
    def call(values):
        return layer(values, training=True)

    output = np.asarray(call(np.full((30, 31), np.nan, "float32")))
    assert 0.3 < np.mean(output == 0) < 0.7


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision(policy):
    layer = ByteDropout(0.5, dtype=policy)
    output = layer(tf.ones((8, 8)), training=True)
    assert output.dtype == policy.removeprefix("mixed_")
    assert set(np.unique(tf.cast(output, "float32"))) == {0.0, 2.0}


def test_a_noise_shape_is_that_of_keras():
    rows = dropped(ByteDropout(0.5, noise_shape=(None, 1), seed=6), np.ones((64, 8), "float32"))
    assert all(len(set(row)) == 1 for row in rows)


def test_it_is_saved_with_its_rate(tmp_path):
    model = keras.Sequential([keras.Input((3,)), ByteDropout(0.2)])
    model.save(tmp_path / "model.keras")
    (layer,) = keras.saving.load_model(tmp_path / "model.keras").layers
    assert isinstance(layer, ByteDropout) and layer.rate == 0.2


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_the_words_that_jax_mixes_are_independent():
    import jax

    drop = jax.jit(_drop_in_jax, static_argnums=2)
    ones = np.ones((500, 4, 250), "float32")

    def zeros(*seed, rate=0.5):
        return np.asarray(drop(ones, np.array(seed, "uint32"), rate)) == 0

    masks = [zeros(*seed) for seed in ((1, 0), (1, 1), (2, 0), (3, 0))]
    # Neighbours in a row, in a column, of another step and of other layers.
    for mask in (masks[0], np.moveaxis(masks[0], 0, 2), np.stack(masks, -1)):
        counts = np.bincount(mask.reshape(-1, 4) @ [1, 2, 4, 8], minlength=16)
        expected = mask.size / 4 / 16
        assert np.sum((counts - expected) ** 2 / expected) < 44.3
    assert np.mean(zeros(5, 6, rate=0.1)) == pytest.approx(0.1, abs=0.002)
    np.testing.assert_array_equal(masks[0], zeros(1, 0))
    values = np.linspace(-1, 1, 600, dtype="float32").reshape(20, 30)
    seed = np.array([7, 8], "uint32")
    slope = jax.grad(lambda v: (_drop_in_jax(v, seed, 0.25) ** 2).sum())(values)
    np.testing.assert_allclose(slope, 2 * np.asarray(drop(values, seed, 0.25)) / 0.75, 1e-5)
