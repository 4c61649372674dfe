"""The records of a run: what each JSON file must hold, checked as it is read."""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from keras_seq2seq.data.readers import Pairs
from keras_seq2seq.data.signals import Signal
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import disk_errors

# A type, a list of one shape, or a dictionary of shapes by key. An integer is a number too.
Shape = Any
NUMBER = float

METRICS: dict[str, Shape] = {
    "best_epoch": int,
    "epochs": int,
    "parameters": int,
    "training_pairs": int,
    "seconds": NUMBER,
    "pairs_per_second": NUMBER,
    "resumed_from_epoch": int,
    "machine": {
        "processor": str,
        "cores": object,
        "accelerator": str,
        "tensorflow": str,
        "keras": str,
        "python": str,
    },
}
EVALUATION: dict[str, Shape] = {
    "token_error_rate": NUMBER,
    "sequence_error_rate": NUMBER,
    "sequences": int,
    "metric": str,
    "search": str,
    "token_name": str,
    "sequence_name": str,
    "milliseconds_each": NUMBER,
}
OUTPUT: dict[str, Shape] = {
    "source": str,
    "targets": [str],
    "output": str,
    "target_tokens": [[str]],
    "output_tokens": [str],
}
CHECKPOINT: dict[str, Shape] = {"weights": str, "history": [dict]}
CONFIG: dict[str, Shape] = {"settings": dict, "data": str}
# Of some machines alone.
OPTIONAL = frozenset({"accelerator"})


def read_record(
    path: Path, shape: dict[str, Shape], advice: str, required: Collection[str] | None = None
) -> dict[str, Any]:
    """The content of a JSON file.

    Args:
        path: The file.
        shape: What its keys hold; other keys may be there too.
        advice: What to do about a file that cannot be used.
        required: The keys that must be there. Defaults to all.

    Raises:
        InputError: If it cannot be read, is no JSON, or holds something else.
    """
    content = _parsed(_text(path), str(path), dict, advice)
    needed = shape if required is None else required
    kept = {key: shape[key] for key in shape if key in content or key in needed}
    if wrong := _mismatch(content, kept):
        raise InputError(f"{path}: {wrong}. {advice}")
    return content


def read_records(path: Path, shape: Shape, advice: str) -> list[Any]:
    """The same of a file with one JSON value a line."""
    # Only "\n" ends a line: JSON may hold other line breaks.
    lines = _text(path).removesuffix("\n").split("\n")
    if lines == [""]:
        return []
    return [
        _parsed(line, f"{path}, line {number}", shape, advice)
        for number, line in enumerate(lines, 1)
    ]


def check_history(
    history: list[Any], where: str, advice: str, required: Collection[str] = ()
) -> list[dict[str, float]]:
    """The metrics of epochs, each a dictionary of numbers, the epochs counted from 1.

    Raises:
        InputError: If they are something else.
    """
    for number, metrics in enumerate(history, 1):
        wrong = _mismatch(metrics, dict)
        if wrong is None:
            names = ("epoch", *required, *metrics)
            wrong = _mismatch(metrics, dict.fromkeys(names, NUMBER))
        if wrong is None and metrics["epoch"] != number:
            wrong = f"epoch must be {number}. Received: {metrics['epoch']}"
        if wrong:
            raise InputError(f"{where}, epoch {number}: {wrong}. {advice}")
    return history


def _text(path: Path) -> str:
    with disk_errors(path, "read"):
        content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: it was not written by this program.") from error


def _parsed(text: str, where: str, shape: Shape, advice: str) -> Any:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is no whole JSON: {error}. {advice}") from error
    if wrong := _mismatch(content, shape):
        raise InputError(f"{where}: {wrong}. {advice}")
    return content


def _is_a(value: Any, kind: type) -> bool:
    kinds = (int, float) if kind is NUMBER else (kind,)
    return isinstance(value, kinds) and (kind is object or not isinstance(value, bool))


def _mismatch(value: Any, shape: Shape, name: str = "it") -> str | None:
    """What of a value does not have a shape; `None` if all of it has."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{name} must be a list. Received: {str(value)[:40]!r}"
        found = (_mismatch(item, shape[0], f"an item of {name}") for item in value)
        return next(filter(None, found), None)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{name} must be an object. Received: {str(value)[:40]!r}"
        for key, inner in shape.items():
            if key not in value and key not in OPTIONAL:
                return f"{key} is missing"
            if key in value and (wrong := _mismatch(value[key], inner, key)):
                return wrong
        return None
    if not _is_a(value, shape):
        kind = {str: "text", int: "a whole number", NUMBER: "a number", dict: "an object"}
        return f"{name} must be {kind[shape]}. Received: {str(value)[:40]!r}"
    return None


def epochs_of(metrics: dict[str, float]) -> float:
    """How many epochs were trained when these metrics were measured: not whole ones where
    `--evaluate-steps` says when."""
    return metrics.get("epochs", metrics["epoch"])


def place_of(metrics: dict[str, float]) -> str:
    """When these metrics were measured: `"epoch 3"`, or `"step 300 (epoch 0.97)"`."""
    if "step" not in metrics:
        return f"epoch {metrics['epoch']:.0f}"
    return f"step {metrics['step']:,.0f} (epoch {metrics['epochs']:.2f})"


def file_fingerprint(path: Path) -> str:
    """SHA-256 of a file; `InputError` if it cannot be read."""
    with disk_errors(path, "read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*parts: Pairs) -> str:
    """SHA-256 of the pairs: tells whether a run goes on with the data it began with."""
    digest = hashlib.sha256()
    for pairs in parts:
        for source, target in zip(pairs.sources, pairs.targets, strict=True):
            digest.update(f"{source}\t{target}\n".encode("utf-8", "surrogatepass"))
            if isinstance(source, Signal):
                digest.update(source.array.tobytes())
        for numbers in (pairs.weights, pairs.repeats):
            if numbers is not None:
                digest.update(numbers.tobytes())
        digest.update(b"\0")
    return digest.hexdigest()
