"""Outputs beside right targets, with what is wrong marked and where the model looked."""

import html
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from keras_seq2seq.pictures import plot_attention

from .errors import nearest_target
from .markup import picture

# Attention over more tokens than this is no picture for a page.
LONGEST_DRAWN = 40


def examples(model: Any, rows: Sequence[dict[str, Any]]) -> str:
    """Saved outputs, one card each."""
    cards = [
        _card(model, row, drawn)
        for row, drawn in zip(rows, _attention(model, rows), strict=True)
    ]
    return f'<div class="examples">{"".join(cards)}</div>'


def _card(model: Any, row: dict[str, Any], drawn: str) -> str:
    separator = model.preprocessor.target_tokenizer.separator
    output, right = marked(row["output_tokens"], nearest_target(row), separator)
    others = len(row["target_tokens"]) - 1
    return (
        '<div class="example"><p><small>source</small>'
        f"<bdi>{html.escape(row['source'])}</bdi></p>"
        f"<p><small>output</small><bdi>{output}</bdi></p>"
        f"<p><small>right</small><bdi>{right}</bdi>"
        f"{f' <small>(or {others} more)</small>' if others else ''}</p>{drawn}</div>"
    )


def marked(output: Sequence[str], right: Sequence[str], separator: str) -> tuple[str, str]:
    """An output and its right target as markup, the tokens in which they differ marked."""
    steps = [step for step in Levenshtein.opcodes(output, right) if step.tag != "equal"]
    wrong = {i for step in steps for i in range(step.src_start, step.src_end)}
    missed = {i for step in steps for i in range(step.dest_start, step.dest_end)}
    return _joined(output, wrong, separator), _joined(right, missed, separator)


def _joined(tokens: Sequence[str], wrong: set[int], separator: str) -> str:
    pieces = [
        f'<span class="wrong">{html.escape(token)}</span>'
        if index in wrong
        else html.escape(token)
        for index, token in enumerate(tokens)
    ]
    return html.escape(separator).join(pieces) or "<i>nothing</i>"


def _attention(model: Any, rows: Sequence[dict[str, Any]]) -> list[str]:
    """A picture of each; empty where there is none to draw."""
    preprocessor = model.preprocessor
    if model.alignment_model is None or preprocessor.kind != "text":
        return [""] * len(rows)
    return [_picture(model, row) for row in rows]


def _picture(model: Any, row: dict[str, Any]) -> str:
    preprocessor = model.preprocessor
    source = preprocessor.source_tokenizer.split_text(row["source"])
    target = row["output_tokens"]
    if not 1 <= len(source) <= min(LONGEST_DRAWN, preprocessor.max_source_length):
        return ""
    if len(target) > min(LONGEST_DRAWN, preprocessor.max_target_length):
        return ""
    weights = model.align([row["source"]], [row["output"]])[0]
    weights = weights[: len(target) + 1, : len(source) + 1]
    if weights.shape != (len(target) + 1, len(source) + 1):
        return ""  # A pyramid's positions are no tokens.
    return _drawn(weights, [*source, "end"], [*target, "end"], row["source"])


def _drawn(weights: np.ndarray, source: Sequence[str], target: Sequence[str], name: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "attention.png"
        plot_attention(weights, source, target, path)
        content = path.read_bytes()
    return picture(content, "png", f"attention over the source {name}")
