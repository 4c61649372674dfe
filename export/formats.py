"""Several formats of one model, side by side in a folder."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.settings import GenerationSettings

from .saved_model import export_saved_model
from .tflite import export_tflite

EXPORTERS: dict[str, Callable[[Seq2Seq, Path, GenerationSettings], None]] = {
    "saved_model": export_saved_model,
    "tflite": export_tflite,
    "tflite_int8": lambda model, path, settings: export_tflite(model, path, settings, "int8"),
}


def export_formats(
    model: Seq2Seq,
    folder: Path,
    formats: Sequence[str],
    settings: GenerationSettings,
    console: Console,
) -> None:
    """Writes `folder/FORMAT` for each format and says the size of each.

    Args:
        model: Model with a preprocessor.
        folder: Where the formats are written; may exist.
        formats: Some of `EXPORTERS`.
        settings: The generation of `serving_default`.
        console: Where it is printed.

    Raises:
        InputError: If one of them exists, before any is written.
    """
    paths = {name: folder / name for name in formats}
    for path in paths.values():
        if path.exists():
            raise InputError(
                f"{path} exists. Choose another folder, or delete it; nothing was changed."
            )
    for name, path in paths.items():
        with console.status(f"exporting {name}"):
            EXPORTERS[name](model, path, settings)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        console.print(f"Written: {path} ({size / 1e6:.1f} MB)", highlight=False, soft_wrap=True)
