"""Replays the test vectors of an exported folder: does the file still give what it gave?

Needs numpy, nothing else: a copy of this file lies in the folder.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def read_vectors(folder: str | Path) -> dict[str, Any]:
    """The test vectors of a folder."""
    return json.loads((Path(folder) / "test_vectors.json").read_text("utf-8"))


def print_check(runner: Any, vectors: dict[str, Any]) -> int:
    """Prints the differences and the time of a source; 1 if there are some, else 0."""
    found = differences(runner, vectors)
    print("\n".join(found) if found else "as exported: every test vector agrees")
    seconds = mean_seconds(runner, vectors)
    print(f"{1000 * seconds:.1f} ms a source, the mean of the test vectors")
    return 1 if found else 0


def differences(runner: Any, vectors: dict[str, Any]) -> list[str]:
    """What the runner gives otherwise than it was expected at export.

    Args:
        runner: `LiteRTRunner` of the folder.
        vectors: Content of `test_vectors.json`.

    Returns:
        A line for each vector that differs; none if all agree.
    """
    found = []
    for number, vector in enumerate(vectors["vectors"], 1):
        if reason := _difference(runner, vector, vectors["tolerance"]):
            found.append(f"vector {number}, {str(vector['source'])[:40]!r}: {reason}")
    return found


def mean_seconds(runner: Any, vectors: dict[str, Any]) -> float:
    """How long the runner takes for a source of the vectors, in batches of its file."""
    sources = [
        source if isinstance(source := one["source"], str) else np.array(source, np.float32)
        for one in vectors["vectors"]
        if "refused" not in one
    ]
    begin = time.perf_counter()
    runner.generate_all(sources)
    return (time.perf_counter() - begin) / max(1, len(sources))


def _difference(runner: Any, vector: dict[str, Any], tolerance: float) -> str:
    source: Any = vector["source"]
    if not isinstance(source, str):
        source = np.array(source, np.float32)
    try:
        inputs = runner.encoder_inputs(source)
    except ValueError:
        return "" if "refused" in vector else "it is refused, and had an answer"
    if "refused" in vector:
        return "it is taken, and must be refused"
    ids = vector.get("encoder_token_ids")
    if ids is not None and inputs["encoder_token_ids"][0].tolist() != ids:
        return f"ids {inputs['encoder_token_ids'][0].tolist()} in place of {ids}"
    texts, outputs = runner.generate(source)
    end = runner.description["target"]["end"]
    best = _before(outputs["token_ids"][0][0].tolist(), end)
    if best != vector["token_ids"][0]:
        return f"the best target is {best} in place of {vector['token_ids'][0]}"
    if texts[0] != vector["texts"][0]:
        return f"the text is {texts[0]!r} in place of {vector['texts'][0]!r}"
    log_probs = outputs["log_probs"][0][: len(vector["log_probs"])].tolist()
    if not _close(log_probs, vector["log_probs"], tolerance):
        return f"log probabilities {log_probs} in place of {vector['log_probs']}"
    return ""


def _before(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids


def _close(one: Sequence[float], other: Sequence[float], tolerance: float) -> bool:
    return all(
        abs(a - b) <= tolerance * max(1, abs(b)) for a, b in zip(one, other, strict=True)
    )
