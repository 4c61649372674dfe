"""The binary layout of CTranslate2's `model.bin`, version 6: named arrays.

Little endian: version; name and revision of the specification; the number of variables and of
each its name, sizes, dtype, number of bytes and data; the number of aliases, and of each its
name and that of the variable it stands for. A string is its length with a final NUL, 16 bits,
and the bytes. Written from the description of the layout; needs NumPy alone.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.errors import InputError

VERSION = 6

# Number of a dtype in the file -> how it is read; bfloat16 as the upper half of a float32.
DTYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")
_STORED = {"bfloat16": "uint16"}

# No specification comes near: what says more is no model.
_MOST_VARIABLES = 100_000
_MOST_AXES = 8


@dataclass(frozen=True)
class ModelFile:
    """What a `model.bin` holds.

    Attributes:
        name: Of the specification, such as `"TransformerSpec"`.
        revision: Of the specification.
        variables: Arrays by name, as they are stored; bfloat16 as float32.
        aliases: Name -> name of the variable that it stands for.
    """

    name: str
    revision: int
    variables: Mapping[str, np.ndarray]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.variables or name in self.aliases

    def __getitem__(self, name: str) -> np.ndarray:
        """The variable as it is stored."""
        return self.variables[self.aliases.get(name, name)]

    def names(self) -> list[str]:
        """Of all variables and aliases."""
        return [*self.variables, *self.aliases]

    def same(self, left: str, right: str) -> bool:
        """Whether two names stand for one variable."""
        return self.aliases.get(left, left) == self.aliases.get(right, right)

    def weight(self, name: str) -> np.ndarray:
        """The variable in float32; 8 and 16 bit integers divided by their scales."""
        array = self[name]
        if array.dtype in (np.int8, np.int16):
            scale = np.asarray(self[f"{self.aliases.get(name, name)}_scale"], np.float32)
            rows = (-1,) + (1,) * (array.ndim - 1) if scale.ndim else ()
            return array.astype(np.float32) / scale.reshape(rows)
        return np.asarray(array, np.float32)

    def scalar(self, name: str, default: Any = None) -> Any:
        """A setting, or the default if the file has none."""
        return self[name].item() if name in self else default


class _Reader:
    """Reads forward in the file and knows how much is left."""

    def __init__(self, path: Path):
        self.path = path
        self.data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, "u1")
        self.place = 0

    def bytes(self, count: int, what: str) -> np.ndarray:
        """A view of the file."""
        if count > len(self.data) - self.place:
            raise InputError(
                f"{self.path} is cut short: {what} needs {count} bytes at {self.place}, the "
                f"file has {len(self.data)}. Copy it again."
            )
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self, kind: str, what: str) -> int:
        return struct.unpack(f"<{kind}", self.bytes(struct.calcsize(kind), what).tobytes())[0]

    def string(self, what: str) -> str:
        content = self.bytes(self.number("H", what), what).tobytes()
        try:
            return content.rstrip(b"\0").decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.broken(f"{what} is not UTF-8") from error

    def broken(self, reason: str) -> InputError:
        return InputError(f"{self.path} is no CTranslate2 model: {reason}.")

    def variable(self) -> tuple[str, np.ndarray]:
        name = self.string("the name of a variable")
        rank = self.number("B", name)
        if rank > _MOST_AXES:
            raise self.broken(f"{name} has {rank} axes")
        shape = tuple(self.number("I", name) for _ in range(rank))
        kind = self.number("B", name)
        if kind >= len(DTYPES):
            raise self.broken(f"{name} has the unknown dtype {kind}")
        dtype = np.dtype(_STORED.get(DTYPES[kind], DTYPES[kind])).newbyteorder("<")
        count = self.number("I", name)
        # Python's own numbers: a product of sizes that would overflow does not.
        if math.prod(shape) * dtype.itemsize != count:
            raise self.broken(f"{name} of the sizes {shape} does not have {count} bytes")
        array = self.bytes(count, name).view(dtype).reshape(shape)
        if DTYPES[kind] == "bfloat16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        return name, array


def read_model(path: str | Path) -> ModelFile:
    """Reads a `model.bin`; the data of variables stays in the file until it is asked for.

    Raises:
        InputError: If there is no such file, it is cut short, of another version, or not what
            it should be.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    reader = _Reader(path)
    version = reader.number("I", "the version")
    if version != VERSION:
        raise reader.broken(f"its version is {version}, this program reads version {VERSION}")
    name, revision = reader.string("the specification"), reader.number("I", "the revision")
    count = reader.number("I", "the number of variables")
    if count > _MOST_VARIABLES:
        raise reader.broken(f"it says that it has {count} variables")
    variables: dict[str, np.ndarray] = {}
    for _ in range(count):
        variable, array = reader.variable()
        if variable in variables:
            raise reader.broken(f"{variable} is there twice")
        variables[variable] = array
    count = reader.number("I", "the number of aliases")
    if count > _MOST_VARIABLES:
        raise reader.broken(f"it says that it has {count} aliases")
    aliases: dict[str, str] = {}
    for _ in range(count):
        alias, variable = reader.string("an alias"), reader.string("an alias")
        if variable not in variables or alias in variables:
            raise reader.broken(f"the alias {alias} stands for no variable")
        aliases[alias] = variable
    if reader.place != len(reader.data):
        raise reader.broken(f"{len(reader.data) - reader.place} bytes follow its end")
    return ModelFile(name, revision, variables, aliases)


def write_model(path: str | Path, model: ModelFile) -> None:
    """Writes a `model.bin`.

    Args:
        path: New file.
        model: What it holds; arrays of float32, float16, int8, int16 or int32.
    """

    def string(text: str) -> bytes:
        content = text.encode("utf-8") + b"\0"
        return struct.pack("<H", len(content)) + content

    with open(path, "wb") as file:
        file.write(struct.pack("<I", VERSION) + string(model.name))
        file.write(struct.pack("<II", model.revision, len(model.variables)))
        for name, value in sorted(model.variables.items()):
            # Not `ascontiguousarray`, which gives a scalar an axis.
            array = np.asarray(value, order="C")
            dtype = DTYPES.index(array.dtype.name)
            file.write(string(name) + struct.pack("<B", array.ndim))
            file.write(struct.pack(f"<{array.ndim}I", *array.shape))
            file.write(struct.pack("<BI", dtype, array.nbytes))
            file.write(array.astype(array.dtype.newbyteorder("<")).tobytes())
        file.write(struct.pack("<I", len(model.aliases)))
        for alias, variable in sorted(model.aliases.items()):
            file.write(string(alias) + string(variable))
