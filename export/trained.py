"""Whether a model has been trained, told by its weights."""

import warnings

import numpy as np

from keras_seq2seq.errors import InputError
from keras_seq2seq.models.generation import TextGeneration


def warn_if_untrained(model: TextGeneration) -> None:
    """Warns of a model whose every bias is as Keras makes it: 0, or 1 in a forget gate.

    Training moves each of them, whatever the optimizer; how the weights came into the model
    (`fit`, `load_model`, `set_weights`) does not matter. A model without a bias passes.
    """
    if not isinstance(model, TextGeneration):
        raise InputError(f"`model` must be a Seq2Seq. Received: {model!r:.60}.")
    # Vectors alone: a table of relative positions is called bias too, and begins at random.
    biases = [
        weight
        for weight in model.trainable_weights
        if weight.name in ("bias", "beta") and len(weight.shape) == 1
    ]
    if biases and all(np.isin(weight.numpy(), (0.0, 1.0)).all() for weight in biases):
        warnings.warn(
            "The model has never been trained: all its biases have their first values. What "
            "is exported will generate noise. Train it, or load its weights, before exporting.",
            stacklevel=3,
        )
