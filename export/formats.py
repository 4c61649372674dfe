"""Several formats of one model, side by side in a folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from keras_seq2seq.converters import to_ctranslate2
from keras_seq2seq.decoding import num_threads
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.settings import GenerationSettings

from .artefact import write_new
from .saved_model import export_saved_model
from .serving import export_serving
from .tflite import export_tflite
from .web import export_web

# `(model, new path, settings, model name)`.
Exporter = Callable[[Seq2Seq, Path, GenerationSettings, str], Any]


def _tflite(quantization: str) -> Exporter:
    return lambda model, path, settings, name: export_tflite(
        model, path, settings, quantization, model_name=name
    )


EXPORTERS: dict[str, Exporter] = {
    "saved_model": lambda model, path, settings, name: export_saved_model(
        model, path, settings
    ),
    "saved_model_xla": lambda model, path, settings, name: export_saved_model(
        model, path, settings, xla_threads=num_threads()
    ),
    "tflite": _tflite("float32"),
    "tflite_float16": _tflite("float16"),
    "tflite_int8": _tflite("int8"),
    "serving": lambda model, path, settings, name: export_serving(
        model, path, settings, model_name=name
    ),
    "ctranslate2": lambda model, path, settings, name: write_new(
        path, lambda folder: to_ctranslate2(model, folder)
    ),
    "web": lambda model, path, settings, name: export_web(
        model, path, settings, model_name=name
    ),
}

# An export adds a version to what exists.
ADDS_TO_FOLDER = ("serving",)


def export_formats(
    model: Seq2Seq,
    folder: Path,
    formats: Sequence[str],
    settings: GenerationSettings,
    console: Console,
    model_name: str = "seq2seq",
) -> None:
    """Writes `folder/FORMAT` for each format and says the size of each.

    Args:
        model: Model with a preprocessor.
        folder: Where the formats are written; may exist.
        formats: Some of `EXPORTERS`.
        settings: The generation of `serving_default`.
        console: Where it is printed.
        model_name: Name of the model on a server and in a model card.

    Raises:
        InputError: If one of them exists, before any is written.
    """
    paths = {name: folder / name for name in formats}
    for name, path in paths.items():
        if path.exists() and name not in ADDS_TO_FOLDER:
            raise InputError(
                f"{path} exists. Choose another folder, or delete it; nothing was changed."
            )
    for name, path in paths.items():
        with console.status(f"exporting {name}"):
            written = EXPORTERS[name](model, path, settings, model_name) or path
        size = sum(file.stat().st_size for file in written.rglob("*") if file.is_file())
        console.print(
            f"Written: {written} ({size / 1e6:.1f} MB)", highlight=False, soft_wrap=True
        )
        if name == "serving":
            console.print(
                f"Start the server: docker compose -f {path}/compose.yaml up", soft_wrap=True
            )
        if name == "web":
            console.print(f"See it: python -m http.server -d {path}", soft_wrap=True)
