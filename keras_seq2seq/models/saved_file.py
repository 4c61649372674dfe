"""How large a saved model says that it is, looked at before anything of it is unpacked."""

import zipfile
from pathlib import Path
from typing import Any

import h5py

from keras_seq2seq.errors import InputError

# Keras packs without compression: what is unpacked is as large as the file. Packed anew by
# another program it can be larger, by far less than this.
LARGEST_RATIO = 4
FREE_BYTES = 1 << 24
# Settings and vocabularies.
MOST_JSON_BYTES = 1 << 27


def check_saved_file(path: Path) -> None:
    """Refuses a `.keras` file that would take far more memory than it is large.

    A few kilobytes can say that they unpack to terabytes: by a member of the archive, or by an
    array in the weights. Of each only the size that it claims is read.

    Args:
        path: A `.keras` file.

    Raises:
        InputError: If it is no archive or claims too much.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise InputError(f"{path} cannot be loaded as a model: {error}.") from error


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    most = LARGEST_RATIO * path.stat().st_size + FREE_BYTES
    members = archive.infolist()
    _check(path, sum(member.file_size for member in members), most, "its members")
    for member in members:
        if member.filename.endswith(".json"):
            _check(path, member.file_size, MOST_JSON_BYTES, member.filename)
        if member.filename.endswith(".h5"):
            with archive.open(member) as file:
                _check(path, _array_bytes(file), most, f"the arrays of {member.filename}")


def _check(path: Path, size: int, most: int, what: str) -> None:
    if size > most:
        raise InputError(
            f"{path} was not loaded: {what} would take {size:,} bytes of memory, more than "
            f"the {most:,} that a file of its size may. Give a file that you trust."
        )


def _array_bytes(file: Any) -> int:
    """What the arrays of an HDF5 file say that they hold."""
    total = 0

    def add(name: str, item: Any) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset):
            total += item.size * item.dtype.itemsize

    try:
        with h5py.File(file, "r") as arrays:
            arrays.visititems(add)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise InputError(f"The weights cannot be read: {error}.") from error
    return total
