"""What a model can be asked, one request, and arrays put together. Strings are object arrays
of bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_seq2seq.errors import InputError

DEFAULT_SIGNATURE = "serving_default"
ERROR = "error"


class RequestError(InputError):
    """What is wrong with one request.

    Args:
        status: HTTP status.
        message: One line.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class SourceRefused(RequestError):
    """What is wrong with the one source of a stream; `:predict` says it in `error`.

    Args:
        message: One line.
    """

    def __init__(self, message: str):
        super().__init__(400, message)


def error_body(error: RequestError) -> dict[str, Any]:
    """What a client is told of it: the words, and whether they are about the source."""
    about = {"of_source": True} if isinstance(error, SourceRefused) else {}
    return {"error": str(error), **about}


@dataclass(frozen=True)
class Tensor:
    """One input or output: name of its dtype, and its shape, `None` where any size fits."""

    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Signature:
    """What a model can be asked.

    Attributes:
        inputs: By name; the first axis is that of the sources.
        outputs: Likewise.
    """

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    @property
    def answers_by_row(self) -> bool:
        """Whether a source that is wrong costs no other: then requests may be joined."""
        return ERROR in self.outputs


@dataclass(frozen=True)
class PredictRequest:
    """A request that fits its signature: its name, arrays by name, how the answer is wanted."""

    signature: str
    inputs: dict[str, np.ndarray]
    by_row: bool

    @property
    def rows(self) -> int:
        """How many sources."""
        return max(len(array) for array in self.inputs.values())


def join(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Puts rows together, other axes padded behind with zeros (strings: empty) to the
    widest."""
    if len({array.shape[1:] for array in arrays}) == 1:
        return np.concatenate(arrays)
    widest = np.max([array.shape for array in arrays], axis=0)
    nothing: Any = b"" if arrays[0].dtype == object else 0
    return np.concatenate(
        [
            np.pad(
                array,
                [(0, 0), *((0, int(most - own)) for most, own in _inner(widest, array))],
                constant_values=nothing,
            )
            for array in arrays
        ]
    )


def _inner(widest: np.ndarray, array: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(widest[1:], array.shape[1:], strict=True))
