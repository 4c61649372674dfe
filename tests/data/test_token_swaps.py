import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.data import TextPreprocessor, learn_token_swaps, training_data
from keras_seq2seq.errors import InputError
from keras_seq2seq.tokenizers import SymbolTokenizer

VERBS = {"walk": "W", "run": "R", "jump": "J"}
SIDES = {"left": "L", "right": "Q"}
TIMES = {"": 1, "twice": 2}


def translate(command):
    """Every command, also of new combinations; `and` joins two."""
    if " and " in command:
        return " ".join(translate(part) for part in command.split(" and "))
    *words, last = command.split()
    times = TIMES.get(last, 1)
    words = [word for word in (*words, last) if word not in TIMES]
    one = [{**VERBS, **SIDES}[word] for word in words if word != "turn"]
    return " ".join(one * times)


def commands():
    """All with walk and run; of jump the word alone."""
    heads = [*VERBS, "turn left", "turn right"]
    single = [f"{head} {times}".strip() for head in heads for times in TIMES]
    joined = [f"{a} and {b}" for a, b in itertools.product(single, repeat=2)]
    return [one for one in single + joined if "jump" not in one] + ["jump"]


def preprocessor_of(sources, targets):
    return TextPreprocessor.from_pairs(sources, targets, SymbolTokenizer, SymbolTokenizer)


SOURCES = commands()
TARGETS = [translate(source) for source in SOURCES]
TEXT = preprocessor_of(SOURCES, TARGETS)


def texts(tokenizer, ids):
    return [text.decode() for text in tokenizer.detokenize(ids).numpy()]


def pairs_of(text, inputs, labels):
    shifted = tf.where(labels == text.target_tokenizer.end_token_id, 0, labels)[:, :-1]
    assert np.array_equal(inputs["decoder_token_ids"][:, 1:], shifted)
    sources = texts(text.source_tokenizer, inputs["encoder_token_ids"])
    return list(zip(sources, texts(text.target_tokenizer, labels), strict=True))


def swapped(swaps, text, sources, targets, seed=1):
    """All pairs as one batch."""
    inputs, labels, _ = text(sources, targets)
    return pairs_of(text, *swaps(inputs, labels, tf.constant([seed, 2])))


def epochs(swaps, count, **place):
    """The pairs of so many epochs, a list an epoch."""
    data = training_data(TEXT, SOURCES, TARGETS, batch_size=32, swaps=swaps, seed=7, **place)
    batches = [pairs_of(TEXT, *batch[:2]) for batch in data.dataset.take(count * data.steps)]
    pairs = [pair for batch in batches for pair in batch]
    return [pairs[i : i + len(SOURCES)] for i in range(0, len(pairs), len(SOURCES))]


def test_tokens_of_the_same_environment_are_one_class():
    swaps = learn_token_swaps(TEXT, SOURCES, TARGETS, share=0.5)
    classes = {frozenset(one.split(" and ")) for one in described(swaps)}
    assert classes == {
        frozenset({"left -> L", "right -> Q"}),
        frozenset({"walk -> W", "run -> R", "jump -> J"}),
    }


def described(swaps):
    return swaps.describe(TEXT).replace(", ", " and ").split("; ")


def test_every_swapped_pair_is_right_and_some_are_new():
    swaps = learn_token_swaps(TEXT, SOURCES, TARGETS, share=0.5)
    first, second = epochs(swaps, 2)
    for source, target in first + second:
        assert translate(source) == target
    new = [{source for source, _ in one} - {*SOURCES} for one in (first, second)]
    assert any("jump" in source and "turn" in source for source in new[0])
    assert new[0] != new[1]
    # A resumed run sees the same.
    assert epochs(swaps, 1, initial_epoch=1) == [second]


@pytest.mark.parametrize(("share", "low", "high"), [(0.1, 0.02, 0.3), (1.0, 1.0, 1.0)])
def test_share(share, low, high):
    swaps = learn_token_swaps(TEXT, SOURCES, TARGETS, share=share)
    after = swapped(swaps, TEXT, SOURCES, TARGETS)
    changed = [pair[0] != source for pair, source in zip(after, SOURCES, strict=True)]
    assert low <= np.mean(changed) <= high


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(12)), st.integers(1, 8), st.randoms(use_true_random=False))
def test_a_language_word_for_word_stays_one(order, length, random):
    names = {f"s{i}": f"t{order[i]}" for i in range(12)}
    sources = [*names]
    sources += [" ".join(random.choices([*names], k=length)) for _ in range(20)]
    targets = [" ".join(names[word] for word in source.split()) for source in sources]
    text = preprocessor_of(sources, targets)
    swaps = learn_token_swaps(text, sources, targets, share=1.0)
    for source, target in swapped(swaps, text, sources, targets):
        assert target.split() == [names[word] for word in source.split()]


def test_a_word_without_its_translation_is_left_alone():
    # Once in 100 pairs the translation of `a` is missing.
    sources = ["a x", "b x"] * 60 + ["a y"]
    targets = ["A X", "B X"] * 60 + ["Y"]
    text = preprocessor_of(sources, targets)
    swaps = learn_token_swaps(text, sources, targets, share=1.0)
    assert swaps.describe(text) in ("a -> A and b -> B", "b -> B and a -> A")
    pairs = swapped(swaps, text, sources, targets)
    assert sorted(set(pairs)) == [("a x", "A X"), ("a y", "Y"), ("b x", "B X")]


def test_two_translations_are_no_translation():
    # `a` comes with two tokens, `c` and `d` with one: none of them is one to one.
    sources, targets = ["a", "c d", "e", "f"], ["A1 A2", "C", "E", "F"]
    text = preprocessor_of(sources, targets)
    swaps = learn_token_swaps(text, sources, targets, share=1.0)
    assert swaps.describe(text) in ("e -> E and f -> F", "f -> F and e -> E")


def test_where_nothing_can_be_swapped():
    text = preprocessor_of(["a b", "b c c"], ["A B", "B C"])
    # All three go with a token each, in pairs of other lengths.
    with pytest.raises(InputError, match="3 tokens of the sources .* Give --swap-aligned 0"):
        learn_token_swaps(text, ["a b", "b c c"], ["A B", "B C"], share=0.5)
    with pytest.raises(InputError, match=r"`share` must be in \(0, 1\]\. Received: 1.5"):
        learn_token_swaps(TEXT, SOURCES, TARGETS, share=1.5)
