import random
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.data import (
    TextPreprocessor,
    make_buckets,
    training_data,
    validation_data,
)
from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import PAD_ID
from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer

GENERATOR = random.Random(0)
SOURCES = ["".join(GENERATOR.choices("abc", k=GENERATOR.randint(1, 12))) for _ in range(60)]
TARGETS = [" ".join(source.upper()[: len(source) // 2 + 1]) for source in SOURCES]
LENGTHS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def preprocessor():
    return TextPreprocessor.from_pairs(
        SOURCES, TARGETS, CharacterTokenizer, SymbolTokenizer, lowercase_source=True
    )


def arrays(batch):
    inputs, labels, weights = batch
    return (
        inputs["encoder_token_ids"].numpy(),
        inputs["decoder_token_ids"].numpy(),
        labels.numpy(),
        weights.numpy(),
    )


def epochs(data, count=1):
    """The batches of the first epochs, each a list, as nested lists of numbers."""
    batches = [
        [array.tolist() for array in arrays(batch)]
        for batch in data.dataset.take(count * data.steps)
    ]
    return [batches[i * data.steps : (i + 1) * data.steps] for i in range(count)]


def pairs_of(preprocessor, batches):
    rows = Counter()
    for encoder, _, labels, _ in batches:
        sources = preprocessor.source_tokenizer.detokenize(encoder).numpy()
        targets = preprocessor.target_tokenizer.detokenize(labels).numpy()
        rows.update(
            (source.decode(), target.decode())
            for source, target in zip(sources, targets, strict=True)
        )
    return rows


@pytest.mark.parametrize(
    ("count", "batch_size", "num_buckets"),
    [(60, 7, 4), (60, 1, 3), (60, 1000, 8), (60, 8, 1), (1, 64, 8), (2, 1, 8), (13, 5, 2)],
)
def test_every_pair_occurs_once_an_epoch(preprocessor, count, batch_size, num_buckets):
    sources, targets = SOURCES[:count], TARGETS[:count]
    data = training_data(
        preprocessor, sources, targets, batch_size=batch_size, num_buckets=num_buckets
    )
    expected = Counter(zip(sources, targets, strict=True))
    for epoch in epochs(data, 2):
        assert pairs_of(preprocessor, epoch) == expected
        assert max(len(encoder) for encoder, *_ in epoch) <= batch_size


def test_the_last_smaller_batch_is_kept(preprocessor):
    data = training_data(preprocessor, SOURCES[:10], TARGETS[:10], batch_size=4, num_buckets=1)
    (epoch,) = epochs(data)
    assert data.steps == 3
    assert [len(encoder) for encoder, *_ in epoch] == [4, 4, 2]


def test_repeated_pairs_all_occur(preprocessor):
    data = training_data(preprocessor, ["ab"] * 5, ["A"] * 5, batch_size=2, num_buckets=3)
    assert data.steps == 3
    assert pairs_of(preprocessor, epochs(data)[0]) == {("ab", "A"): 5}


def test_a_resumed_run_sees_the_batches_of_the_uninterrupted_one(preprocessor):
    def start(epoch):
        return training_data(
            preprocessor, SOURCES, TARGETS, batch_size=7, seed=3, initial_epoch=epoch
        )

    uninterrupted = epochs(start(0), 4)
    assert epochs(start(1), 3) == uninterrupted[1:]
    assert epochs(start(3), 1) == uninterrupted[3:]


def test_the_same_seed_gives_the_same_batches(preprocessor):
    first, second = (
        epochs(training_data(preprocessor, SOURCES, TARGETS, batch_size=7, seed=5), 2)
        for _ in range(2)
    )
    assert first == second


def test_epochs_and_seeds_differ_in_order(preprocessor):
    orders = [
        epoch
        for seed in (1, 2)
        for epoch in epochs(
            training_data(preprocessor, SOURCES, TARGETS, batch_size=7, seed=seed), 2
        )
    ]
    assert all(one != other for i, one in enumerate(orders) for other in orders[:i])


def test_batches_are_padded_to_the_lengths_of_their_bucket(preprocessor):
    data = training_data(preprocessor, SOURCES, TARGETS, batch_size=7, num_buckets=4)
    buckets = data.buckets
    shapes = list(zip(buckets.source_lengths, buckets.target_lengths, strict=True))
    assert len(shapes) > 1
    bucket_of = {
        (source, target): shapes[bucket]
        for source, target, bucket in zip(SOURCES, TARGETS, buckets.index, strict=True)
    }
    for batch in epochs(data)[0]:
        encoder, decoder, labels, weights = map(np.array, batch)
        assert decoder.shape == labels.shape == weights.shape
        assert {bucket_of[pair] for pair in pairs_of(preprocessor, [batch])} == {
            (encoder.shape[1], labels.shape[1])
        }


def test_a_batch_holds_what_the_preprocessor_makes_of_its_pairs(preprocessor):
    data = training_data(preprocessor, SOURCES, TARGETS, batch_size=7, num_buckets=4)
    for batch in data.dataset.take(data.steps):
        encoder, _, labels, _ = got = arrays(batch)
        sources = preprocessor.source_tokenizer.detokenize(encoder)
        targets = preprocessor.target_tokenizer.detokenize(labels)
        for array, direct in zip(got, arrays(preprocessor(sources, targets)), strict=True):
            assert array[:, : direct.shape[1]].tolist() == direct.tolist()
            assert not array[:, direct.shape[1] :].any()


def test_sources_are_lower_cased_when_the_tokenizer_says_so(preprocessor):
    upper = [source.upper() for source in SOURCES]
    lower_batches, upper_batches = (
        epochs(training_data(preprocessor, sources, TARGETS, batch_size=16))
        for sources in (SOURCES, upper)
    )
    assert upper_batches == lower_batches


def test_pairs_of_equal_length_need_no_padding(preprocessor):
    sources = ["".join(GENERATOR.choices("abc", k=4)) for _ in range(9)]
    targets = [" ".join(source.upper()) for source in sources]
    data = training_data(preprocessor, sources, targets, batch_size=4)
    assert len(data.buckets.batch_sizes) == 1
    assert data.steps == 3
    for encoder, _, labels, weights in epochs(data)[0]:
        assert PAD_ID not in np.array([encoder, labels])
        assert np.all(weights)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 70), st.integers(1, 10))
def test_buckets_hold_their_pairs_tightly(lengths, batch_size, num_buckets):
    source, target = np.array(lengths).T
    buckets = make_buckets(source, target, batch_size, num_buckets)
    count = len(buckets.batch_sizes)
    assert count <= num_buckets
    assert sorted(set(buckets.index)) == list(range(count))
    for bucket in range(count):
        inside = buckets.index == bucket
        assert buckets.source_lengths[bucket] == source[inside].max()
        assert buckets.target_lengths[bucket] == target[inside].max()
    longer = np.maximum(source, target)
    by_length = buckets.index[np.argsort(longer, kind="stable")]
    assert (np.diff(by_length) >= 0).all()
    for length in set(longer):
        assert len(set(buckets.index[longer == length])) == 1


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 70), st.integers(1, 10))
def test_steps_count_the_batches_of_every_bucket(lengths, batch_size, num_buckets):
    source, target = np.array(lengths).T
    buckets = make_buckets(source, target, batch_size, num_buckets)
    steps = 0
    for bucket in range(len(buckets.batch_sizes)):
        pairs = int((buckets.index == bucket).sum())
        steps += len(range(0, pairs, batch_size))
    assert buckets.steps == steps


def test_buckets_of_many_lengths_have_about_equal_counts():
    lengths = np.random.default_rng(0).permutation(np.arange(1, 1001))
    buckets = make_buckets(lengths, lengths // 2 + 1, 64, 4)
    assert len(buckets.batch_sizes) == 4
    assert np.abs(np.bincount(buckets.index) - 250).max() <= 4


def test_the_longer_side_decides_the_bucket():
    buckets = make_buckets(np.array([1] * 6), np.array([2, 2, 2, 9, 9, 9]), 2, 1)
    assert buckets.source_lengths.tolist() == [1]
    assert buckets.target_lengths.tolist() == [9]
    by_target = make_buckets(np.ones(90, int), np.repeat([2, 5, 9], 30), 2, 9)
    assert by_target.index.tolist() == [0] * 30 + [1] * 30 + [2] * 30


def test_validation_holds_every_pair_once_in_order_of_length(preprocessor):
    batches = [
        arrays(batch)
        for batch in validation_data(preprocessor, SOURCES, TARGETS, batch_size=25)
    ]
    assert [len(encoder) for encoder, *_ in batches] == [25, 25, 10]
    assert pairs_of(preprocessor, batches) == Counter(zip(SOURCES, TARGETS, strict=True))
    lengths = [int((row != PAD_ID).sum()) for encoder, *_ in batches for row in encoder]
    assert lengths == sorted(lengths)


def test_validation_batches_are_those_of_the_preprocessor(preprocessor):
    (batch,) = validation_data(preprocessor, ["abc", "a"], ["A B", "C"])
    for array, direct in zip(
        arrays(batch), arrays(preprocessor(["a", "abc"], ["C", "A B"])), strict=True
    ):
        assert array.tolist() == direct.tolist()


def test_validation_order_is_the_same_every_time(preprocessor):
    data = validation_data(preprocessor, SOURCES, TARGETS, batch_size=25)
    first, second = ([arrays(batch)[0].tolist() for batch in islice(data, 3)] for _ in range(2))
    assert first == second


def test_no_pipeline_tunes_itself(preprocessor):
    # At its end it would wait for its tuner.
    training = training_data(preprocessor, ["ab"], ["AA BB"]).dataset
    for dataset in (training, validation_data(preprocessor, ["ab"], ["AA BB"])):
        assert dataset.options().autotune.enabled is False


@settings(max_examples=50)
@given(LENGTHS, st.integers(1, 200), st.integers(1, 6))
def test_a_batch_stays_within_its_tokens_and_wastes_less_than_a_pair(
    lengths, batch_tokens, num_buckets
):
    source, target = np.array(lengths).T
    buckets = make_buckets(source, target, 64, num_buckets, batch_tokens)
    longer = np.maximum(buckets.source_lengths, buckets.target_lengths)
    assert (buckets.batch_sizes >= 1).all()
    assert ((buckets.batch_sizes * longer <= batch_tokens) | (buckets.batch_sizes == 1)).all()
    assert ((buckets.batch_sizes + 1) * longer > batch_tokens).all()


def test_batches_of_tokens_hold_every_pair(preprocessor):
    data = training_data(preprocessor, SOURCES, TARGETS, batch_tokens=60, num_buckets=4)
    (epoch,) = epochs(data)
    assert pairs_of(preprocessor, epoch) == Counter(zip(SOURCES, TARGETS, strict=True))
    sizes = [len(encoder) * len(encoder[0]) for encoder, *_ in epoch]
    assert max(sizes) <= 60 and len(epoch) == data.steps
    assert len({len(encoder) for encoder, *_ in epoch}) > 2


def test_no_token_in_a_batch_is_refused():
    with pytest.raises(InputError, match="must be at least 1. Received: batch_tokens=0"):
        make_buckets(np.array([1]), np.array([1]), 1, 1, 0)


def test_batches_that_hold_their_rows_twice(preprocessor):
    data = training_data(preprocessor, SOURCES, TARGETS, batch_size=16)
    (once,), (twice,) = ([*d.dataset.take(1)] for d in (data, data.twice()))
    assert data.twice().steps == data.steps
    for one, two in zip(arrays(once), arrays(twice), strict=True):
        np.testing.assert_array_equal(np.concatenate([one, one]), two)


@pytest.mark.parametrize("make", [training_data, validation_data])
def test_there_is_one_target_a_source_and_each_is_a_text(preprocessor, make):
    with pytest.raises(InputError, match="one target a source. Received: 2 sources and 3"):
        make(preprocessor, SOURCES[:2], TARGETS[:3])
    with pytest.raises(InputError, match="Target 2 of 2 is no text: None"):
        make(preprocessor, SOURCES[:2], [TARGETS[0], None])
    with pytest.raises(InputError, match="Source 1 of 1 is not valid Unicode"):
        make(preprocessor, ["\ud83d"], TARGETS[:1])


def test_vocabularies_are_learned_of_pairs_alone():
    kinds = CharacterTokenizer, SymbolTokenizer
    with pytest.raises(InputError, match="one target a source"):
        TextPreprocessor.from_pairs(SOURCES[:2], TARGETS[:1], *kinds)
    with pytest.raises(InputError, match="Source 1 of 1 is no text: 3"):
        TextPreprocessor.from_pairs([3], ["a"], *kinds)
