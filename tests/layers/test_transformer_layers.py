import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.layers import (
    DotProductAttention,
    KeyValueCache,
    LearnedPositions,
    RelativePositions,
    RelativeVectors,
    RotaryPositions,
    SinusoidalPositions,
    SplitHeads,
    lineage_mask,
)

RNG = np.random.default_rng(0)
QUERY = RNG.normal(size=(2, 3, 8)).astype("float32")
KEY = RNG.normal(size=(2, 5, 8)).astype("float32")
VALUE = RNG.normal(size=(2, 5, 8)).astype("float32")
MASK = np.array([[True] * 5, [True, True, False, False, False]])


def numpy_attention(query, key, value, num_heads, allowed):
    """Equation 1 of Vaswani et al. (2017), head by head."""
    outputs, weights = [], []
    for head in np.split(np.arange(8), num_heads):
        scores = query[..., head] @ key[..., head].transpose(0, 2, 1) / np.sqrt(len(head))
        exponentials = np.where(allowed, np.exp(scores), 0)
        weights.append(exponentials / exponentials.sum(-1, keepdims=True))
        outputs.append(weights[-1] @ value[..., head])
    return np.concatenate(outputs, -1), np.mean(weights, 0)


@pytest.mark.parametrize("num_heads", [1, 2, 8])
def test_attention_is_the_paper_s_equation(num_heads):
    output, weights = DotProductAttention(num_heads)(QUERY, KEY, VALUE, MASK)
    expected = numpy_attention(QUERY, KEY, VALUE, num_heads, MASK[:, None])
    np.testing.assert_allclose(output, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, expected[1], atol=1e-5)


def test_causal_attention_sees_no_later_key():
    layer = DotProductAttention(2, use_causal_mask=True)
    output, weights = layer(KEY, KEY, VALUE)
    expected = numpy_attention(KEY, KEY, VALUE, 2, np.tri(5, dtype=bool)[None])
    np.testing.assert_allclose(output, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, expected[1], atol=1e-5)


def test_a_row_without_anything_to_attend_to_is_finite():
    output, _ = DotProductAttention(2)(QUERY, KEY, VALUE, np.zeros((2, 5), bool))
    np.testing.assert_allclose(output, np.repeat(VALUE.mean(1, keepdims=True), 3, 1), atol=1e-5)


def test_heads_must_divide_the_size():
    with pytest.raises(ValueError, match="Received: num_heads=3, size 8"):
        DotProductAttention(3)(QUERY, KEY, VALUE)


def test_positions_are_sines_and_cosines():
    received = SinusoidalPositions()(np.ones((1, 3, 4), "float32"))
    angles = np.arange(3)[:, None] * np.array([1, 0.01])
    expected = 1 + np.concatenate([np.sin(angles), np.cos(angles)], -1)
    np.testing.assert_allclose(received[0], expected, atol=1e-6)


def test_given_positions_are_used():
    layer = SinusoidalPositions()
    whole = layer(QUERY)
    for time in range(3):
        one = layer(QUERY[:, time : time + 1], np.full((2, 1), time, "int32"))
        np.testing.assert_allclose(one[:, 0], whole[:, time], atol=1e-6)


def test_an_odd_size_is_refused():
    with pytest.raises(ValueError, match="even size. Received: 3"):
        SinusoidalPositions()(np.ones((1, 3, 3)))


def test_attention_survives_its_config():
    layer = DotProductAttention(2, use_causal_mask=True, dropout=0.5)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (copy.num_heads, copy.use_causal_mask, copy.dropout) == (2, True, 0.5)


@pytest.mark.parametrize("layer_class", [LearnedPositions, RotaryPositions])
def test_a_position_alone_is_as_in_the_sequence(layer_class):
    layer = layer_class(4)
    vectors = RNG.normal(size=(2, 3, 8)).astype("float32")
    whole = layer(vectors)
    for time in range(3):
        one = layer(vectors[:, time : time + 1], positions=np.full((2, 1), time, "int32"))
        np.testing.assert_allclose(one[:, 0], whole[:, time], atol=1e-5)


def test_products_of_rotary_vectors_know_the_distance_alone():
    layer = RotaryPositions(2)
    query, key = (RNG.normal(size=(1, 1, 8)).astype("float32") for _ in range(2))

    def product(query_position, key_position):
        turned = [
            np.asarray(layer(vector, positions=np.array([[position]], "int32")))
            for vector, position in ((query, query_position), (key, key_position))
        ]
        return np.sum(turned[0] * turned[1])

    assert product(3, 1) == pytest.approx(product(12, 10), abs=1e-4)
    assert product(3, 1) != pytest.approx(product(3, 2), abs=1e-3)


def test_part_of_each_head_turns_by_the_formula():
    layer = RotaryPositions(2, size=2, base=100.0, factor=4.0)
    vectors = RNG.normal(size=(1, 3, 8)).astype("float32")
    expected = vectors.copy()
    for head in (0, 4):  # One angle, since two dimensions turn together.
        for position in range(3):
            cosine, sine = np.cos(position / 4), np.sin(position / 4)
            left, right = vectors[0, position, head : head + 2]
            turned = left * cosine - right * sine, right * cosine + left * sine
            expected[0, position, head : head + 2] = turned
    np.testing.assert_allclose(layer(vectors), expected, atol=1e-6)
    # The second angle of four dimensions is that of the base.
    one = np.asarray(RotaryPositions(1, base=100.0)(np.ones((1, 3, 4), "float32")))
    assert one[0, 2, 1] == pytest.approx(np.cos(0.2) - np.sin(0.2), abs=1e-6)


@pytest.mark.parametrize("size", [3, 6, 0])
def test_what_cannot_turn_is_refused(size):
    with pytest.raises(ValueError, match=f"Received: {size} of 4"):
        RotaryPositions(2, size=size)(np.ones((1, 3, 8), "float32"))


@pytest.mark.parametrize("length", [1, 2, 5])
def test_relative_vectors_are_the_paper_s_equations(length):
    # Equations 3 and 4 of Shaw et al. (2018), key by key.
    of_keys, of_values = RelativeVectors(4, 2), RelativeVectors(4, 2)
    distances = np.arange(1 - length, length)[None]
    keys, values = (np.asarray(layer(distances)) for layer in (of_keys, of_values))
    query, key, value = RNG.normal(size=(3, 2, length, 8)).astype("float32")
    mask = np.arange(length)[None] < [[length], [max(1, length - 2)]]
    output, weights = DotProductAttention(2)(query, key, value, mask, None, keys, values)
    tables = np.asarray(of_keys.vectors), np.asarray(of_values.vectors)
    clipped = np.clip(np.arange(length) - np.arange(length)[:, None], -2, 2) + 2
    of_key, of_value = (table[clipped] for table in tables)
    mean = 0
    for head in (slice(0, 4), slice(4, 8)):
        q, k, v = (array[..., head] for array in (query, key, value))
        scores = np.einsum("btd,btsd->bts", q, k[:, None] + of_key) / 2
        one = np.where(mask[:, None], np.exp(scores), 0)
        one /= one.sum(-1, keepdims=True)
        expected = np.einsum("bts,btsd->btd", one, v[:, None] + of_value)
        np.testing.assert_allclose(np.asarray(output)[..., head], expected, atol=1e-5)
        mean = mean + one / 2
    np.testing.assert_allclose(weights, mean, atol=1e-5)


@pytest.mark.parametrize("layer_class", [RelativePositions, RelativeVectors])
def test_tables_that_are_looked_up_have_a_dense_gradient(layer_class):
    places = tf.range(4)[None]
    # The distance 1 is there three times: one update of its row, not three.
    given = (places, places) if layer_class is RelativePositions else (places - 1,)
    layer = layer_class(2, max_distance=8)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(*given, training=True))
    (gradient,) = tape.gradient(loss, layer.trainable_variables)
    assert isinstance(gradient, tf.Tensor) and gradient.shape == layer.weights[0].shape
    assert tf.reduce_sum(gradient) == tf.cast(tf.size(layer(*given)), "float32")


def test_relative_buckets_are_exact_near_by_and_shared_far_away():
    layer = RelativePositions(1, causal=True, num_buckets=8, max_distance=16)
    # By the formula of Raffel et al.: 4 exact buckets, 4 for distances 4 to 16 and beyond.
    distance = np.array([[[0, 1, 2, 3, 4, 5, 6, 8, 12, 16, 99]]])
    expected = [0, 1, 2, 3, 4, 4, 5, 6, 7, 7, 7]
    np.testing.assert_array_equal(layer._bucket(distance)[0, 0], expected)


def test_relative_buckets_tell_before_from_after():
    layer = RelativePositions(1, num_buckets=8, max_distance=16)
    buckets = np.asarray(layer._bucket(np.array([[[-3, -1, 0, 1, 3]]])))[0, 0]
    np.testing.assert_array_equal(buckets, [6, 5, 0, 1, 2])


def test_a_relative_bias_depends_on_the_distance_and_the_head():
    layer = RelativePositions(2)
    places = np.arange(5)[None]
    bias = np.asarray(layer(places, places))
    assert bias.shape == (1, 2, 5, 5)
    np.testing.assert_allclose(bias[0, :, 1, 3], bias[0, :, 2, 4])
    assert np.abs(bias[0, 0] - bias[0, 1]).max() > 1e-3


def test_a_bias_is_added_to_the_scores():
    bias = RNG.normal(size=(2, 1, 3, 5)).astype("float32")
    _, weights = DotProductAttention(1)(QUERY, KEY, VALUE, MASK, bias)
    scores = QUERY @ KEY.transpose(0, 2, 1) / np.sqrt(8) + bias[:, 0]
    exponentials = np.where(MASK[:, None], np.exp(scores), 0)
    expected = exponentials / exponentials.sum(-1, keepdims=True)
    np.testing.assert_allclose(weights, expected, atol=1e-5)


def test_split_heads_are_what_the_attention_splits_itself():
    for num_heads in (1, 2):
        expected, weights = DotProductAttention(num_heads)(QUERY, KEY, VALUE, MASK)
        key = SplitHeads(num_heads)(KEY)
        value = SplitHeads(num_heads)(VALUE)
        assert key.shape == (KEY.shape[0], num_heads, KEY.shape[1], KEY.shape[2] // num_heads)
        received, same = DotProductAttention(num_heads)(QUERY, key, value, MASK)
        np.testing.assert_allclose(received, expected, atol=1e-6)
        np.testing.assert_allclose(same, weights, atol=1e-6)
        one, _ = DotProductAttention(num_heads)(QUERY[:, :1], key, value, MASK)
        np.testing.assert_allclose(one[:, 0], expected[:, 0], atol=1e-6)


def test_queries_that_share_a_key_get_what_repeated_keys_give():
    key, value = SplitHeads(2)(KEY), SplitHeads(2)(VALUE)
    queries = np.random.default_rng(3).normal(size=(6, 1, 8)).astype("float32")
    shared = DotProductAttention(2, shared=True)(queries, key, value, MASK)
    repeated = [np.repeat(tensor, 3, axis=0) for tensor in (KEY, VALUE, MASK)]
    for received, expected in zip(
        shared, DotProductAttention(2)(queries, *repeated), strict=True
    ):
        np.testing.assert_allclose(received, expected, atol=1e-6)


def test_a_mask_of_each_query_is_a_mask_of_one_query_at_a_time():
    masks = RNG.random((2, 3, 5)) < 0.6
    masks[:, :, 0] = True
    output, weights = DotProductAttention(2)(QUERY, KEY, VALUE, masks)
    for place in range(3):
        one = slice(place, place + 1)
        alone = DotProductAttention(2)(QUERY[:, one], KEY, VALUE, masks[:, place])
        np.testing.assert_allclose(output[:, one], alone[0], atol=1e-6)
        np.testing.assert_allclose(weights[:, one], alone[1], atol=1e-6)


@pytest.mark.parametrize("family", [1, 3])
def test_a_cache_with_room_is_the_one_that_grows(family):
    cache = KeyValueCache(max_length=4)
    news = RNG.normal(size=(4, 2, 5, family, 6)).astype("float32")
    grown = np.zeros((2, 5, 0, 6), "float32")
    whole = np.zeros((2, 5, 4 * family, 6), "float32")
    for position, new in enumerate(news):
        grown, places = cache(grown, new, position=np.full((2, 1), position))
        whole, all_places = cache(whole, new, position=np.int32(position))
        written = (position + 1) * family
        np.testing.assert_array_equal(grown, np.concatenate(news[: position + 1], 2))
        np.testing.assert_array_equal(whole[:, :, :written], grown)
        np.testing.assert_array_equal(whole[:, :, written:], 0)
        np.testing.assert_array_equal(places[0], np.repeat(range(position + 1), family))
    np.testing.assert_array_equal(all_places[0], np.repeat(range(4), family))


def test_rows_at_different_positions_are_written_where_they_are():
    new = np.ones((2, 1, 1, 3), "float32")
    cache, _ = KeyValueCache(4)(np.zeros((2, 1, 4, 3), "float32"), new, np.array([[1], [3]]))
    np.testing.assert_array_equal(np.asarray(cache)[:, 0, :, 0], [[0, 1, 0, 0], [0, 0, 0, 1]])


def test_a_lineage_says_which_entries_are_ancestors():
    # Both hypotheses go on from the second one of the first step; a third is to come.
    lineage = np.array([[[1, 0, -1], [1, 1, -1]]], "int32")
    expected = [[[0, 1, 1, 0, 0, 0], [0, 1, 0, 1, 0, 0]]]
    np.testing.assert_array_equal(lineage_mask(lineage), np.array(expected, bool))
