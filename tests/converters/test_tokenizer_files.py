"""The files that models bring for their texts are recognized by what they hold."""

import io
import json

import numpy as np
import pytest
import sentencepiece
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.converters import from_ctranslate2, to_ctranslate2
from keras_seq2seq.converters.tokenizer_files import needed_file, tokenizer_of
from keras_seq2seq.errors import InputError
from keras_seq2seq.special_tokens import SPECIAL_TOKENS
from keras_seq2seq.tokenizers import BPETokenizer, ByteLevelBPETokenizer
from tests.converters.test_ctranslate2 import LONGEST, build

VOCABULARY = [*SPECIAL_TOKENS, "a", "b", "ab", "Ġab", "a@@", "▁a"]
BYTE_LEVEL = {
    "model": {"type": "BPE", "merges": [["a", "b"], ["Ġ", "ab"]]},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True},
}


def changed(**keys):
    model = {**BYTE_LEVEL["model"], **keys.pop("model", {})}
    return json.dumps({**BYTE_LEVEL, **keys, "model": model})


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
        (changed(pre_tokenizer={"type": "Metaspace"}), "splits texts by Metaspace"),
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
