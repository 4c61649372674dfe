"""Byte-pair encoding of words: the graph, plain Python and subword-nmt agree."""

import io
import re

import keras
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from export.plain_tokenizers import PlainTokenizer
from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import SPECIAL_TOKENS
from keras_seq2seq.tokenizers import BPETokenizer

LINES = [
    "the lower tower and the newest , widest towers",
    "die neueste Straße ist größer als die ältere",
    "кошка сидела на коврике aaaa aaaaaa ababab",
] * 3
MERGES = ["l o", "lo w</w>", "a a", "a a</w>", "aa aa", "t h", "th e</w>"]


def both(merges, begin=()):
    pieces = {piece.removesuffix("</w>") for merge in merges for piece in merge.split(" ")}
    pieces |= {merge.replace(" ", "").removesuffix("</w>") for merge in merges}
    known = sorted(pieces | {f"{piece}@@" for piece in pieces})
    tokenizer = BPETokenizer([*SPECIAL_TOKENS, *begin, *known], merges, begin=begin)
    plain = PlainTokenizer(
        {**tokenizer.description, "separator": " ", "unknown": 1}, **tokenizer.lists
    )
    return tokenizer, plain


@pytest.fixture(scope="module")
def by_hand():
    return both(MERGES, ["__de__"])


TEXT = st.text("athelow ö\t字@", max_size=20) | st.sampled_from(LINES)


@given(texts=st.lists(TEXT, min_size=4, max_size=8))
@example(texts=["", " ", "a", "@@ a@@"])
@settings(max_examples=10, deadline=None)
def test_the_graph_and_plain_python_split_and_join_alike(by_hand, texts):
    tokenizer, plain = by_hand
    pieces = [[one.decode() for one in row] for row in tokenizer.split(texts).to_list()]
    assert [plain.split(text)[1:] for text in texts] == pieces
    ids = tokenizer.tokenize(texts)
    assert [plain.encode(text) for text in texts] == ids.to_list()
    known = [[tokenizer.id_to_token(one) for one in row] for row in ids.to_list()]
    joined = [text.decode() for text in tokenizer.detokenize(ids).numpy()]
    assert joined == [plain.join(row) for row in known]


def test_values_by_hand(by_hand):
    tokenizer, plain = by_hand
    assert tokenizer.split_text("low lows the  aaaaa") == [
        *("low", "lo@@", "w@@", "s", "the", "aaaa@@", "a")
    ]
    (text,) = tokenizer.detokenize(tokenizer.tokenize(["low low aaaaa"])).numpy()
    assert text == b"low low aaaaa"
    config = keras.saving.serialize_keras_object(tokenizer)
    other = keras.saving.deserialize_keras_object(config)
    assert other.tokenize(LINES).to_list() == tokenizer.tokenize(LINES).to_list()
    assert BPETokenizer([*SPECIAL_TOKENS, "a"], []).split_text("ab") == ["a@@", "b"]
    with pytest.raises(InputError, match="merge 1, 'a'"):
        BPETokenizer([*SPECIAL_TOKENS, "a"], ["a"])


def test_it_splits_as_subword_nmt_does():
    learn_bpe = pytest.importorskip("subword_nmt.learn_bpe")
    apply_bpe = pytest.importorskip("subword_nmt.apply_bpe")
    codes = io.StringIO()
    learn_bpe.learn_bpe(io.StringIO("\n".join(LINES)), codes, 60, min_frequency=1)
    codes.seek(0)
    own = apply_bpe.BPE(codes)
    tokenizer, _ = both(codes.getvalue().splitlines()[1:])
    texts = [*LINES, "thethe towerest 字 a", "größere Katzen, коврик"]
    pieces = tf.strings.reduce_join(tokenizer.split(texts), axis=-1, separator=" ")
    assert [text.decode() for text in pieces.numpy()] == [own.process_line(t) for t in texts]
    for text, split in zip(texts, pieces.numpy(), strict=True):
        assert re.sub("@@( |$)", "", split.decode()) == text
