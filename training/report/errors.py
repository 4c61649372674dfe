"""What goes wrong: which tokens for which, unknown ones, and whether the model knows it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from ..evaluation.comparison import counts_of

# Stands for no token, in a confusion.
NOTHING = ""


def nearest_target(row: dict[str, Any]) -> list[str]:
    """Of a saved output the tokens of the right target that it is compared with."""
    output = row["output_tokens"]
    return min(
        row["target_tokens"],
        key=lambda tokens: (
            Levenshtein.distance(output, tokens) / max(1, len(tokens)),
            len(tokens),
        ),
    )


def counts(rows: Sequence[dict[str, Any]]) -> np.ndarray:
    """`(rows, 3)`: edits, tokens of the nearest right target, whether it is wrong."""
    return np.array([counts_of(row) for row in rows], float).reshape(-1, 3)


def confusions(
    rows: Sequence[dict[str, Any]],
) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """How often one token came out for another, by the fewest edits to the nearest target.

    Returns:
        `(right token, generated token)` -> times, of which one may be `NOTHING` (missing, or
        too much); and right token -> how often it should have come.
    """
    wrong: Counter[tuple[str, str]] = Counter()
    expected: Counter[str] = Counter()
    for row in rows:
        output, right = row["output_tokens"], nearest_target(row)
        expected.update(right)
        for step in Levenshtein.opcodes(output, right):
            if step.tag == "equal":
                continue
            said = output[step.src_start : step.src_end]
            meant = right[step.dest_start : step.dest_end]
            for place in range(max(len(said), len(meant))):
                pair = (
                    meant[place] if place < len(meant) else NOTHING,
                    said[place] if place < len(said) else NOTHING,
                )
                wrong[pair] += 1
    return wrong, expected


@dataclass(frozen=True)
class Group:
    """Sources that have something in common.

    Attributes:
        name: What they have in common.
        sources: How many there are.
        token_errors: Share of wrong tokens.
        wrong: Share of wrong outputs.
    """

    name: str
    sources: int
    token_errors: float
    wrong: float


def unknown_groups(model: Any, rows: Sequence[dict[str, Any]]) -> list[Group]:
    """Errors by whether the vocabularies have the tokens; empty groups are left out."""
    unknown = model.preprocessor.source_tokenizer.unknown_token_id
    ids = model.preprocessor.tokenize_source([row["source"] for row in rows]).to_list()
    of_source = [unknown in row for row in ids]
    known = set(model.preprocessor.target_tokenizer.get_vocabulary())
    of_target = [not any(known.issuperset(one) for one in row["target_tokens"]) for row in rows]
    found, counted = [], counts(rows)
    for name, chosen in (
        (
            "every token known",
            [not (s or t) for s, t in zip(of_source, of_target, strict=True)],
        ),
        ("unknown tokens in the source", of_source),
        ("unknown tokens in every right target: it cannot be generated", of_target),
    ):
        inside = counted[np.array(chosen, bool)]
        if len(inside):
            edits, tokens, wrong = inside.sum(0)
            found.append(Group(name, len(inside), edits / max(1, tokens), wrong / len(inside)))
    return found


@dataclass(frozen=True)
class Calibration:
    """How sure the model is, against how often it is right, in groups of equal size.

    Attributes:
        sure: Mean probability of the outputs of each group, ascending.
        right: Share of right outputs of each group.
        sizes: Outputs of each group.
        error: Mean distance of the two, weighted by size (expected calibration error).
    """

    sure: list[float]
    right: list[float]
    sizes: list[int]
    error: float


def calibration(rows: Sequence[dict[str, Any]], groups: int = 10) -> Calibration | None:
    """The probability of each output against whether it is right.

    `None` where no probability was saved, as by an older version.

    Reference:
        [Guo et al., 2017](https://arxiv.org/abs/1706.04599), section 2.
    """
    # Of a source that was not decoded there is none, and of broken weights no number.
    kept = [row for row in rows if _is_number(row.get("log_prob"))]
    if not kept:
        return None
    sure = np.exp([row["log_prob"] for row in kept])
    right = 1 - counts(kept)[:, 2]
    order = np.argsort(sure, kind="stable")
    parts = [part for part in np.array_split(order, min(groups, len(order))) if len(part)]
    means = [(float(sure[part].mean()), float(right[part].mean())) for part in parts]
    sizes = [len(part) for part in parts]
    distances = [abs(a - b) for a, b in means]
    return Calibration(
        [a for a, _ in means],
        [b for _, b in means],
        sizes,
        float(np.average(distances, weights=sizes)),
    )


def _is_number(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))
