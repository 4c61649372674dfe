"""Byte-level byte-pair encoding: the graph, plain Python and the library `tokenizers` agree."""

import keras
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from export.plain_tokenizers import PlainTokenizer
from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import SPECIAL_TOKENS
from keras_seq2seq.tokenizers import ByteLevelBPETokenizer

LINES = [
    "the cat's mat, they'll see; don't we've I'm he'd you're",
    "Die Katze saß auf der Matte\tund 1234 Mäuse\n\n  kamen",
    "Кошка сидела на коврике и смотрела на другую кошку.",
    "猫坐在垫子上，另一只猫也坐在那里。 बिल्ली ६ चटाई पर बैठी थी",
    "👩\u200d👩 cafe\u0301 \u00a0\u2009\u202f\u3000 $5 a=b ½ Ⅷ ²",
] * 3


def trained(prefix_space=False):
    """A model of `tokenizers`, with its merges."""
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    own.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    own.train_from_iterator(
        LINES,
        trainers.BpeTrainer(
            vocab_size=420, initial_alphabet=alphabet, min_frequency=1, show_progress=False
        ),
    )
    return own


def merges_of(own):
    import json

    merges = json.loads(own.to_str())["model"]["merges"]
    return [" ".join(merge) for merge in merges]


class Graph:
    """What a tokenizer does in graphs, each traced once."""

    def __init__(self, tokenizer):
        texts, ids = tf.TensorSpec([None], tf.string), tf.TensorSpec([None, None], tf.int32)
        for name, spec in (("split", texts), ("tokenize", texts), ("detokenize", ids)):
            function = tf.function(getattr(tokenizer, name), input_signature=[spec])
            setattr(self, name, function)


@pytest.fixture(scope="module", params=[False, True])
def trio(request):
    own = trained(request.param)
    tokens = sorted(own.get_vocab(), key=own.get_vocab().get, reverse=True)
    vocabulary = [*SPECIAL_TOKENS, "<mask>", *tokens]
    tokenizer = ByteLevelBPETokenizer(
        vocabulary, merges_of(own), prefix_space=request.param, name="v", begin=["<mask>"]
    )
    lists = tokenizer.lists
    plain = PlainTokenizer(
        {**tokenizer.description, "separator": "", "unknown": 1},
        lists["vocabulary"],
        merges=lists["merges"],
    )
    return Graph(tokenizer), tokenizer, plain, own


TEXT = st.one_of(
    # NumPy, on the way to TensorFlow, cuts zeros at the end. What is not yet a character in
    # the Unicode of this Python may be a letter in that of the library.
    st.text(st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\0")),
    st.text("'strevmld ' a1!\n\t\u00a0\u3000६½", max_size=20),
    st.lists(st.sampled_from(" ".join(LINES).split(" ")), max_size=8).map(" ".join),
)


@given(texts=st.lists(TEXT, min_size=5, max_size=12))
@example(texts=["", " ", "  ", "\n", "'s", "a 's", "''s", "a'll\n's", "x\n 'll"])
@settings(max_examples=20, deadline=None)
def test_all_three_split_and_join_alike(trio, texts):
    graph, tokenizer, plain, own = trio
    expected = [own.encode(text).tokens for text in texts]
    assert [plain.split(text)[1:] for text in texts] == expected
    pieces = graph.split(tf.constant(texts)).to_list()
    assert [[piece.decode() for piece in row] for row in pieces] == expected
    ids = graph.tokenize(tf.constant(texts))
    assert [plain.encode(text) for text in texts] == ids.to_list()
    joined = [text.decode() for text in graph.detokenize(ids.to_tensor()).numpy()]
    assert joined == [plain.join(["<mask>", *row]) for row in expected]
    space = " " if tokenizer.prefix_space else ""
    assert joined == [space * (text[:1] not in ("", " ")) + text for text in texts]


@given(ids=st.lists(st.integers(5, 423), max_size=12))
@settings(max_examples=50, deadline=None)
def test_bytes_that_are_no_text_are_joined_alike(trio, ids):
    graph, tokenizer, plain, own = trio
    tokens = [tokenizer.id_to_token(one) for one in ids]
    expected = own.decode([own.token_to_id(token) for token in tokens])
    assert plain.join(["<mask>", *tokens]) == expected
    (text,) = graph.detokenize(tf.constant([[4, *ids, 3]])).numpy()
    assert text.decode() == expected


@given(text=st.text("ab cdé", max_size=30), seed=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_any_list_of_merges_is_followed_as_the_library_does(text, seed):
    pieces, merges = ["a", "b", "c", "d", "Ã", "©", "Ġ"], []
    for _ in range(seed.randrange(12)):
        left, right = seed.choices(pieces, k=2)
        merges.append((left, right))
        pieces.append(left + right)
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    own = Tokenizer(models.BPE(vocabulary, merges))
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    lines = [" ".join(merge) for merge in merges]
    tokenizer = ByteLevelBPETokenizer([*SPECIAL_TOKENS, *vocabulary], lines)
    assert tokenizer.split_text(text) == own.encode(text).tokens


def test_it_is_saved_whole_and_splits_by_hand(trio):
    _, tokenizer, _, _ = trio
    config = keras.saving.serialize_keras_object(tokenizer)
    other = keras.saving.deserialize_keras_object(config)
    assert other.tokenize(LINES).to_list() == tokenizer.tokenize(LINES).to_list()
    vocabulary = [*SPECIAL_TOKENS, "a", "b", "Ġ", "Ġa", "Ġab", "Ã"]
    small = ByteLevelBPETokenizer(vocabulary, ["Ġ a", "Ġa b"])
    assert small.split_text("ab ab") == ["a", "b", "Ġab"]
    # Of the two bytes of the letter the vocabulary has one.
    assert small.tokenize(["aé"]).to_list() == [[4, 9, 1]]
    with pytest.raises(InputError, match="merge 2, 'Ġa b c'"):
        ByteLevelBPETokenizer(vocabulary, ["Ġ a", "Ġa b c"])
