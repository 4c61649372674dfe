"""Two results that must agree, and the line that says where they do not."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


class ContractError(AssertionError):
    """A part that does not keep its contract: what differs, by how much, where, and why that
    usually is so."""


def array_of(tensor: Any) -> np.ndarray:
    """NumPy array; half precision as float32."""
    array = keras.ops.convert_to_numpy(tensor)
    return array.astype("float32") if array.dtype.kind in "fV" else array


def require(holds: Any, message: str) -> None:
    """Raises `ContractError` unless the condition holds."""
    if not holds:
        raise ContractError(message)


def require_equal(
    what: str,
    received: Any,
    expected: Any,
    *,
    axes: Sequence[str],
    cause: str,
    atol: float = 0.0,
) -> None:
    """Raises `ContractError` if two arrays differ by more than `atol`.

    Args:
        what: What must hold, such as `"Padding changes the memory"` says that it must not.
        received: Array or tensor.
        expected: Array or tensor of the same shape.
        axes: Names of the axes, to say where.
        cause: What the reason usually is.
        atol: float. Defaults to 0.
    """
    received, expected = array_of(received), array_of(expected)
    require(
        received.shape == expected.shape,
        f"{what}: the shape is {received.shape} in place of {expected.shape}. {cause}",
    )
    if received.size == 0:
        return
    if received.dtype.kind == "f":
        require_finite(what, received, axes, cause)
        difference = np.abs(received - expected)
    else:
        difference = (received != expected).astype("float32")
    if difference.max() <= atol:
        return
    worst = np.unravel_index(np.argmax(difference), difference.shape)
    size = (
        f" by {difference[worst]:.3g} (allowed: {atol:g})" if received.dtype.kind == "f" else ""
    )
    raise ContractError(
        f"{what}: {np.count_nonzero(difference > atol)} of {difference.size} values differ"
        f"{size}, most at {_place(worst, axes)}: {received[worst]} in place of "
        f"{expected[worst]}. {cause}"
    )


def require_finite(what: str, tensor: Any, axes: Sequence[str], cause: str) -> None:
    """Raises `ContractError` for a value that is no finite number."""
    array = array_of(tensor)
    wrong = ~np.isfinite(array)
    if wrong.any():
        first = tuple(index[0] for index in np.nonzero(wrong))
        raise ContractError(
            f"{what}: {np.count_nonzero(wrong)} of {array.size} values are not finite, the "
            f"first at {_place(first, axes)}: {array[first]}. {cause}"
        )


def _place(index: Sequence[Any], axes: Sequence[str]) -> str:
    names = [*axes, *["axis"] * len(index)]
    return ", ".join(f"{name} {at}" for name, at in zip(names, index, strict=False))
