"""Models as safetensors: weights by name, the configuration beside them."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.models.saved_file import check_declared
from keras_seq2seq.models.seq2seq import why_not_loaded

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
# Of what the file's own words say that it is.
FORMAT = "keras_seq2seq"


@checked
def to_safetensors(model: Seq2Seq, path: str | Path) -> None:
    """Writes a model as a folder: `model.safetensors`, each weight by its path such as
    `encoder_0_query/kernel`, in its own dtype; and `config.json`, the configuration as Keras
    has it, tokenizers included.

    Args:
        model: The model.
        path: New folder.

    Raises:
        InputError: If `path` exists, safetensors is not installed, or two weights have one
            name.
    """
    save_file = _library().save_file
    folder = Path(path)
    if folder.exists():
        raise InputError(f"{folder} exists. Choose another folder, or delete it.")
    arrays: dict[str, np.ndarray] = {}
    for name, variable in _named(model).items():
        # Contiguous: of a view the library writes the memory behind it.
        arrays[name] = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
    text = json.dumps(keras.saving.serialize_keras_object(model), indent=2)
    folder.mkdir(parents=True)
    save_file(arrays, folder / WEIGHTS_FILE, metadata={"format": FORMAT})
    (folder / CONFIG_FILE).write_text(text + "\n", "utf-8")


@checked
def from_safetensors(path: str | Path) -> Seq2Seq:
    """The model of a folder that `to_safetensors` wrote; code is never run from it.

    Args:
        path: The folder.

    Raises:
        InputError: If a file is missing or damaged, safetensors is not installed, or the
            weights are not those of the configuration; with the first name that differs.
    """
    folder = Path(path)
    for name in (WEIGHTS_FILE, CONFIG_FILE):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: no such file. Export the model again.")
    arrays = _read(folder / WEIGHTS_FILE)
    try:
        config = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{folder / CONFIG_FILE} is not JSON: {error}.") from error
    if not isinstance(config, dict):
        raise InputError(f"{folder / CONFIG_FILE} must hold an object.")
    numbers = sum(array.size for array in arrays.values())
    check_declared(folder, config, len(arrays), numbers)
    try:
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    except InputError:
        raise
    except Exception as error:  # Keras raises many kinds for a broken configuration.
        reason = " ".join(why_not_loaded(error).split())
        raise InputError(f"{folder / CONFIG_FILE} makes no model: {reason}") from error
    if not isinstance(model, Seq2Seq):
        raise InputError(
            f"{folder / CONFIG_FILE} is of a {type(model).__name__}, not of a Seq2Seq."
        )
    named = _named(model)
    for name in [*named, *arrays]:
        here = tuple(named[name].shape) if name in named else "none"
        there = arrays[name].shape if name in arrays else "none"
        if here != there:
            raise InputError(
                f"{folder}: the weight {name} has the shape {there} in {WEIGHTS_FILE} and "
                f"{here} by {CONFIG_FILE}."
            )
    for name, variable in named.items():
        variable.assign(arrays[name])
    return model


def _read(path: Path) -> dict[str, np.ndarray]:
    library = _library()
    from safetensors import SafetensorError

    try:
        return library.load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read as safetensors: {error}.") from error


def _named(model: Seq2Seq) -> dict[str, Any]:
    """The weights by their path, the name of the model in front left out."""
    named: dict[str, Any] = {}
    for variable in model.weights:
        if variable.path in named:
            raise InputError(f"Two weights have the name {variable.path}; name their layers.")
        named[variable.path] = variable
    return named


def _library() -> Any:
    try:
        from safetensors import numpy as library
    except ImportError as error:
        raise InputError(
            "This format needs safetensors: `pip install keras-seq2seq[safetensors]`."
        ) from error
    return library
