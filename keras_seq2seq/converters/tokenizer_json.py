"""Pieces with `▁` of a `tokenizer.json`, as the SentencePiece model that they come from."""

import base64
import binascii
from pathlib import Path
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.tokenizers.sentencepiece_tokenizer import SPACE

# Kinds of pieces, and of models, by the numbers in a SentencePiece file.
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_UNIGRAM, _BPE = 1, 2
_BYTES = {f"<0x{byte:02X}>" for byte in range(256)}


def has_spaces_as_pieces(content: dict[str, Any]) -> bool:
    """Whether a `tokenizer.json` writes a space as `▁`."""
    steps = _steps(content.get("normalizer")) + _steps(content.get("pre_tokenizer"))
    return any(
        step.get("type") == "Metaspace" or SPACE in (step.get("prepend"), step.get("content"))
        for step in steps
    )


def sentencepiece_model(content: dict[str, Any], path: Path) -> bytes:
    """The SentencePiece model of a `tokenizer.json`, whose pieces it splits a text into.

    Unigram; or BPE whose merges are all that its pieces can be put together by, in their
    order, as those that were made of a SentencePiece model are. A text that begins with a
    space may get one more, where the file keeps runs of spaces.

    Args:
        content: The file, read as JSON.
        path: For messages.

    Raises:
        InputError: If the file has what a SentencePiece model has not; with its name.
    """
    from sentencepiece import sentencepiece_model_pb2

    proto: Any = sentencepiece_model_pb2.ModelProto()
    _normalize(proto.normalizer_spec, content, path)
    model = content["model"]
    read = {"Unigram": _unigram_scores, "BPE": _bpe_scores}.get(model.get("type"))
    if read is None:
        raise InputError(f"{path} holds a model of the type {model.get('type')}, not read.")
    scores, unknown = read(model, path)
    proto.trainer_spec.model_type = _UNIGRAM if model["type"] == "Unigram" else _BPE
    proto.trainer_spec.byte_fallback = bool(model.get("byte_fallback"))
    proto.pieces.add(piece=unknown, score=0.0, type=_UNKNOWN)
    marks = {
        one.get("content") for one in content.get("added_tokens") or () if one.get("special")
    }
    for piece, score in scores.items():
        if piece == unknown:
            continue
        kind = _CONTROL if piece in marks else _NORMAL
        if proto.trainer_spec.byte_fallback and piece in _BYTES:
            kind = _BYTE
        proto.pieces.add(piece=piece, score=score, type=kind)
    return proto.SerializeToString()


def _steps(part: Any) -> list[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer, in their order."""
    if not isinstance(part, dict):
        return []
    inner = part.get("normalizers") or part.get("pretokenizers")
    return [step for one in inner for step in _steps(one)] if inner else [part]


def _normalize(spec: Any, content: dict[str, Any], path: Path) -> None:
    spec.remove_extra_whitespaces = False
    spec.add_dummy_prefix = False
    spec.escape_whitespaces = True
    steps = _steps(content.get("normalizer")) + _steps(content.get("pre_tokenizer"))
    for step in steps:
        kind, pattern = step.get("type"), step.get("pattern") or {}
        if kind == "Precompiled":
            try:
                spec.precompiled_charsmap = base64.b64decode(
                    step.get("precompiled_charsmap") or "", validate=True
                )
            except (TypeError, binascii.Error) as error:
                raise InputError(f"{path}: its precompiled_charsmap is damaged.") from error
        elif kind == "Metaspace" and step.get("replacement", SPACE) == SPACE:
            scheme = step.get("prepend_scheme") or (
                "always" if step.get("add_prefix_space", True) else "never"
            )
            spec.add_dummy_prefix = scheme != "never"
        elif kind == "Prepend" and step.get("prepend") == SPACE:
            spec.add_dummy_prefix = True
        elif kind == "Replace" and pattern.get("Regex") == " {2,}":
            spec.remove_extra_whitespaces = True
        elif kind == "Strip" and step.get("strip_right"):
            spec.remove_extra_whitespaces = True
        elif kind == "Replace" and (pattern.get("String"), step.get("content")) == (" ", SPACE):
            pass
        elif kind != "WhitespaceSplit":
            raise InputError(
                f"{path} has a {kind} of its own kind in front of its pieces, which is not "
                "supported. Give the model's SentencePiece file if it has one."
            )
        else:
            # Words between spaces, each with one in front.
            spec.remove_extra_whitespaces = True


def _unigram_scores(model: dict[str, Any], path: Path) -> tuple[dict[str, float], str]:
    rows, place = model.get("vocab"), model.get("unk_id")
    if not isinstance(rows, list) or not isinstance(place, int) or place >= len(rows):
        raise InputError(f"{path} lacks its vocab or unk_id.")
    try:
        scores = {str(piece): float(score) for piece, score in rows}
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: its vocab must be pieces with scores.") from error
    return scores, rows[place][0]


def _bpe_scores(model: dict[str, Any], path: Path) -> tuple[dict[str, float], str]:
    """Scores that put the pieces together in the order of the merges."""
    vocab, merges = model.get("vocab"), model.get("merges")
    unknown = model.get("unk_token") or "<unk>"
    if not isinstance(vocab, dict) or not isinstance(merges, list):
        raise InputError(f"{path} lacks its vocab or merges.")
    for name in ("continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"):
        if model.get(name):
            raise InputError(f"{path} has a {name}, which is not supported.")
    if not model.get("fuse_unk") and not model.get("byte_fallback"):
        raise InputError(
            f"{path} keeps unknown characters apart (fuse_unk is false), which is not "
            "supported."
        )
    pairs = [tuple(one.split(" ") if isinstance(one, str) else one) for one in merges]
    scores = dict.fromkeys(vocab, 0.0)
    last = ""
    for rank, pair in enumerate(pairs):
        piece = "".join(pair)
        if len(pair) != 2 or piece not in vocab or (scores[piece] and piece != last):
            raise _not_of_sentencepiece(path, " ".join(pair))
        scores[piece] = scores[piece] or -1.0 - rank
        last = piece
    made = set(pairs)
    for piece in vocab:
        for place in range(1, len(piece)):
            pair = piece[:place], piece[place:]
            if scores[piece] and pair not in made and all(part in vocab for part in pair):
                raise _not_of_sentencepiece(path, " ".join(pair))
    # A piece that nothing makes and that is no character is never written: a mark.
    return {
        piece: score
        for piece, score in scores.items()
        if score or len(piece) == 1 or piece in _BYTES
    }, unknown


def _not_of_sentencepiece(path: Path, pair: str) -> InputError:
    return InputError(
        f"{path} joins pieces otherwise than a SentencePiece model would (at {pair[:40]!r}), "
        "which is not supported."
    )
