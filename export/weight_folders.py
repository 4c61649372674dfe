"""Formats of weights and words alone: CTranslate2, which brings its own loop, safetensors."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.arguments import checked
from keras_seq2seq.converters import to_ctranslate2, to_safetensors
from keras_seq2seq.files import write_new
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.settings import GenerationSettings

from . import ctranslate2_runner, litert_runner, plain_tokenizers, vector_check
from .description import DESCRIPTION, fingerprint
from .device_bundle import tokenizer_files
from .signatures import describe

# Settings that CTranslate2 has and means as this package does.
_SAME = (
    *("num_beams", "num_hypotheses", "patience", "min_length", "max_length"),
    *("suppress", "suppress_ids", "forbid_unknown"),
)


@checked
def export_safetensors(
    model: Seq2Seq, path: Path, settings: GenerationSettings | None = None
) -> None:
    """Writes what `to_safetensors` writes, and the settings of generation beside it.

    Raises:
        InputError: As `to_safetensors`, or if the settings do not fit the model.
    """
    settings = settings or GenerationSettings()
    model.check_settings(settings)

    def write(folder: Path) -> None:
        to_safetensors(model, folder)
        _write_description(folder, describe(model, settings, "float32", []))

    write_new(path, write)


@checked
def export_ctranslate2(
    model: Seq2Seq, path: Path, settings: GenerationSettings | None = None
) -> None:
    """Writes what `to_ctranslate2` writes, and a runner that splits and joins text.

    Raises:
        InputError: As `to_ctranslate2`, or if the settings do not fit the model.
    """
    settings = settings or GenerationSettings()
    model.check_settings(settings)

    def write(folder: Path) -> None:
        to_ctranslate2(model, folder)
        for name, text in tokenizer_files(model).items():
            (folder / name).write_bytes(text.encode())
        texts = sorted(file for file in folder.iterdir() if file.suffix in (".txt", ".json"))
        description = describe(model, settings, "float32", [])
        description["files"] = {file.name: fingerprint(file.read_bytes()) for file in texts}
        description["search"] = _search_options(model, settings)
        _write_description(folder, description)
        for module in (ctranslate2_runner, litert_runner, plain_tokenizers, vector_check):
            shutil.copy(str(module.__file__), folder)

    write_new(path, write)


def _write_description(folder: Path, description: dict[str, Any]) -> None:
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2), "utf-8")


def _search_options(model: Any, settings: GenerationSettings) -> dict[str, Any]:
    """What the runner's loop takes: numbers and ids, and names of what it lacks."""
    values = model.values(settings)
    default = GenerationSettings()
    return {
        **{
            name: getattr(settings, name)
            for name in ("num_beams", "num_hypotheses", "patience", "min_length")
        },
        "max_length": int(values["max_length"]),
        "suppressed": np.flatnonzero(values["suppressed"]).tolist(),
        "other_settings": [
            name
            for name, value in settings.to_dict().items()
            if name not in _SAME and value != getattr(default, name)
        ],
    }
