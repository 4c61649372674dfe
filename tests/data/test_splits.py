from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.data import Pairs, split_by_source
from keras_seq2seq.errors import InputError

PAIRS = Pairs([f"s{i % 10}" for i in range(25)], [f"t{i}" for i in range(25)])


def rows(*parts):
    return Counter(
        pair for part in parts for pair in zip(part.sources, part.targets, strict=True)
    )


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyz")), max_size=20),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 2**31),
)
def test_every_pair_is_in_one_part_and_no_source_in_two(pairs, validation, test, seed):
    sources = {source for source, _ in pairs}
    if validation + test >= len(sources):
        return
    data = Pairs([source for source, _ in pairs], [target for _, target in pairs])
    splits = split_by_source(data, validation_sources=validation, test_sources=test, seed=seed)
    held_out = splits.test or Pairs([], [])
    assert rows(splits.train, splits.validation, held_out) == rows(data)
    assert len(set(splits.validation.sources)) == validation
    assert len(set(held_out.sources)) == test
    assert len(set(splits.train.sources)) == len(sources) - validation - test


def test_parts_keep_the_order_of_the_data():
    splits = split_by_source(PAIRS, validation_sources=3, test_sources=2)
    assert splits.test is not None
    for part in (splits.train, splits.validation, splits.test):
        numbers = [int(target[1:]) for target in part.targets]
        assert numbers == sorted(numbers)


def test_the_same_seed_gives_the_same_split():
    assert split_by_source(PAIRS, validation_sources=3, seed=7) == split_by_source(
        PAIRS, validation_sources=3, seed=7
    )


def test_another_seed_gives_another_split():
    parts = {
        tuple(split_by_source(PAIRS, validation_sources=3, seed=seed).validation.sources)
        for seed in range(5)
    }
    assert len(parts) > 1


def test_the_order_of_the_data_does_not_change_which_sources_are_held_out():
    backwards = Pairs(PAIRS.sources[::-1], PAIRS.targets[::-1])
    there = split_by_source(PAIRS, validation_sources=3, test_sources=2)
    back = split_by_source(backwards, validation_sources=3, test_sources=2)
    assert set(there.validation.sources) == set(back.validation.sources)
    assert there.test is not None and back.test is not None
    assert set(there.test.sources) == set(back.test.sources)


def test_there_is_no_test_part_unless_asked_for():
    assert split_by_source(PAIRS, validation_sources=1).test is None


def test_one_source_is_left_to_train_on():
    splits = split_by_source(PAIRS, validation_sources=6, test_sources=3)
    assert len(set(splits.train.sources)) == 1


@pytest.mark.parametrize(("validation", "test"), [(10, 0), (5, 5), (0, 10), (99, 0)])
def test_too_few_sources_are_refused(validation, test):
    expected = f"10 different sources, too few to hold out {validation} .* and {test} for test"
    with pytest.raises(InputError, match=expected):
        split_by_source(PAIRS, validation_sources=validation, test_sources=test)
