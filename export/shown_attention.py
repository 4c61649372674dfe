"""Where an export looked, of the alignments that it was exported with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .plain_tokenizers import PlainTokenizer

# Tokenizers whose vocabulary, which a SavedModel has among its assets, is all that splits.
_BY_VOCABULARY = ("CharacterTokenizer", "SymbolTokenizer", "WordTokenizer")
ALIGNMENTS = "alignments"


def source_tokenizer_in(path: Path, description: Mapping[str, Any]) -> PlainTokenizer | None:
    """The source tokenizer of a SavedModel; `None` where its pieces are known in its graph
    alone."""
    source = description["source"]
    if source.get("kind", "text") != "text" or source.get("split") not in _BY_VOCABULARY:
        return None
    return PlainTokenizer(source, vocabulary_in(path, "source"))


def vocabulary_in(path: Path, side: str) -> list[str]:
    """The tokens of a SavedModel, by id; none where it has no such file."""
    file = path / "assets" / f"{side}_vocabulary.txt"
    return file.read_text("utf-8").split("\n")[:-1] if file.exists() else []


def shown_attention(
    outputs: Mapping[str, np.ndarray], sources: list[str] | None, vocabulary: list[str]
) -> dict[str, Any]:
    """Names of the positions and the weights of the best target of the first source.

    Args:
        outputs: Of a signature, with `alignments`.
        sources: Source tokens; `None` of sound and frames, whose every tenth position has
            its number.
        vocabulary: Target tokens by id.
    """
    weights = outputs[ALIGNMENTS][0, 0]
    if sources is None:
        names = ["" if index % 10 else str(index) for index in range(weights.shape[-1])]
    else:
        names = [*sources, "end"]
    length = int(outputs["length"][0, 0])
    targets = [vocabulary[int(one)] for one in outputs["token_ids"][0, 0, :length]]
    return described_attention(names, [*targets, "end"], weights)


def described_attention(
    sources: list[str], targets: list[str], weights: np.ndarray
) -> dict[str, Any]:
    """As a server tells it: a row of weights a target token."""
    shown = weights[: len(targets), : len(sources)].astype(float)
    return {"source": sources, "target": targets, "weights": np.round(shown, 4).tolist()}
