"""Averages of checkpoints: one model from the weights of several epochs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.errors import InputError
from keras_seq2seq.models import load_model

from ..settings.monitors import rank


def average_models(paths: Sequence[str | Path]) -> Any:
    """The model whose every weight is the mean of that weight in saved models.

    Args:
        paths: `.keras` files of the same architecture and vocabularies, such as
            `ModelCheckpoint("epoch_{epoch:02d}.keras")` writes.

    Returns:
        The first model (a `Seq2Seq`), with averaged weights. Averages are taken in float64.

    Raises:
        InputError: If there is no file, one cannot be read, or the weights differ in shape.

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), section 6.1.
    """
    if not paths:
        raise InputError("There is no model to average.")
    model = load_model(paths[0], compile=False)
    shapes = [weight.shape for weight in model.weights]
    sums = [weight.astype(np.float64) for weight in model.get_weights()]
    for path in paths[1:]:
        weights = load_model(path, compile=False).get_weights()
        if [weight.shape for weight in weights] != shapes:
            raise InputError(
                f"{path} and {paths[0]} cannot be averaged: their weights differ in number or "
                "shape."
            )
        for total, weight in zip(sums, weights, strict=True):
            total += weight
    model.set_weights([total / len(paths) for total in sums])
    return model


def epochs_to_average(
    history: Sequence[dict[str, float]], count: int, of: str, monitor: str
) -> list[int]:
    """Which epochs of a history an average takes.

    Args:
        history: The metrics of each epoch.
        count: int. Epochs at most; 0 for none.
        of: `"last"`, or `"best"` by `monitor`, of equals those with the lower validation loss.
        monitor: Name of a metric.

    Returns:
        Their numbers (from 1), ascending.
    """
    numbers = list(range(1, len(history) + 1))
    if of == "best":
        numbers.sort(key=lambda number: rank(monitor, history[number - 1]))
        return sorted(numbers[:count])
    return numbers[max(0, len(numbers) - count) :] if count else []
