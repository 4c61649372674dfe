"""What of a model is trained: frozen parts, low-rank adapters, and the model without them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from keras_seq2seq.errors import InputError
from keras_seq2seq.models.seq2seq import Seq2Seq


def part_names(model: Seq2Seq) -> list[str]:
    """What `freeze` takes, beside the full names of layers: `["decoder", "decoder_0", ...]`."""
    sides = {layer.name.split("_")[0] for layer in model.layers if layer.weights}
    names = [layer.name.split("_") for layer in _layers(model) if layer.weights]
    return sorted({"_".join(n[:count]) for n in names if n[0] in sides for count in (1, 2)})


def freeze(model: Seq2Seq, names: Sequence[str]) -> list[str]:
    """Makes the weights of parts ones that training leaves alone, bit for bit.

    Args:
        model: `Seq2Seq`, before `compile`.
        names: Of parts or layers: a part is all layers whose names begin with it and an
            underscore. Embeddings that both sides share belong to the encoder.

    Returns:
        The names of the layers.

    Raises:
        InputError: If there is no part of a name, or nothing is left to train.
    """
    frozen = []
    for name in names:
        found = [
            layer
            for layer in _layers(model)
            if layer.weights and f"{layer.name}_".startswith(f"{name}_")
        ]
        if not found:
            raise InputError(
                f"There is no part {name!r} to freeze. The parts are "
                f"{', '.join(part_names(model))}."
            )
        for layer in found:
            _hold(layer)
            frozen.append(layer.name)
    if not model.trainable_variables:
        raise InputError(f"Nothing is left to train: {', '.join(names)} are frozen.")
    return list(dict.fromkeys(frozen))


@dataclass(frozen=True)
class Adapters:
    """What `enable_lora` did.

    Attributes:
        reached: Names of the layers that have adapters.
        left: Names of the layers with a matrix that have none and are not trained.
        parameters: int. Numbers that are trained.
    """

    reached: list[str]
    left: list[str]
    parameters: int


def enable_lora(model: Seq2Seq, rank: int) -> Adapters:
    """Trains, in the place of all weights, a low-rank change of each matrix.

    `W + A B` with `A` `(inputs, rank)` and `B` `(rank, outputs)`, `B` zero at first: Keras'
    own `enable_lora` of `Dense`, `EinsumDense`, `Embedding` and convolutions, wherever they
    are in the model, of its layers that are not frozen. Everything else stays as it is, bit
    for bit: biases, normalizations, and the matrices of recurrent cells, which have no such
    method.

    Args:
        model: `Seq2Seq`, before `compile`.
        rank: int, at least 1. Matrices with no more rows or columns than it are left alone.

    Raises:
        InputError: If no matrix is reached.

    Reference:
        [Hu et al., 2021](https://arxiv.org/abs/2106.09685), section 4.1.
    """
    matrices = {id(w) for w in model.trainable_variables if len(w.shape) > 1}
    layers = [
        (layer, kernel) for layer in _layers(model) if id(kernel := _kernel(layer)) in matrices
    ]
    of_layers = {id(kernel) for _, kernel in layers}
    left = [
        layer.path or layer.name
        for layer in _layers(model)
        if any(id(w) in matrices - of_layers for w in _own(layer))
    ]
    _hold(model)
    reached = []
    for layer, kernel in layers:
        *first, last = kernel.shape
        if rank < min(int(np.prod(first)), last):
            layer.enable_lora(rank)
            reached.append(layer.path or layer.name)
        else:
            left.append(layer.path or layer.name)
    if not reached:
        raise InputError(
            f"No matrix of this model has more than {rank} rows and columns. Received: "
            f"--lora-rank {rank}. Give a smaller one."
        )
    return Adapters(reached, left, trained_parameters(model))


def trained_parameters(model: Seq2Seq) -> int:
    """How many numbers training changes."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)


@contextmanager
def unmerged(model: Seq2Seq) -> Iterator[None]:
    """Inside it `save_weights` and `load_weights` have matrices and adapters one by one.

    Keras saves their sum and sets adapters to zero when it loads it, after which they have no
    gradient: training could not go on.
    """
    layers = [layer for layer in _layers(model) if getattr(layer, "lora_enabled", False)]
    for layer in layers:
        for name in ("save_own_variables", "load_own_variables"):
            setattr(layer, name, partial(getattr(keras.layers.Layer, name), layer))
    try:
        yield
    finally:
        for layer in layers:
            del layer.save_own_variables, layer.load_own_variables


def ordinary(model: Seq2Seq, copy: Seq2Seq | None = None) -> Seq2Seq:
    """A copy without adapters, which are added to their matrices, and with nothing frozen.

    Args:
        model: `Seq2Seq`.
        copy: What an earlier call gave, to be written over; optional.

    Returns:
        `Seq2Seq`, not compiled.
    """
    if copy is None:
        copy = Seq2Seq.from_config(model.get_config())
    adapted = [layer for layer in _layers(model) if getattr(layer, "lora_enabled", False)]
    sums = {id(_kernel(layer)): _matrix(layer) for layer in adapted}
    factors = {id(w) for layer in adapted for w in _own(layer) if "lora_" in w.name}
    kept = [weight for weight in model.weights if id(weight) not in factors]
    for weight, same in zip(kept, copy.weights, strict=True):
        same.assign(keras.ops.convert_to_numpy(sums.get(id(weight), weight)))
    return copy


def _layers(model: Seq2Seq) -> list[Any]:
    """Every layer, those inside of others too, once."""
    found = model._flatten_layers(include_self=False, recursive=True)
    return list({id(layer): layer for layer in found}.values())


def _own(layer: Any) -> list[Any]:
    """The weights of a layer that are not of one inside of it."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def _kernel(layer: Any) -> Any:
    """The matrix that an adapter of a layer would change; `None` where there can be none."""
    if not hasattr(layer, "enable_lora"):
        return None
    return getattr(layer, "_kernel", getattr(layer, "_embeddings", None))


def _matrix(layer: Any) -> Any:
    """The matrix of a layer with its adapter, in the precision of its weights."""
    name = "kernel" if hasattr(layer, "_kernel") else "embeddings"
    first, second = (getattr(layer, f"lora_{name}_{factor}") for factor in "ab")
    change = layer.lora_alpha / layer.lora_rank * keras.ops.matmul(first, second)
    return keras.ops.add(getattr(layer, f"_{name}"), change)


def _hold(layer: Any) -> None:
    for weight in layer.weights:
        weight.trainable = False
