"""What a request may change of an export's settings: one value a source.

TensorFlow Serving concatenates the requests that it batches along the first axis, so every
input has one value a source, no scalar, and a bad value is the error of its source alone: a
neighbour in the batch came from another request. Its REST door wants every input named, so
each has a value that stands for the setting of the export.
"""

from collections.abc import Mapping

import tensorflow as tf

from keras_seq2seq.serving.client import AS_EXPORTED
from keras_seq2seq.settings import GenerationSettings

# Inputs of the signature `generate` that are numbers.
DTYPES = {
    name: tf.int32 if isinstance(value, int) else tf.float32
    for name, value in AS_EXPORTED.items()
    if not isinstance(value, str)
}


def resolve(
    settings: GenerationSettings, longest: int, given: Mapping[str, tf.Tensor]
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """The values that a batch is generated with.

    Args:
        settings: Of the export.
        longest: int. Target tokens at most, without the end token.
        given: Every name of `DTYPES` -> `(batch,)`.

    Returns:
        The same names -> `(batch,)`, with the setting of the export where a source gave none
        or a wrong one; and `(batch,)`, string: the first error of each source, or empty.
    """
    beam = settings.num_beams > 1 and not settings.sample
    most = settings.num_hypotheses if settings.sample else settings.num_beams
    any_sign = settings.length_rule == "reward"
    penalty, temperature = given["length_penalty"], given["temperature"]
    is_set = {name: given[name] != AS_EXPORTED[name] for name in DTYPES}
    # TensorFlow rewrites `not <` to `>=`, which NaN does not pass either.
    unset = AS_EXPORTED["length_penalty"]
    is_set["length_penalty"] = (penalty > unset / 2) | tf.math.is_nan(penalty)
    # Name -> default, what must hold, what to say if it does not.
    limits = {
        "max_length": (longest, *_between(given["max_length"], longest, "max_length")),
        "n_best": (settings.num_hypotheses, *_between(given["n_best"], most, "n_best")),
        "length_penalty": (
            settings.length_penalty,
            beam & tf.math.is_finite(penalty) & (any_sign | (penalty >= 0)),
            f"length_penalty must be {'finite' if any_sign else 'at least 0'}"
            if beam
            else "length_penalty applies to beam search, and this export has none",
        ),
        "temperature": (
            settings.temperature,
            settings.sample & tf.math.is_finite(temperature) & (temperature > 0),
            _of_sampling(settings, "temperature", "must be above 0"),
        ),
        "seed": (
            settings.seed,
            settings.sample & (given["seed"] >= 0),
            _of_sampling(settings, "seed", "must be at least 0"),
        ),
    }
    error = tf.zeros_like(given["max_length"], tf.string)
    values = {}
    for name, (default, fits, message) in limits.items():
        error = tf.where(is_set[name] & ~fits & (error == ""), message, error)
        default = tf.constant(default, DTYPES[name])
        values[name] = tf.where(is_set[name] & fits, given[name], default)
    return values, error


def _between(value: tf.Tensor, most: int, name: str) -> tuple[tf.Tensor, str]:
    return (value >= 1) & (value <= most), f"{name} must be from 1 to {most}"


def _of_sampling(settings: GenerationSettings, name: str, rule: str) -> str:
    if settings.sample:
        return f"{name} {rule}"
    return f"{name} applies to sampling, and this export searches"
