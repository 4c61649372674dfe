"""What an evaluation is of: pairs, by name and fingerprint, and the model."""

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_seq2seq.data import Pairs, read_pairs
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import disk_errors
from keras_seq2seq.wording import counted, names

from ..run_directory import RunDirectory
from ..run_records import fingerprint


def evaluated_part(
    run: RunDirectory, pairs: Pairs | None, files: Sequence[Path] = ()
) -> dict[str, Any]:
    """What `evaluation.json` records of the pairs.

    Args:
        run: The run.
        pairs: What is evaluated; `None` for the run's own test or validation pairs.
        files: What they were read from.

    Returns:
        `part` (`"test"`, `"validation"`, `"files"`, or `"pairs"` that were given in memory),
        `files` (each with `name`, `sha256` and `lines`) and `pairs_sha256`, which is the same
        for the same pairs in the same order, however they were written.
    """
    if pairs is None:
        files = [run.pairs_file]
        # With the names of signals as they are in the run, wherever it lies.
        pairs = read_pairs(files[0])
        part = "test" if files[0] == run.test_file else "validation"
    else:
        part = "files" if files else "pairs"
    return {
        "part": part,
        "files": [_described(Path(file)) for file in files],
        "pairs": len(pairs),
        "pairs_sha256": fingerprint(pairs),
    }


def evaluated_name(evaluated: dict[str, Any]) -> str:
    """`test.tsv`, `words.txt and phonemes.txt`, or `400 pairs`."""
    found = names([file["name"] for file in evaluated["files"]])
    return found or counted(evaluated["pairs"], "pair")


def evaluated_line(evaluated: dict[str, Any]) -> str:
    """The same with what tells the file from another one of that name."""
    parts = [
        f"{file['name']} ({counted(file['lines'], 'line')}, SHA-256 {file['sha256'][:12]})"
        if file["sha256"]
        else file["name"]
        for file in evaluated["files"]
    ]
    shown = names(parts) or f"{counted(evaluated['pairs'], 'pair')} given in memory"
    if evaluated["part"] in ("test", "validation"):
        return f"the {evaluated['part']} pairs of the run, {shown}"
    return shown


def model_sha256(run: RunDirectory) -> str:
    """SHA-256 of the model of a run: a training that goes on replaces it."""
    with disk_errors(run.model_file, "read"), run.require_model().open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_of_model(run: RunDirectory) -> bool:
    """Whether the run has an evaluation, and it is of the model that is there. Those of
    older versions, which do not say, are taken for it, and those whose model is not kept."""
    if not run.evaluation_file.exists():
        return False
    if not run.model_file.exists():
        return True
    recorded = run.evaluation().get("model_sha256")
    return recorded is None or recorded == model_sha256(run)


def check_of_model(run: RunDirectory) -> None:
    """Raises `InputError` for an evaluation of another model than the run has now."""
    if run.evaluation_file.exists() and not is_of_model(run):
        raise InputError(
            f"{run.evaluation_file} is of an earlier model than {run.model_file.name}, which a "
            f"training has replaced. Run `keras-seq2seq evaluate {run.path}` again."
        )


def _described(file: Path) -> dict[str, Any]:
    if not file.is_file():  # The folder of a list of signals.
        return {"name": file.name, "sha256": None, "lines": None}
    content = file.read_bytes()
    return {
        "name": file.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "lines": len(_uncompressed(file, content).splitlines()),
    }


def _uncompressed(file: Path, content: bytes) -> bytes:
    try:
        return gzip.decompress(content) if file.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error):  # Its reader says what is wrong.
        return content
