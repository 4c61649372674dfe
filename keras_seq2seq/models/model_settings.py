"""What the settings of generation mean for one model: checked, as ids and as values."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_seq2seq.data.preprocessor import Preprocessor
from keras_seq2seq.decoding import Values, suppression, token_biases
from keras_seq2seq.decoding.values import numbers_of
from keras_seq2seq.errors import InputError, check_counts
from keras_seq2seq.models.constraints import (
    allowed_ids,
    biases_of,
    check_ids,
    length_range,
    token_ids_of,
)
from keras_seq2seq.models.parts import ENCODER_LENGTHS, ENCODER_TOKEN_IDS, Decoder
from keras_seq2seq.settings import GenerationSettings, option_name
from keras_seq2seq.special_tokens import END_ID, PAD_ID, START_ID, UNKNOWN_ID


def backend_generates() -> bool:
    """Whether the backend of Keras generates; JAX trains and saves alone."""
    return keras.backend.backend() == "tensorflow"


class ModelSettings:
    """What a model with the attributes below makes of `GenerationSettings`."""

    decoder: Decoder
    alignment_model: Any
    # A `CTCLoss` where the model has one.
    ctc: Any = None
    _preprocessor: Preprocessor | None

    @property
    def has_attention(self) -> bool:
        """Whether a step can say where it looks."""
        return self.alignment_model is not None

    @property
    def preprocessor(self) -> Any:
        """From sources and strings to what the model takes, and back; a `TextPreprocessor`,
        `FramePreprocessor` or `WaveformPreprocessor`. `InputError` if there is none."""
        if self._preprocessor is None:
            raise InputError(
                "This model has no preprocessor, so it cannot take strings. Build it with "
                "`Seq2Seq(encoder, decoder, preprocessor=...)`, or call `decode` with ids."
            )
        return self._preprocessor

    @property
    def start_id(self) -> int:
        """Id of the token that begins every target."""
        return START_ID if self._preprocessor is None else self._target.start_token_id

    @property
    def end_id(self) -> int:
        """Id of the token that ends every target."""
        return END_ID if self._preprocessor is None else self._target.end_token_id

    @property
    def _target(self) -> Any:
        return self.preprocessor.target_tokenizer

    @property
    def max_length(self) -> int:
        """Tokens of a generated target at most, the end token included."""
        return self.preprocessor.max_target_length + 1

    def length_range(
        self,
        inputs: dict[str, Any],
        settings: GenerationSettings,
        values: Values | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Target tokens at least and at most `(batch,)`, int32, without the end token; with
        `values` in the place of those of the settings."""
        values = {**self.values(settings), **(values or {})}
        return length_range(settings, values, self._lengths(inputs))

    def values(self, settings: GenerationSettings) -> dict[str, Any]:
        """The settings as numbers and arrays, by the names of `decoding.values`."""
        size = self.decoder.vocabulary_size
        max_length = self._max_length(settings)
        values = {**numbers_of(settings), "max_length": max_length - 1}
        values["suppressed"] = suppression(self._never(settings), size)
        if settings.bias or settings.bias_ids:
            values["token_biases"] = token_biases(self._biases(settings), size)
        if settings.allowed:
            values["allowed"] = self._allowed(settings, max_length)
        return values

    def _lengths(self, inputs: dict[str, Any]) -> tf.Tensor:
        """Of the sources, in their unit, without an end token."""
        if ENCODER_LENGTHS in inputs:
            return inputs[ENCODER_LENGTHS]
        present = tf.cast(tf.not_equal(inputs[ENCODER_TOKEN_IDS], PAD_ID), tf.int32)
        return tf.reduce_sum(present, 1) - 1

    def check_settings(self, settings: GenerationSettings) -> int:
        """Tokens at most, the end token included.

        Raises:
            InputError: If the settings do not fit this model.
        """
        if not backend_generates():
            raise InputError(
                "Generation needs the TensorFlow backend of Keras. Received: "
                f"{keras.backend.backend()}. Save the model, and load it in a process with "
                "KERAS_BACKEND=tensorflow."
            )
        check_settings_type(settings)
        vocabulary_size = self.decoder.vocabulary_size
        if settings.num_beams > vocabulary_size:
            raise InputError(
                f"The beam size is {settings.num_beams}, the target vocabulary has only "
                f"{vocabulary_size} tokens. Use a smaller beam."
            )
        max_length = self._max_length(settings)
        check_length(self.decoder, max_length)
        if settings.min_length >= max_length:
            raise InputError(
                f"--min-length is {settings.min_length}, this model generates at most "
                f"{max_length - 1} tokens."
            )
        for name in ("coverage_penalty", "alignments", "replace_unknown"):
            if getattr(settings, name) and not self.has_attention:
                raise InputError(
                    f"{option_name(name)} needs attention, and this model has none."
                )
        if settings.ctc_weight and self.ctc is None:
            raise InputError(
                f"{option_name('ctc_weight')} needs a model with a CTC head; train it with an "
                "auxiliary CTC loss (`ctc_weight` above 0)."
            )
        if settings.replace_unknown and self.preprocessor.kind != "text":
            raise InputError(
                f"{option_name('replace_unknown')} copies source tokens, and the sources of "
                f"this model are {self.preprocessor.kind}."
            )
        never = self._never(settings)
        if settings.replace_unknown and UNKNOWN_ID in never:
            raise InputError(
                f"{option_name('replace_unknown')} has no use where the unknown token is "
                "suppressed. Leave one of them out."
            )
        check_ids([*never, *self._biases(settings)], vocabulary_size)
        if self.end_id in never:
            raise InputError("The end token cannot be suppressed; every target needs it.")
        self._allowed(settings, max_length)
        return max_length

    def _max_length(self, settings: GenerationSettings) -> int:
        return self.max_length if settings.max_length is None else settings.max_length + 1

    def _never(self, settings: GenerationSettings) -> list[int]:
        never = [*self._structural]
        if settings.forbid_unknown:
            never.append(UNKNOWN_ID)
        if settings.suppress:
            never += token_ids_of(settings.suppress, self._target)
        return [*never, *settings.suppress_ids]

    @property
    def _structural(self) -> list[int]:
        """Ids that frame a target and are never written."""
        never = [PAD_ID, self.start_id]
        if self._preprocessor is not None:
            never += getattr(self._target, "never_ids", [])
        return never

    def _biases(self, settings: GenerationSettings) -> dict[int, float]:
        return biases_of(settings, self._target if settings.bias else None)

    def _allowed(self, settings: GenerationSettings, max_length: int) -> np.ndarray | None:
        if not settings.allowed:
            return None
        return allowed_ids(settings, self._target, max_length)


def check_settings_type(settings: Any) -> None:
    """Raises `InputError` for what are no `GenerationSettings`."""
    if not isinstance(settings, GenerationSettings):
        raise InputError(
            "Settings must be `GenerationSettings(num_beams=4, ...)`, or be given by name: "
            f"`generate(sources, num_beams=4)`. Received: {settings!r:.60}."
        )


def check_length(decoder: Decoder, max_length: int) -> None:
    """Raises `InputError` if the decoder's state has no room for `max_length` tokens."""
    check_counts(max_length=max_length)
    if decoder.max_length is not None and max_length > decoder.max_length:
        raise InputError(
            "The decoder's `max_length` must hold the longest target with its end token. "
            f"Received: max_length={decoder.max_length}, {max_length} tokens to generate."
        )
