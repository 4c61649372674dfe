"""Reads `signatures.json`: what an artefact takes and gives, and was made with."""

import hashlib
import json
from pathlib import Path
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.files import disk_errors
from keras_seq2seq.settings import GenerationSettings

DESCRIPTION = "signatures.json"
# A file that every artefact of a kind has, and where its description lies.
_KINDS = {
    "saved_model.pb": f"assets.extra/{DESCRIPTION}",
    "model.tflite": DESCRIPTION,
    "decode_step.onnx": DESCRIPTION,
    "generate.onnx": DESCRIPTION,
    "model.bin": DESCRIPTION,
    "model.safetensors": DESCRIPTION,
}

ADVICE = "Export it again, or copy it anew."


def kind_of(path: Path) -> str | None:
    """The file that tells what kind of artefact a folder is; `None` if it is none."""
    return next((name for name in _KINDS if (path / name).exists()), None)


def read_description(path: Path) -> dict[str, Any]:
    """What the `signatures.json` of an artefact holds.

    Args:
        path: A folder that a format of `export` wrote.

    Raises:
        InputError: If it is no artefact of this package, or damaged.
    """
    with disk_errors(path, "read"):
        kind = kind_of(path)
        if kind is None:
            raise InputError(
                f"{path} is no artefact: it has neither saved_model.pb nor model.tflite nor "
                "another format's file. Make one with `keras-seq2seq export`, and give the "
                "folder of one format, such as FOLDER/saved_model; of TensorFlow Serving a "
                "version, such as FOLDER/MODEL/1."
            )
        file = path / _KINDS[kind]
        if not file.exists():
            is_page = (path / "model.json").exists()
            raise InputError(
                f"{path} is a web page, which runs in a browser; compare the other formats."
                if is_page
                else f"{path} was not exported by this package: no signatures.json."
            )
        content = file.read_bytes()
    try:
        description = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged: no whole JSON ({error}). {ADVICE}") from error
    if not isinstance(description, dict):
        raise InputError(f"{file} is damaged: it must hold an object. {ADVICE}")
    if kind == "saved_model.pb":  # The runner of another format looks at its own files.
        with disk_errors(path, "read"):
            _check_files(path, description.get("files", {}))
    return description


def fingerprint(content: bytes) -> dict[str, Any]:
    """What tells later whether a file is as it was written."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _check_files(path: Path, files: Any) -> None:
    """Raises `InputError` for a file that was changed; older artefacts do not tell.

    A vocabulary that was cut is one like any other to TensorFlow, and every answer wrong.
    """
    if not isinstance(files, dict):
        raise InputError(f"{path}: its signatures.json is damaged: files. {ADVICE}")
    for name, written in files.items():
        content = (path / name).read_bytes() if (path / name).is_file() else b""
        if fingerprint(content) != written:
            raise InputError(
                f"{path / name} is not as it was exported: {len(content):,} bytes with another "
                "fingerprint. Copy it anew."
            )


def generation_of(description: dict[str, Any], path: Path) -> GenerationSettings:
    """The settings that an artefact was made with; `path` is for the message."""
    try:
        return GenerationSettings.from_file(description["generation"])
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: its signatures.json is damaged: the settings of its generation cannot be "
            f"read ({type(error).__name__}: {error}). {ADVICE}"
        ) from error
