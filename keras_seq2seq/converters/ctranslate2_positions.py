"""How a file of CTranslate2 tells positions: read, given to layers, and written."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_seq2seq.converters.ctranslate2_file import ModelFile
from keras_seq2seq.errors import InputError

# How far a table of sines and cosines may be from its formula: it may have been 16 bits.
_ROUNDING = 5e-3
# A formula has no last position, a table does.
_POSITIONS = 1024
# The only scaling of rotary positions that an encoder-decoder has.
_LINEAR = 0
_ROTARY = ("dim", "interleave", "base", "scaling_type", "scaling_factor")


@dataclass(frozen=True)
class Positions:
    """How one side knows where a token stands.

    Attributes:
        kind: As `positions` of a `TransformerEncoder`.
        settings: Of `TransformerStyle`.
        table: `(positions, dim)`, of learned positions.
        interleaved: Whether dimensions that turn together stand side by side in the file.
    """

    kind: str
    settings: dict[str, Any]
    table: np.ndarray | None = None
    interleaved: bool = False


def _own(side: str, index: int, what: str) -> str:
    return f"{side}/layer_{index}/self_attention/{what}"


def read_positions(file: ModelFile, side: str, num_layers: int, used: set[str]) -> Positions:
    """Those of the encoder or decoder; the names that they take are added to `used`.

    Raises:
        InputError: If blocks have others than the first, or a kind that this package lacks.
    """

    def each(what: str) -> list[str]:
        names = [_own(side, index, what) for index in range(num_layers)]
        for name in names:
            if name not in file:
                raise InputError(f"The model lacks {name}.")
        used.update(names)
        return names

    if _own(side, 0, "relative_attention_bias") in file:
        biases = [file.weight(name) for name in each("relative_attention_bias")]
        names = each("relative_attention_max_distance")
        distances = {int(file.scalar(name)) for name in names}
        if len({bias.shape for bias in biases}) > 1 or len(distances) > 1:
            raise InputError(f"{side}: its blocks have relative biases of several sizes.")
        settings = {"num_buckets": len(biases[0]), "max_distance": distances.pop()}
        if any(not np.array_equal(bias, biases[0]) for bias in biases):
            settings["relative_in_each"] = True
        return Positions("relative", settings)
    if _own(side, 0, "relative_position_keys") in file:
        names = [*each("relative_position_keys"), *each("relative_position_values")]
        shapes = {file[name].shape for name in names}
        rows = shapes.pop()[0]
        if shapes or rows % 2 != 1 or rows < 3:
            raise InputError(f"{side}: its relative vectors have sizes that do not fit.")
        return Positions("relative_vectors", {"clipped_distance": rows // 2})
    if _own(side, 0, "rotary_dim") in file:
        return _rotary(file, side, num_layers, used)
    name = f"{side}/position_encodings/encodings"
    if name not in file:
        # What CTranslate2 computes itself.
        return Positions("sinusoidal", {"inclusive": True, "first_position": 1})
    used.add(name)
    table = file.weight(name)
    waves = known_waves(table)
    if waves is not None:
        return Positions("sinusoidal", waves)
    return Positions("learned", {}, table)


def _rotary(file: ModelFile, side: str, num_layers: int, used: set[str]) -> Positions:
    found = []
    for index in range(num_layers):
        names = [_own(side, index, f"rotary_{what}") for what in _ROTARY]
        used.update(names)
        defaults = (-1, 1, 10000.0, None, 1.0)
        values = zip(names, defaults, strict=True)
        found.append([file.scalar(name, default) for name, default in values])
        if found[-1] != found[0]:
            raise InputError(
                f"{side}/layer_{index} has rotary positions of its own, which is not supported."
            )
    dim, interleave, base, scaling, factor = found[0]
    if scaling not in (None, _LINEAR):
        name = _own(side, 0, "rotary_scaling_type")
        raise InputError(f"{name} is {int(scaling)}, which is not supported.")
    settings = {
        "rotary_dim": int(dim) or None,
        "rotary_base": float(base),
        "rotary_factor": float(factor) if scaling == _LINEAR else 1.0,
    }
    return Positions("rotary", settings, interleaved=bool(interleave))


def known_waves(table: np.ndarray) -> dict[str, Any] | None:
    """The settings of `SinusoidalPositions` that give this table, if any do."""
    length, dim = table.shape
    if dim % 2:
        return None
    for inclusive in (False, True):
        exponents = np.arange(0, dim, 2) / (max(dim - 2, 1) if inclusive else dim)
        for first in (0, 1, 2):
            angles = np.arange(first, first + length)[:, None] * 10000.0**-exponents
            waves = np.sin(angles), np.cos(angles)
            halves = np.concatenate(waves, 1)
            alternating = np.stack(waves, -1).reshape(length, dim)
            for interleaved, formula in ((False, halves), (True, alternating)):
                if np.abs(table - formula).max() < _ROUNDING:
                    return {
                        "interleaved": interleaved,
                        "inclusive": inclusive,
                        "first_position": first,
                    }
    return None


def assign_positions(
    file: ModelFile, side: str, positions: Positions, layers: dict[str, keras.layers.Layer]
) -> None:
    """Gives layers of positions their weights."""
    if positions.table is not None:
        layer: Any = layers[f"{side}_positions"]
        layer.set_weights([positions.table[: layer.max_length]])
    for here, there in _tables(side, layers):
        layers[here].set_weights([file.weight(there)])


def _tables(side: str, layers: dict[str, Any]) -> list[tuple[str, str]]:
    """Of each layer that has a table of relative positions its name, and the first name of the
    table in the file."""
    found = []
    if f"{side}_relative" in layers:
        found.append((f"{side}_relative", _own(side, 0, "relative_attention_bias")))
    index = 0
    while f"{side}_{index}_relative_keys" in layers or f"{side}_{index}_relative" in layers:
        for end, what in (
            ("relative", "relative_attention_bias"),
            ("relative_keys", "relative_position_keys"),
            ("relative_values", "relative_position_values"),
        ):
            if (name := f"{side}_{index}_{end}") in layers:
                found.append((name, _own(side, index, what)))
        index += 1
    return found


def written_positions(
    side: str, part: Any, layers: dict[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The variables that tell the positions of an encoder or decoder, and what is one with
    another."""
    style = part.style
    tables = {there: layers[here].get_weights()[0] for here, there in _tables(side, layers)}
    blocks = range(part.num_layers)
    if part.positions == "relative":
        distance = np.asarray(np.int32(style.max_distance))
        name = "relative_attention_bias"
        aliases = {
            _own(side, i, name): _own(side, 0, name)
            for i in blocks
            if _own(side, i, name) not in tables
        }
        name = "relative_attention_max_distance"
        return tables | {_own(side, i, name): distance for i in blocks}, aliases
    if part.positions == "relative_vectors":
        return tables, {}
    if part.positions == "rotary":
        values: dict[str, Any] = {
            "dim": np.int32(style.rotary_dim or 0),
            "interleave": np.int8(0),
            "base": np.float32(style.rotary_base),
        }
        if style.rotary_factor != 1:
            values |= {
                "scaling_type": np.int8(_LINEAR),
                "scaling_factor": np.float32(style.rotary_factor),
            }
        return {
            _own(side, i, f"rotary_{what}"): np.asarray(value)
            for i in blocks
            for what, value in values.items()
        }, {}
    layer = layers[f"{side}_positions"]
    if part.positions == "learned":
        (table,) = layer.get_weights()
    else:
        rows = max(_POSITIONS, part.max_length or 0)
        nothing = keras.ops.zeros((1, rows, part.hidden_dim))
        table = keras.ops.convert_to_numpy(layer(nothing))[0]
    return {f"{side}/position_encodings/encodings": table}, {}
