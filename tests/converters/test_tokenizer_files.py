"""The files that models bring for their texts are recognized by what they hold."""

import base64
import io
import json

import numpy as np
import pytest
import sentencepiece
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2

from export.plain_tokenizers import PlainTokenizer
from keras_seq2seq.cli import main
from keras_seq2seq.converters import from_ctranslate2, to_ctranslate2
from keras_seq2seq.converters.tokenizer_files import needed_file, tokenizer_of
from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import SPECIAL_TOKENS
from keras_seq2seq.tokenizers import BPETokenizer, ByteLevelBPETokenizer
from tests.converters.test_ctranslate2 import LONGEST, build

NORMAL = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
VOCABULARY = [*SPECIAL_TOKENS, "a", "b", "ab", "Ġab", "a@@", "▁a"]
BYTE_LEVEL = {
    "model": {"type": "BPE", "merges": [["a", "b"], ["Ġ", "ab"]]},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True},
}


def changed(**keys):
    model = {**BYTE_LEVEL["model"], **keys.pop("model", {})}
    return json.dumps({**BYTE_LEVEL, **keys, "model": model})


def spaced(model_type="BPE", normalizer=None, **keys):
    vocab = {"<unk>": 0, "▁": 1, "a": 2, "b": 3, "ab": 4, "▁a": 5}
    model = {"type": model_type, "vocab": vocab, "merges": ["a b", "▁ a"], "fuse_unk": True}
    pre_tokenizer = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}
    parts = {"normalizer": normalizer, "pre_tokenizer": pre_tokenizer}
    return json.dumps({**parts, "model": {**model, **keys}})


@pytest.mark.parametrize(
    ("text", "kind", "pieces"),
    [
        ("#version: 0.2\na b\nĠ ab\n", ByteLevelBPETokenizer, ["ab", "Ġab"]),
        ("a b\nĠ ab", ByteLevelBPETokenizer, ["ab", "Ġab"]),
        (json.dumps(BYTE_LEVEL), ByteLevelBPETokenizer, ["Ġab", "Ġab"]),
        (changed(model={"merges": ["a b"]}), ByteLevelBPETokenizer, ["Ġ", "ab", "Ġ", "ab"]),
        ("#version: 0.2\na b</w>\r\nb a\n", BPETokenizer, ["ab", "ab"]),
        ("a b</w> 17\nb a 3\n", BPETokenizer, ["ab", "ab"]),
    ],
)
def test_files_of_merges(tmp_path, text, kind, pieces):
    (tmp_path / "file").write_text(text, "utf-8")
    tokenizer = tokenizer_of(tmp_path / "file", VOCABULARY, name="v", begin=["b"])
    assert type(tokenizer) is kind and tokenizer.begin == ["b"]
    assert tokenizer.split_text("ab ab") == pieces


def test_a_sentencepiece_file_and_none(tmp_path):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a ab a b"] * 9),
        model_writer=model,
        vocab_size=8,
        minloglevel=3,
    )
    (tmp_path / "file.spm").write_bytes(model.getvalue())
    tokenizer = tokenizer_of(tmp_path / "file.spm", VOCABULARY)
    assert "".join(tokenizer.split_text("ab a")) == "▁ab▁a"
    assert tokenizer_of(None, VOCABULARY).split_text("a b") == ["a", "b"]


LINES = ["the cat sat on the mat", "a hat that the cat had", "ein Haus, zwei Häuser", "ab 12"]
_BYTE_PIECES = [f"<0x{byte:02X}>" for byte in range(256)]


def json_of(kind):
    """A SentencePiece model, and the `tokenizer.json` that transformers makes of such one."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES * 5),
        model_writer=model,
        model_type=kind,
        vocab_size=330 if kind == "bpe" else 60,
        hard_vocab_limit=False,
        byte_fallback=kind == "bpe",
        normalization_rule_name="nfkc" if kind == "unigram" else "identity",
        remove_extra_whitespaces=kind == "unigram",
        minloglevel=3,
    )
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    marks = [{"id": i, "content": pieces[i][0], "special": True} for i in range(3)]
    content = {"version": "1.0", "added_tokens": [{**NORMAL, **mark} for mark in marks]}
    if kind == "unigram":
        charsmap = base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()
        steps = [
            {"type": "Precompiled", "precompiled_charsmap": charsmap},
            {"type": "Strip", "strip_left": False, "strip_right": True},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"},
        ]
        return content | {
            "normalizer": {"type": "Sequence", "normalizers": steps},
            "pre_tokenizer": {
                "type": "Metaspace",
                "replacement": "▁",
                "prepend_scheme": "always",
                "split": True,
            },
            "model": {"type": "Unigram", "vocab": pieces, "unk_id": 0, "byte_fallback": False},
        }
    vocab = {piece: index for index, (piece, _) in enumerate(pieces)}
    merges = []
    for piece, score in pieces:
        cuts = [(piece[:place], piece[place:]) for place in range(1, len(piece))]
        cuts = [cut for cut in cuts if all(part in vocab for part in cut)]
        cuts.sort(key=lambda cut: (vocab[cut[0]], vocab[cut[1]]))
        merges += [(score, cut) for cut in cuts if piece not in _BYTE_PIECES]
    merges.sort(key=lambda one: one[0], reverse=True)
    steps = [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ]
    model = {"type": "BPE", "vocab": vocab, "merges": [cut for _, cut in merges]}
    options = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
    normalizer = {"type": "Sequence", "normalizers": steps}
    return content | {"normalizer": normalizer, "model": model | options}


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def both(request, tmp_path_factory):
    """Ours of a `tokenizer.json`, and that of the library `tokenizers`."""
    tokenizers = pytest.importorskip("tokenizers")
    path = tmp_path_factory.mktemp(request.param) / "tokenizer.json"
    content = json_of(request.param)
    path.write_text(json.dumps(content), "utf-8")
    vocab = content["model"]["vocab"]
    pieces = [piece if isinstance(piece, str) else piece[0] for piece in vocab]
    own = tokenizer_of(path, [*SPECIAL_TOKENS, *pieces[3:]])
    plain = PlainTokenizer(
        {**own.description, "unknown": 1},
        own.get_vocabulary(),
        own.lists["scores"],
    )
    return own, plain, tokenizers.Tokenizer.from_file(str(path))


ALPHABET = "".join(sorted(set("".join(LINES)))) + " ﬁéя\u3000"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(ALPHABET, max_size=12), min_size=1, max_size=6))
def test_a_tokenizer_json_with_spaces_as_pieces_splits_as_tokenizers(both, texts):
    own, plain, library = both
    texts = [text.strip(" \u3000") for text in [*LINES, *texts]]
    for text, ids in zip(texts, own.tokenize(texts).to_list(), strict=True):
        expected = [library.id_to_token(one) for one in library.encode(text).ids]
        pieces = own.split_text(text)
        assert plain.split(text) == pieces and plain.encode(text) == ids
        known = [piece if piece in own.get_vocabulary() else "<unk>" for piece in pieces]
        assert known == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b c d\n", "line 1: a merge must be two pieces"),
        ("#version: 0.2\na b\nab\n", "line 3: a merge must be two pieces"),
        ("a b</w>\n", "lacks its first line"),
        ("字 b\n", "no list of byte-level merges: it has '字'"),
        ('{"a": 1}', "merges.txt; vocab.json is not needed"),
        ("{", "is not JSON"),
        (json.dumps({"model": {"type": "Unigram"}}), "of the type Unigram"),
        (changed(pre_tokenizer={"type": "Digits"}), "splits texts by Digits"),
        (changed(pre_tokenizer={"type": "Metaspace"}), "lacks its vocab or merges"),
        (spaced(normalizer={"type": "Prepend", "prepend": "▁"}, fuse_unk=False), "fuse_unk"),
        (spaced(normalizer={"type": "Lowercase"}), "has a Lowercase"),
        (spaced(model_type="WordLevel"), "of the type WordLevel"),
        (
            spaced(merges=["b a", "▁ a"]),
            "otherwise than a SentencePiece model would (at 'b a')",
        ),
        (changed(normalizer={"type": "NFC"}), "has a normalizer"),
        (changed(model={"ignore_merges": True}), "has a ignore_merges"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, text, message):
    (tmp_path / "file").write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        tokenizer_of(tmp_path / "file", VOCABULARY)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_vocabulary_tells_which_file_is_needed(tmp_path):
    assert needed_file(["Ġthe", "a", "Ġ"]).startswith("merges.txt")
    assert needed_file(["a@@", "b"]).startswith("the file of BPE codes")
    assert needed_file(["▁a", "▁b", "a@@"]).startswith("the SentencePiece file")
    assert needed_file(["a", "b"]) == ""
    assert "joiners" in needed_file(["a￭", "b"])
    model = build(shared=False)
    to_ctranslate2(model, tmp_path / "model")
    path = tmp_path / "model" / "source_vocabulary.json"
    if not path.exists():
        path = tmp_path / "model" / "shared_vocabulary.json"
    tokens = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps([*tokens[:5], "Ġthe", *tokens[6:]]), "utf-8")
    command = ["import", str(tmp_path / "model"), "--run-dir", str(tmp_path / "run")]
    result = CliRunner().invoke(main, command)
    assert "give merges.txt or tokenizer.json as --source-tokenizer" in " ".join(
        result.output.split()
    )


def test_a_source_finishes_with_its_language(tmp_path):
    to_ctranslate2(build(), tmp_path / "model")
    plain = from_ctranslate2(tmp_path / "model", source_end=True, **LONGEST)
    model = from_ctranslate2(tmp_path / "model", source_suffix="[END] w1", **LONGEST)
    ids = model.preprocessor.tokenize_source(["w4 w5"])
    # The end token that every source has comes last, and is not read.
    assert ids.to_list() == [[8, 9, 3, 5, 3]]
    state = model.encode({"encoder_token_ids": ids.to_tensor()})
    expected = plain.encode({"encoder_token_ids": ids.to_tensor()[:, :4]})
    np.testing.assert_array_equal(state["memory_mask"], [[True] * 4 + [False]])
    for name, entry in expected.items():
        if "memory_key" in name:
            np.testing.assert_allclose(state[name][:, :, :4], entry, atol=1e-5)
    assert model.generate("w4 w5") == model.generate(["w4 w5"])[0]
    with pytest.raises(InputError, match="is empty"):
        model.generate("")
    with pytest.raises(InputError, match="leave --source-end out"):
        from_ctranslate2(tmp_path / "model", source_suffix="[END] w1", source_end=True)
