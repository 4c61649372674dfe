"""The signatures of a model whose sources are frames or sound: arrays in, text out."""

from typing import Any

import tensorflow as tf

from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.models.generation import TextGeneration
from keras_seq2seq.settings import GenerationSettings

from .signatures import GenerationSignatures, TextSignatures


class SignalSignatures(TextSignatures):
    """`features` `(B, S, F)` or `waveform` `(B, N)`, float32, and `lengths` `(B,)`, int32.

    A source that is empty, longer than the model's maximum or than its own row, or not of
    finite numbers, has no answer, as in `TextSignatures`. What lies behind the length of a
    row does not matter.
    """

    def source_spec(self) -> dict[str, tf.TensorSpec]:
        preprocessor = self.model.preprocessor
        inner = () if preprocessor.feature_dim is None else (preprocessor.feature_dim,)
        shape = (self.batch_size, None, *inner)
        return {
            preprocessor.kind: tf.TensorSpec(shape, tf.float32, preprocessor.kind),
            "lengths": tf.TensorSpec([self.batch_size], tf.int32, "lengths"),
        }

    def score_spec(self) -> dict[str, tf.TensorSpec]:
        return {**self.source_spec(), "target": self.strings("target")}

    def fitting_inputs(
        self, source: dict[str, tf.Tensor]
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Encoder inputs, and for each source why it does not fit, or an empty string.

        Of a source that does not fit one position of zeros remains, to keep its row.
        """
        preprocessor = self.model.preprocessor
        array, lengths = source[preprocessor.kind], source["lengths"]
        some = tf.debugging.Assert(
            tf.size(lengths) > 0, ["a request needs at least one source"]
        )
        same = tf.debugging.Assert(
            tf.shape(array)[0] == tf.size(lengths),
            ["a request needs one length a source"],
        )
        with tf.control_dependencies([some, same]):
            given = tf.shape(array)[1]
        unit, longest = preprocessor.unit, preprocessor.max_source_length
        is_real = _ahead_of_axes(tf.sequence_mask(lengths, given), array)
        array = tf.where(is_real, array, 0.0)
        axes = list(range(1, len(array.shape)))
        is_finite = tf.reduce_all(tf.math.is_finite(array), axis=axes)
        error = tf.where(is_finite, "", "the source holds NaN or infinity")
        too_long = _says(
            "the source has ", lengths, f" {unit}; this model takes at most {longest}"
        )
        error = tf.where(lengths > longest, too_long, error)
        beyond = _says("the length is ", lengths, f" {unit}, and the row has fewer")
        error = tf.where(lengths > given, beyond, error)
        error = tf.where(lengths < 1, f"the source is empty; give it {unit}", error)
        lengths = tf.where(error == "", lengths, 1)
        array = tf.where(_ahead_of_axes(error == "", array), array, 0.0)
        # As long as the longest that fits; at least the one position that remains.
        padding = [[0, 0], [0, 1]] + [[0, 0]] * (len(array.shape) - 2)
        array = tf.pad(array, padding)[:, : tf.reduce_max(lengths)]
        return {preprocessor.key: array, "encoder_lengths": lengths}, error


def source_signatures(
    model: TextGeneration, settings: GenerationSettings, xla_threads: int = 0
) -> TextSignatures:
    """The signatures of a SavedModel, by the kind of the model's sources."""
    if not isinstance(model, Seq2Seq):
        return GenerationSignatures(model, settings, xla_threads=xla_threads)
    text = model.preprocessor.kind == "text"
    signatures = TextSignatures if text else SignalSignatures
    return signatures(model, settings, xla_threads=xla_threads)


def _says(before: str, numbers: tf.Tensor, after: str) -> tf.Tensor:
    return tf.strings.join([before, tf.strings.as_string(numbers), after])


def _ahead_of_axes(tensor: tf.Tensor, array: tf.Tensor) -> Any:
    """With axes of size 1 behind, as many as `array` has more."""
    for _ in range(len(array.shape) - len(tensor.shape)):
        tensor = tensor[..., None]
    return tensor
