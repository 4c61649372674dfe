"""The files that trained models bring for their texts: SentencePiece, merges, codes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_seq2seq.converters.tokenizer_json import (
    has_spaces_as_pieces,
    sentencepiece_model,
)
from keras_seq2seq.errors import InputError
from keras_seq2seq.tokenizers import (
    BPETokenizer,
    ByteLevelBPETokenizer,
    SentencePieceFileTokenizer,
    SymbolTokenizer,
    TableTokenizer,
)
from keras_seq2seq.tokenizers.bpe import GOES_ON, WORD_END
from keras_seq2seq.tokenizers.byte_level_bpe import byte_characters
from keras_seq2seq.tokenizers.sentencepiece_file import read_proto
from keras_seq2seq.tokenizers.sentencepiece_tokenizer import SPACE

_HEADER = "#version"
# What OpenNMT's tokenizer writes where a piece joins its neighbour.
_JOINER = "￭"
# What a piece of a kind of vocabulary holds, and the file that splits texts into such pieces.
_SIGNS = {
    byte_characters()[ord(" ")]: "merges.txt or tokenizer.json",
    SPACE: "the SentencePiece file, such as source.spm or spiece.model, or tokenizer.json",
    GOES_ON: "the file of BPE codes, as subword-nmt or fastBPE wrote it",
    _JOINER: "texts that pyonmttok has split (OpenNMT's joiners, ￭, are not read) and nothing",
}


def tokenizer_of(
    path: str | Path | None, vocabulary: Sequence[str], **options: Any
) -> TableTokenizer:
    """The tokenizer of a file, with the ids of a vocabulary.

    Args:
        path: A SentencePiece model; `merges.txt` or `tokenizer.json` of a byte-level BPE;
            `tokenizer.json` with the pieces of a SentencePiece model; or BPE codes of
            subword-nmt (version 0.2) or fastBPE. `None` for texts that are pieces with spaces
            between.
        vocabulary: As of `TableTokenizer`.
        **options: `name`, `begin`, `finish`, as of `TableTokenizer`.

    Raises:
        InputError: If there is no such file, or it is none of these.
    """
    if path is None:
        return SymbolTokenizer(vocabulary, **options)
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"{path}: no such file. Give the model's SentencePiece file (*.spm, *.model), "
            "merges.txt, tokenizer.json or BPE codes."
        )
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or not text:
        read_proto(content, str(path))
        return SentencePieceFileTokenizer(vocabulary, content, **options)
    if text.lstrip()[:1] == "{":
        parsed = _read_json(text, path)
        if has_spaces_as_pieces(parsed):
            return SentencePieceFileTokenizer(
                vocabulary, sentencepiece_model(parsed, path), **options
            )
        merges, prefix_space = read_json_merges(text, path)
        return ByteLevelBPETokenizer(vocabulary, merges, prefix_space, **options)
    merges, is_codes = _read_merges(text, path)
    return (BPETokenizer if is_codes else ByteLevelBPETokenizer)(vocabulary, merges, **options)


def needed_file(vocabulary: Sequence[str]) -> str:
    """What file splits texts into the pieces of a vocabulary; empty where nothing tells."""
    counts = {sign: sum(sign in token for token in vocabulary) for sign in _SIGNS}
    most = max(counts, key=lambda sign: counts[sign])
    return _SIGNS[most] if counts[most] else ""


def _read_merges(text: str, path: Path) -> tuple[list[str], bool]:
    """The merges of a file, and whether they are codes of words."""
    lines = text.removesuffix("\n").split("\n")
    has_header = lines[0].startswith(_HEADER)
    rows = [line.rstrip("\r").split(" ") for line in lines[has_header:]]
    # fastBPE writes how often each was seen.
    counted = all(len(row) == 3 and row[2].isdecimal() for row in rows)
    if any(len(row) != 2 + counted or not all(row) for row in rows):
        number, row = next(
            (number, row)
            for number, row in enumerate(rows, 1 + has_header)
            if len(row) != 2 + counted or not all(row)
        )
        raise InputError(
            f"{path}, line {number}: a merge must be two pieces with a space between. "
            f"Received: {' '.join(row)[:40]!r}. Give a SentencePiece file, merges.txt, "
            "tokenizer.json or BPE codes."
        )
    merges = [" ".join(row[:2]) for row in rows]
    if any(WORD_END in merge for merge in merges):
        if not has_header and not counted:
            raise InputError(
                f"{path} lacks its first line, #version: 0.2; codes of version 0.1 are not "
                "supported."
            )
        # Of equal ones the first counts.
        return list(dict.fromkeys(merges)), True
    strange = set("".join(merges)) - {" ", *byte_characters()}
    if strange:
        raise InputError(
            f"{path} is no list of byte-level merges: it has {min(strange)!r}; and no BPE "
            f"codes: none ends with {WORD_END}."
        )
    return merges, False


def _read_json(text: str, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}.") from error
    if not isinstance(content.get("model"), dict | None):
        raise InputError(f"{path} is no tokenizer.json: its model is no object.")
    return {**content, "model": content.get("model") or {}}


def read_json_merges(text: str, path: Path) -> tuple[list[str], bool]:
    """The merges of `tokenizer.json`, and whether a space comes in front."""
    content = _read_json(text, path)
    model = content["model"]
    if not isinstance(model.get("merges"), list):
        if kind := model.get("type"):
            raise InputError(
                f"{path} holds a tokenizer of the type {kind}, which is not read from there. "
                "Give the model's SentencePiece file."
            )
        raise InputError(
            f"{path} is no tokenizer.json: it has no merges. Of a byte-level BPE give "
            "merges.txt; vocab.json is not needed."
        )
    split = content.get("pre_tokenizer") or {}
    if split.get("type") != "ByteLevel" or not split.get("use_regex", True):
        raise InputError(
            f"{path} splits texts by {split.get('type') or 'nothing'}, which is not supported: "
            "ByteLevel and Metaspace are. Give the model's SentencePiece file if it has one."
        )
    unlike = {
        "normalizer": content.get("normalizer"),
        **{
            name: model.get(name)
            for name in (
                "byte_fallback",
                "continuing_subword_prefix",
                "end_of_word_suffix",
                "ignore_merges",
            )
        },
    }
    if odd := [name for name, value in unlike.items() if value]:
        raise InputError(f"{path} has a {odd[0]}, which is not supported.")
    merges = [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
    return merges, bool(split.get("add_prefix_space"))
