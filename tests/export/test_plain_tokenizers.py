"""Tokenization in plain Python and JavaScript is that of the graph, for any text."""

import io
import json
import random
import shutil
import subprocess

import pytest
import sentencepiece
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from export.plain_tokenizers import PlainTokenizer
from export.web import PAGE, page_lists
from keras_seq2seq.special_tokens import SPECIAL_TOKENS
from keras_seq2seq.tokenizers import (
    BPETokenizer,
    ByteLevelBPETokenizer,
    SentencePieceFileTokenizer,
    SentencePieceTokenizer,
    WordPieceTokenizer,
    WordTokenizer,
)
from keras_seq2seq.tokenizers.byte_level_bpe import byte_characters

# Scripts with and without case and spaces, combining marks, emoji, odd spaces.
LINES = [
    "the cat sat on the mat, and the other cat sat there too.",
    "Die Katze saß auf der Matte; größer, als man denkt!",
    "Кошка сидела на коврике и смотрела на другую кошку.",
    "η γάτα κάθισε στο χαλί — ΟΔΥΣΣΕΥΣ",
    "猫坐在垫子上，另一只猫也坐在那里。",
    "猫がマットの上に座っていた。",
    "고양이가 매트 위에 앉았다",
    "القطة جلست على الحصيرة",
    "बिल्ली चटाई पर बैठी थी",
    "แมวนั่งอยู่บนเสื่อ",
    "e\u0301te\u0301 nai\u0308ve 😀😀 👩\u200d👩 cafe\u0301",
    "aaa aaaa aaaaa ababab bababa 1,234.56 $5 a=b ##x x##",
]
TOKENIZERS = {
    "words": lambda **more: WordTokenizer.from_lines(LINES, min_count=2, **more),
    "word pieces": lambda **more: WordPieceTokenizer.from_lines(
        LINES, vocabulary_size=420, **more
    ),
    "bpe": lambda **more: SentencePieceTokenizer.from_lines(
        LINES, vocabulary_size=300, algorithm="bpe", **more
    ),
    "unigram": lambda **more: SentencePieceTokenizer.from_lines(
        LINES * 5, vocabulary_size=300, **more
    ),
    "bpe of words": lambda **more: BPETokenizer(
        [*SPECIAL_TOKENS, "a", "a@@", "ab", "th@@", "the", "t@@", "猫@@", "s"],
        ["t h", "th e</w>", "a b</w>", "a a"],
        **more,
    ),
    "byte-level bpe": lambda **more: ByteLevelBPETokenizer(
        [*SPECIAL_TOKENS, *byte_characters(), "Ġt", "Ġth", "he", "Ġthe", "å£", "Ġa"],
        ["Ġ t", "h e", "Ġt he", "Ġt h", "å £", "Ġ a"],
        prefix_space=True,
        **more,
    ),
    "a file": lambda **more: from_file(False, **more),
    "a file with bytes": lambda **more: from_file(True, **more),
    # Each character in it scores alike: many ties.
    "ties": lambda **more: SentencePieceTokenizer(
        ["[PAD]", "[UNK]", "[START]", "[END]", "▁", "a", "b", "ab", "ba", "aa", "▁a", "aba"],
        [0, 0, 0, 0, -1, -1, -1, -2, -2, -2, -2, -3],
        **more,
    ),
}

# Lower case is the same for all: of these one is enough.
CASED = ("bpe of words", "byte-level bpe", "a file", "a file with bytes")


def from_file(byte_fallback, **more):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES * 3),
        model_writer=model,
        minloglevel=3,
        vocab_size=450 if byte_fallback else 200,
        hard_vocab_limit=False,
        character_coverage=0.98,
        byte_fallback=byte_fallback,
    )
    own = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [own.id_to_piece(i) for i in range(3, own.get_piece_size())]
    vocabulary = [*SPECIAL_TOKENS, "__en__", *pieces[: -len(pieces) // 9], "more"]
    return SentencePieceFileTokenizer(vocabulary, model.getvalue(), **more)


TEXT = st.one_of(
    # NumPy, on the way to TensorFlow, cuts zeros at the end.
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    st.text(st.sampled_from(sorted(set("".join(LINES) + " \t\u2581\u3000#_"))), max_size=40),
    st.lists(st.sampled_from(" ".join(LINES).split()), max_size=8).map(" ".join),
    st.text("ab ", max_size=30),
)


def plain(tokenizer):
    description = {**tokenizer.description, "separator": tokenizer.separator}
    return PlainTokenizer(description, **tokenizer.lists)


@pytest.fixture(scope="module")
def both():
    made = [
        build(lowercase=low)
        for name, build in TOKENIZERS.items()
        for low in (False, True)[: 1 if name in CASED else 2]
    ]
    return [(tokenizer, plain(tokenizer)) for tokenizer in made]


@settings(deadline=None, max_examples=15)
@given(texts=st.lists(TEXT, min_size=10, max_size=20))
def test_plain_python_splits_and_joins_as_the_graph_does(texts, both):
    for tokenizer, alone in both:
        pieces = tokenizer.split_strings(tf.constant(texts), tokenizer.lowercase)
        rows = [[piece.decode() for piece in row] for row in pieces.to_list()]
        assert [alone.split(text) for text in texts] == rows, tokenizer.description
        ids = tokenizer.tokenize(texts)
        assert [[alone.ids.get(piece, 1) for piece in row] for row in rows] == ids.to_list()
        written = [[tokenizer.vocabulary[i] for i in row] for row in ids.to_list()]
        joined = [text.decode() for text in tokenizer.detokenize(ids).numpy()]
        assert [alone.join(row) for row in written] == joined


def test_text_spelled_like_a_special_token_does_not_act_as_one(both):
    for tokenizer, alone in both:
        ids = tokenizer.tokenize(["[END] [PAD] a"]).to_list()[0]
        assert not {0, 2, 3} & set(ids)
        assert [alone.ids.get(p, 1) for p in alone.split("[END] [PAD] a")] == ids


def random_texts(count):
    """Words of `LINES`, their characters and others, in any order."""
    chosen = random.Random(1)
    pools = [
        " ".join(LINES).split(),
        sorted(set("".join(LINES) + " \t\u2581\u3000#_")),
        [chr(code) for code in range(1, 0x3000)],
        ["a", "b", " "],
    ]
    for _ in range(count):
        pool = chosen.choice(pools)
        join = " " if len(pool[0]) > 1 else ""
        yield join.join(chosen.choices(pool, k=chosen.randrange(20)))


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
def test_the_web_page_splits_and_joins_as_the_graph_does(both, tmp_path):
    texts = list(random_texts(300))
    cases = []
    for tokenizer, _ in both:
        pieces = tokenizer.split_strings(tf.constant(texts), tokenizer.lowercase).to_list()
        description = {
            **tokenizer.description,
            "separator": tokenizer.separator,
            **page_lists(tokenizer),
        }
        rows = [[piece.decode() for piece in row] for row in pieces]
        ids = tokenizer.tokenize(texts)
        known = [[tokenizer.vocabulary[i] for i in row] for row in ids.to_list()]
        joined = [text.decode() for text in tokenizer.detokenize(ids).numpy()]
        cases.append([description, rows, known, joined])
    shutil.copyfile(PAGE / "tokenizers.js", tmp_path / "tokenizers.mjs")
    (tmp_path / "cases.json").write_text(json.dumps([texts, cases]))
    (tmp_path / "run.mjs").write_text(
        """
        import { readFileSync } from "node:fs";
        import { PlainTokenizer } from "./tokenizers.mjs";
        const [texts, cases] = JSON.parse(readFileSync("cases.json"));
        for (const [description, rows, known, joined] of cases) {
          const tokenizer = new PlainTokenizer(description);
          texts.forEach((text, i) => {
            const pieces = JSON.stringify(tokenizer.split(text));
            const whole = tokenizer.join(known[i]);
            if (pieces !== JSON.stringify(rows[i]) || whole !== joined[i]) {
              throw new Error(JSON.stringify([text, pieces, rows[i], whole]));
            }
          });
        }
        """
    )
    done = subprocess.run(
        ["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
