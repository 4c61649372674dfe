"""Several formats of one model, side by side in a folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from keras_seq2seq.decoding import num_threads
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import (
    check_folder,
    clear_leftovers,
    disk_errors,
    replace_folder,
)
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.settings.declarations import settings_of

from .description import generation_of, read_description
from .lacking import check_format
from .onnx_export import export_onnx, export_onnx_loop
from .saved_model import export_saved_model
from .serving import export_serving, last_version
from .tflite import WrittenGraph, write_tflite
from .web import export_web
from .weight_folders import export_ctranslate2, export_safetensors


@dataclass(frozen=True)
class Extras:
    """What only some formats take.

    Attributes:
        graph: What `.tflite` files are made of.
        sources: Some of the model's data, for test vectors.
        litertjs: Folder of LiteRT.js, for a page with its own copy.
    """

    graph: WrittenGraph
    sources: Sequence[Any] = ()
    litertjs: Path | None = None


# `(model, new path, settings, model name, extras)`.
Exporter = Callable[[Seq2Seq, Path, GenerationSettings, str, Extras], Any]


def _tflite(quantization: str) -> Exporter:
    return lambda model, path, settings, name, extras: write_tflite(
        extras.graph, path, quantization, model_name=name, sources=extras.sources
    )


EXPORTERS: dict[str, Exporter] = {
    "saved_model": lambda model, path, settings, name, _: export_saved_model(
        model, path, settings
    ),
    "saved_model_xla": lambda model, path, settings, name, _: export_saved_model(
        model, path, settings, xla_threads=num_threads()
    ),
    "tflite": _tflite("float32"),
    "tflite_float16": _tflite("float16"),
    "tflite_int8": _tflite("int8"),
    "serving": lambda model, path, settings, name, _: export_serving(
        model, path, settings, model_name=name
    ),
    "onnx": lambda model, path, settings, name, _: export_onnx(model, path, settings),
    "onnx_loop": lambda model, path, settings, name, _: export_onnx_loop(model, path, settings),
    "ctranslate2": lambda model, path, settings, name, _: export_ctranslate2(
        model, path, settings
    ),
    "safetensors": lambda model, path, settings, name, _: export_safetensors(
        model, path, settings
    ),
    "web": lambda model, path, settings, name, extras: export_web(
        model,
        path,
        settings,
        model_name=name,
        litertjs=extras.litertjs,
        sources=extras.sources,
    ),
}

# An export adds a version to what exists.
ADDS_TO_FOLDER = ("serving",)
# One of these is in every folder that an exporter wrote.
OWN_FILES = (
    "saved_model.pb",
    "model.tflite",
    "model.bin",
    "decode_step.onnx",
    "generate.onnx",
    "model.safetensors",
)


def export_formats(
    model: Seq2Seq,
    folder: Path,
    formats: Sequence[str],
    settings: GenerationSettings | None,
    console: Console,
    model_name: str = "seq2seq",
    *,
    sources: Sequence[Any] = (),
    litertjs: Path | None = None,
    batch_size: int = 1,
    overwrite: bool = False,
) -> None:
    """Writes `folder/FORMAT` for each format and says what was written.

    Args:
        model: Model with a preprocessor.
        folder: Where the formats are written; may exist.
        formats: Some of `EXPORTERS`.
        settings: The generation of `serving_default`. With `None` a new version for
            TensorFlow Serving has the settings of the version before; else greedy.
        console: Where it is printed.
        model_name: Name of the model on a server and in a model card.
        sources: Some of the model's data, for test vectors.
        litertjs: Folder `node_modules/@litertjs`, which the page gets a copy of.
        batch_size: Sources of a call of the `.tflite` formats. Defaults to 1.
        overwrite: Whether a format that exists is replaced. Defaults to false: it is left as
            it is, and the others are written.

    Raises:
        InputError: If one of them exists, after the others are written; if one has not what
            the settings ask for, would replace what is no export, or nothing can be written,
            before any is.
    """
    check_folder(folder)
    for name in formats:
        check_format(name, settings or GenerationSettings())
    paths = {name: folder / name for name in formats}
    with disk_errors(folder, "read"):
        there = {n: p for n, p in paths.items() if n not in ADDS_TO_FOLDER and p.exists()}
        for path in there.values() if overwrite else ():
            if not any((path / name).is_file() for name in OWN_FILES):
                raise InputError(
                    f"{path} is no export of this program, so it is not overwritten. Choose "
                    "another folder, or delete it; nothing was changed."
                )
    for place in (folder, folder / "serving", folder / "serving" / model_name):
        for line in clear_leftovers(place):
            _say(console, line)
    with WrittenGraph(model, settings, batch_size) as graph:
        extras = Extras(graph, sources, litertjs)
        for name, path in paths.items():
            if name in there and not overwrite:
                continue
            chosen = settings or GenerationSettings()
            if name == "serving" and settings is None:
                chosen = _settings_before(path / model_name, console)

            def write(
                path: Path, name: str = name, chosen: GenerationSettings = chosen
            ) -> Path:
                return EXPORTERS[name](model, path, chosen, model_name, extras) or path

            with console.status(f"exporting {name}"):
                written = path
                if name in there:
                    replace_folder(path, write)
                else:
                    written = write(path)
            _say_written(console, name, path, written, chosen)
    if there and not overwrite:
        names = " and ".join(map(str, there.values()))
        raise InputError(
            f"{names} exists{' (each of them)' * (len(there) > 1)} and was left as it is. "
            "Choose another folder, delete it, or give --overwrite."
        )


def _settings_before(folder: Path, console: Console) -> GenerationSettings:
    """The settings of the last version of a model, or greedy where there is none."""
    version = last_version(folder)
    if version is None:
        return GenerationSettings()
    settings = generation_of(read_description(folder / str(version)), folder / str(version))
    _say(
        console,
        f"Settings as in version {version}: {_options(settings)}. Give others as options, such "
        "as --beam-size 1.",
    )
    return settings


def _say_written(
    console: Console, name: str, path: Path, written: Path, settings: GenerationSettings
) -> None:
    size = sum(file.stat().st_size for file in written.rglob("*") if file.is_file())
    version = f", version {written.name} of {written.parent.name}" if name == "serving" else ""
    _say(console, f"Written: {written} ({size / 1e6:.1f} MB{version}; {_options(settings)})")
    if name == "serving":
        _say(console, f"Start the server: docker compose -f {path}/compose.yaml up")
    if name == "web":
        _say(console, f"See it: python -m http.server -d {path}")


def _options(settings: GenerationSettings) -> str:
    """The search and the options that differ from their defaults."""
    shown = []
    for name, declared in settings_of(GenerationSettings).items():
        value = getattr(settings, name)
        if value == declared.default:
            continue
        if isinstance(value, tuple):
            value = f"({len(value)} given)"
        shown.append(declared.option if value is True else f"{declared.option} {value}")
    return f"{settings.description}: {' '.join(shown) or 'every setting its default'}"


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True, markup=False)
