"""How large a saved model says that it is, looked at before anything of it is unpacked."""

import io
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
from keras.src.backend.common import global_state

from keras_seq2seq.errors import InputError

# Keras packs without compression: what is unpacked is as large as the file. Packed anew by
# another program it can be larger, by far less than this.
LARGEST_RATIO = 4
FREE_BYTES = 1 << 24
# Settings and vocabularies.
MOST_JSON_BYTES = 1 << 27
# Weights that a model may have beyond those in its file: seeds, and what layers do not save.
FREE_NUMBERS = 1 << 16
# Whole numbers of a configuration that are no size of a layer.
NO_SIZES = ("seed", "preprocessor", "compile_config")


def check_saved_file(path: Path) -> None:
    """Refuses a `.keras` file that would take far more memory than it is large.

    A few kilobytes can say that they unpack to terabytes: by a member of the archive, by an
    array in the weights, or by layers of a configuration whose weights are made before those
    of the file are read. Of each only the size that it claims is looked at.

    Args:
        path: A `.keras` file.

    Raises:
        InputError: If it is no archive or claims too much.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays, numbers = _check_members(path, archive)
            _check_layers(path, archive, arrays, numbers)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise InputError(f"{path} cannot be loaded as a model: {error}.") from error


def _check_members(path: Path, archive: zipfile.ZipFile) -> tuple[int, int]:
    """How many arrays the weights have, and numbers in all of them."""
    arrays = numbers = 0
    most = LARGEST_RATIO * path.stat().st_size + FREE_BYTES
    members = archive.infolist()
    _check(path, sum(member.file_size for member in members), most, "its members")
    for member in members:
        if member.filename.endswith(".json"):
            _check(path, member.file_size, MOST_JSON_BYTES, member.filename)
        if member.filename.endswith(".h5"):
            # HDF5 jumps back and forth, and a member of an archive begins anew to go back.
            sizes = _arrays(io.BytesIO(archive.read(member)))
            total = sum(size * item for size, item in sizes)
            _check(path, total, most, f"the arrays of {member.filename}")
            arrays, numbers = arrays + len(sizes), numbers + sum(size for size, _ in sizes)
    return arrays, numbers


def _check_layers(path: Path, archive: zipfile.ZipFile, arrays: int, numbers: int) -> None:
    try:
        config = json.loads(archive.read("config.json"))
    except (KeyError, ValueError, RecursionError):
        return  # Keras says what is wrong.
    check_declared(path, config, arrays, numbers)


def check_declared(path: Path, config: Any, arrays: int, numbers: int) -> None:
    """Refuses a configuration of more weights than a file holds.

    Where its greatest numbers could make such, the layers are built without their weights.

    Args:
        path: The file, for the message.
        config: As of `keras.saving.serialize_keras_object`.
        arrays: Arrays of weights that the file holds.
        numbers: Numbers in all of them.

    Raises:
        InputError: If it declares more.
    """
    try:
        found = sorted(_sizes(config))
    except RecursionError:
        return  # Keras says what is wrong.
    deepest = max((size for name, size in found if name.endswith("layers")), default=0)
    if deepest > max(arrays, 1):
        raise InputError(
            f"{path} was not loaded: it declares {deepest:,} layers, and holds {arrays} arrays "
            "of weights. Give a file that you trust."
        )
    # No matrix is larger than its two largest sizes, and none has a vocabulary on both sides.
    words = max((size for name, size in found if name == "vocabulary_size"), default=0)
    widths = sorted(size for name, size in found if name != "vocabulary_size")[-2:]
    if max(math.prod(widths), words * max(widths, default=1)) <= numbers:
        return
    declared = _declared_numbers(config)
    if declared > numbers + FREE_NUMBERS:
        raise InputError(
            f"{path} was not loaded: its layers would have {declared:,} weights, and it holds "
            f"{numbers:,}. Give a file that you trust."
        )


def _sizes(node: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """The whole numbers of a configuration that may be sizes, with their keys."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in NO_SIZES:
                yield from _sizes(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from _sizes(value, name)
    elif isinstance(node, int) and not isinstance(node, bool):
        yield name, node


def _declared_numbers(config: dict[str, Any]) -> int:
    """The weights of the layers of a configuration, none of which is made; 0 where they
    cannot be built so."""
    config = {key: value for key, value in config.items() if key != "compile_config"}
    try:
        with keras.StatelessScope(initialize_variables=False):
            model = keras.saving.deserialize_keras_object(config)
        return sum(math.prod(variable.shape) for variable in model.variables)
    except Exception:  # Whatever is wrong with it, loading says.
        return 0
    finally:
        global_state.set_global_attribute("uninitialized_variables", [])


def _check(path: Path, size: int, most: int, what: str) -> None:
    if size > most:
        raise InputError(
            f"{path} was not loaded: {what} would take {size:,} bytes of memory, more than "
            f"the {most:,} that a file of its size may. Give a file that you trust."
        )


def _arrays(file: Any) -> list[tuple[int, int]]:
    """Of each array of an HDF5 file the numbers that it says it holds, and their size."""
    sizes: list[tuple[int, int]] = []

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append((int(item.size), int(item.dtype.itemsize)))

    try:
        with h5py.File(file, "r") as arrays:
            arrays.visititems(add)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise InputError(f"The weights cannot be read: {error}.") from error
    return sizes
