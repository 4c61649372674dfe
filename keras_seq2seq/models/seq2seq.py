"""The three functional models of an encoder-decoder, and generation with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import keras
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.preprocessor import Preprocessor
from keras_seq2seq.decoding import LINEAGE, Listed
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import disk_errors
from keras_seq2seq.garbage import not_collecting
from keras_seq2seq.layers import CTCLoss, ScheduledSampling
from keras_seq2seq.models.compilation import compiled_quickly
from keras_seq2seq.models.fitting import Fitting
from keras_seq2seq.models.generation import TextGeneration
from keras_seq2seq.models.input_check import check_encoder_inputs
from keras_seq2seq.models.model_settings import check_length
from keras_seq2seq.models.parts import (
    ALIGNMENT,
    DECODER_TOKEN_IDS,
    LOGITS,
    TOKEN,
    Decoder,
    Encoder,
    State,
    check_role,
)
from keras_seq2seq.models.saved_file import check_saved_file
from keras_seq2seq.models.token_logits import LISTED_WEIGHTS, TokenDecoder


@dataclass(frozen=True)
class _Views:
    """The models that are derived from the same layers; a plain object, so that Keras does
    not count and save their layers twice."""

    encoder_model: keras.Model
    decoder_model: keras.Model
    alignment_model: keras.Model | None
    ctc_model: Any


# Outputs of the encoder beside the state, for joint CTC/attention decoding.
CTC_MEMORY, CTC_MASK = "ctc_memory", "ctc_mask"


@keras.saving.register_keras_serializable("keras_seq2seq")
class Seq2Seq(Fitting, TextGeneration, keras.Model):
    """An encoder-decoder: the training model, with its inference models beside it.

    The model itself is what `fit` sees: `{"encoder_token_ids": (batch, source_length),
    "decoder_token_ids": (batch, target_length)}` -> logits `(batch, target_length,
    vocabulary_size)`, float32 (teacher forcing). `encoder_model` and `decoder_model` are
    functional models of the same layers: they share every weight, before and after training
    and after `keras.models.load_model`, with nothing to rewire.

    Threads may share a model to generate: they take turns. While `fit` or `set_weights`
    changes it, nothing else may use it.

    Args:
        encoder: An `Encoder`, such as `RecurrentEncoder`.
        decoder: A `Decoder`, such as `RecurrentDecoder`.
        preprocessor: `TextPreprocessor`, `FramePreprocessor` or `WaveformPreprocessor`,
            optional: needed to generate and export strings; saved with the model.
        scheduled_sampling: `keras_seq2seq.layers.ScheduledSampling`, optional: in training
            the decoder reads some tokens of its own.
        ctc: `keras_seq2seq.layers.CTCLoss`, optional: another loss in training, on the
            encoder.
        name: string, optional.

    Example:

    ```python
    model = Seq2Seq(
        RecurrentEncoder(TokenEmbedding(32, 64), hidden_dim=128),
        RecurrentDecoder(
            TokenEmbedding(48, 64), hidden_dim=128, attention=LuongAttention(128)
        ),
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3, clipnorm=1.0))
    ```

    Reference:
        [Sutskever et al., 2014](https://arxiv.org/abs/1409.3215);
        [Luong et al., 2015](https://arxiv.org/abs/1508.04025).
    """

    @not_collecting()
    @compiled_quickly()
    @checked
    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        preprocessor: Preprocessor | None = None,
        scheduled_sampling: ScheduledSampling | None = None,
        ctc: CTCLoss | None = None,
        name: str | None = None,
    ):
        check_role("encoder", encoder)
        check_role("decoder", decoder)
        # A part of a user's own need not do it; the first call decides on the names.
        encoder.embedding.build(getattr(encoder, "name", "encoder"))
        decoder.embedding.build(getattr(decoder, "name", "decoder"))
        if decoder.copies_source:
            _check_one_vocabulary(encoder, decoder, preprocessor)
        if preprocessor is not None:
            _check_sizes(encoder, decoder, preprocessor)
            check_length(decoder, preprocessor.max_target_length + 1)
            _check_source_length(encoder, preprocessor.source_positions)
        encoder_inputs = encoder.inputs()
        encoder_output = encoder(encoder_inputs)
        state = decoder.initial_state(encoder_output)
        decoder_token_ids = keras.Input((None,), dtype="int32", name=DECODER_TOKEN_IDS)
        inputs = {**encoder_inputs, DECODER_TOKEN_IDS: decoder_token_ids}
        output = decoder(decoder_token_ids, state)
        logits = output.logits
        if ctc is not None:
            logits = ctc(logits, encoder_output.memory, encoder_output.mask, decoder_token_ids)
        super().__init__(inputs, logits, name=name)
        self.encoder = encoder
        self.decoder = decoder
        self._preprocessor = preprocessor
        self.scheduled_sampling = scheduled_sampling
        self.ctc = ctc

        encoder_model = keras.Model(encoder_inputs, state, name="encoder")
        growing = decoder.position_entries(state)
        step_state = {
            key: keras.Input(
                [
                    None if axis == growing.get(key) else size
                    for axis, size in enumerate(tensor.shape)
                ][1:],
                dtype=tensor.dtype,
                name=key,
            )
            for key, tensor in state.items()
        }
        token = keras.Input((), dtype="int32", name=TOKEN)
        step = decoder.step(token, step_state)
        step_outputs = {LOGITS: step.logits, **step.state}
        if step.alignment is not None:
            step_outputs[ALIGNMENT] = step.alignment
        decoder_model = keras.Model({TOKEN: token, **step_state}, step_outputs, name="decoder")
        # The encoder's layers attach Keras masks to their outputs; the state carries its own.
        decoder_model.supports_masking = True
        alignment_model = (
            None
            if output.alignment is None
            else keras.Model(inputs, output.alignment, name="alignment")
        )
        ctc_model = None
        if ctc is not None:
            memory = {CTC_MEMORY: encoder_output.memory, CTC_MASK: encoder_output.mask}
            ctc_model = keras.Model(encoder_inputs, {**state, **memory}, name="ctc_encoder")
        self._views = _Views(encoder_model, decoder_model, alignment_model, ctc_model)
        self._begin_caches()

    @property
    def encoder_model(self) -> keras.Model:
        """Functional model: encoder inputs -> initial state (dictionary of tensors)."""
        return self._views.encoder_model

    @property
    def decoder_model(self) -> keras.Model:
        """Functional model of one step: `{"token": (batch,), **state}` -> `{"logits":
        (batch, vocabulary_size), "alignment": (batch, source_length), **changed state}`."""
        return self._views.decoder_model

    @property
    def changing_entries(self) -> Sequence[str]:
        """Names of the entries of the state that a step changes."""
        return sorted(set(self.decoder_model.output) - {LOGITS, ALIGNMENT})

    @property
    def compiles(self) -> bool:
        """Whether XLA can compile a search; see `SourceEmbedding`."""
        embedding = getattr(self.encoder, "embedding", None)
        return getattr(embedding, "compiles", True)

    @property
    def shared_entries(self) -> Sequence[str]:
        """Names of the constant entries that a step reads for all beams of a source."""
        return self.decoder.shared_entries(self.decoder_model.input)

    @property
    def position_entries(self) -> dict[str, int]:
        """Names of the changing entries that hold what was at each position, with the axis of
        their length."""
        return self.decoder.position_entries(self.decoder_model.input)

    @property
    def can_list(self) -> bool:
        """Whether a step can give the logits of chosen tokens alone."""
        return isinstance(self.decoder, TokenDecoder)

    def listed(self, tokens: Listed) -> State:
        """Entries to add to a state, so that `step` gives the logits of these tokens alone."""
        return cast(TokenDecoder, self.decoder).listed(tokens)

    @property
    def alignment_model(self) -> keras.Model | None:
        """Functional model: the training inputs -> attention weights `(batch,
        target_length, source_length)`; `None` without attention."""
        return self._views.alignment_model

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if training and self.scheduled_sampling is not None:
            source = {tensor.name: inputs[tensor.name] for tensor in self.encoder_model.inputs}
            mixed = self.scheduled_sampling(
                inputs[DECODER_TOKEN_IDS], self.encode(source), step=self.step
            )
            inputs = {**inputs, DECODER_TOKEN_IDS: mixed}
        return super().call(inputs, training=training, mask=mask)

    # The seam: what decoding and export need.

    def encode(self, inputs: dict[str, Any]) -> State:
        """Encoder inputs -> initial state of the decoder.

        Raises:
            InputError: If a name, shape, dtype or id is not one that the encoder takes.
        """
        self._check_inputs(inputs)
        return self.encoder_model(inputs, training=False)

    def _check_inputs(self, inputs: dict[str, Any]) -> None:
        vocabulary_size = self.encoder.embedding.vocabulary_size
        check_encoder_inputs(inputs, self.encoder_spec(), vocabulary_size)

    def encode_with_ctc(self, inputs: dict[str, Any]) -> tuple[State, Any, Any]:
        """Encoder inputs -> initial state of the decoder, logits of the CTC head `(batch,
        positions, vocabulary_size)` and the mask of its positions `(batch, positions)`.

        Raises:
            InputError: As `encode`.
        """
        self._check_inputs(inputs)
        state = dict(self._views.ctc_model(inputs, training=False))
        logits = self.ctc.projection(state.pop(CTC_MEMORY))
        return state, logits, state.pop(CTC_MASK)

    def step(self, token: Any, state: State) -> tuple[Any, State]:
        """`(batch,)` token ids and state -> logits and the entries that changed.

        Where the state has an entry `alignment`, the attention weights are among them. With a
        `lineage` the hypotheses of a source share what `position_entries` names.
        """
        token = keras.ops.convert_to_tensor(token, "int32")
        state = dict(state)
        asks_for_alignment = state.pop(ALIGNMENT, None) is not None
        lineage = state.pop(LINEAGE, None)
        # In an ensemble it is there for the other models too. The functional model has none.
        if lineage is not None and self.position_entries:
            state[LINEAGE] = lineage
        if LINEAGE in state or LISTED_WEIGHTS in state:
            output = self.decoder.step(token, state)
            outputs = {LOGITS: output.logits, ALIGNMENT: output.alignment, **output.state}
        else:
            outputs = dict(self.decoder_model({TOKEN: token, **state}, training=False))
        if not asks_for_alignment:
            outputs.pop(ALIGNMENT, None)
        return outputs.pop(LOGITS), outputs

    def encoder_spec(self, batch_size: int | None = None) -> dict[str, tf.TensorSpec]:
        """Shapes and dtypes of the encoder inputs."""
        return {
            tensor.name: tf.TensorSpec(
                (batch_size, *tensor.shape[1:]), tensor.dtype, tensor.name
            )
            for tensor in self.encoder_model.inputs
        }

    def get_config(self) -> dict[str, Any]:
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "preprocessor": keras.saving.serialize_keras_object(self._preprocessor),
            "scheduled_sampling": keras.saving.serialize_keras_object(self.scheduled_sampling),
            "ctc": keras.saving.serialize_keras_object(self.ctc),
            "shares_embedding": self.decoder.embedding is self.encoder.embedding,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Seq2Seq":
        def build(name: str) -> Any:
            return keras.saving.deserialize_keras_object(config[name], custom_objects)

        encoder = build("encoder")
        if config["shares_embedding"]:
            # The decoder's configuration holds a copy: it must be the same object again.
            decoder_class = keras.saving.get_registered_object(
                config["decoder"]["registered_name"], custom_objects
            )
            settings = {**config["decoder"]["config"], "embedding": encoder.embedding}
            decoder = decoder_class.from_config(settings)
        else:
            decoder = build("decoder")
        return cls(
            encoder,
            decoder,
            build("preprocessor"),
            build("scheduled_sampling"),
            build("ctc") if "ctc" in config else None,
            name=config["name"],
        )


@not_collecting()
@checked
def load_model(path: str | Path, compile: bool = True) -> Seq2Seq:
    """Loads a saved `Seq2Seq` with its weights and preprocessor, ready to generate.

    Args:
        path: A `.keras` file.
        compile: bool. Whether it is compiled as it was when saved, its optimizer's state
            included, so that `fit` goes on. Defaults to `True`, as
            `keras.saving.load_model`; generation needs it not.

    Raises:
        InputError: If there is no such file, it says that it is far larger in memory than on
            the disk, or it holds no `Seq2Seq`.
    """
    path = Path(path)
    with disk_errors(path, "read"):
        if not path.is_file():
            what = "a folder" if path.is_dir() else "no such file"
            raise InputError(
                f"{path}: {what}. Give the .keras file of a saved model, such as model.keras "
                "in the folder of a run."
            )
        check_saved_file(path)
    try:
        model = keras.saving.load_model(path, compile=compile)
    except Exception as error:  # Keras raises many kinds for a broken file.
        reason = why_not_loaded(error)
        raise InputError(f"{path} cannot be loaded as a model: {reason}") from error
    if not isinstance(model, Seq2Seq):
        raise InputError(f"{path} holds a {type(model).__name__}, not a Seq2Seq model.")
    return model


def why_not_loaded(error: Exception) -> str:
    """The innermost reason that Keras gives, such as a class that it does not know."""
    reason = str(error).rpartition("Exception encountered: ")[2].strip()
    return (reason.splitlines() or [type(error).__name__])[0][:200]


def _check_source_length(encoder: Encoder, length: int) -> None:
    length = encoder.embedding.output_length(length)
    if encoder.max_length is not None and length > encoder.max_length:
        raise InputError(
            "The encoder's `max_length` must hold the longest source with its end token. "
            f"Received: max_length={encoder.max_length}, {length} source tokens or frames."
        )


def _check_sizes(encoder: Encoder, decoder: Decoder, preprocessor: Preprocessor) -> None:
    name, size = preprocessor.source_size
    own = getattr(encoder.embedding, name, None)
    if own is None:
        raise InputError(
            f"The encoder's embedding, a {type(encoder.embedding).__name__}, does not read "
            f"{preprocessor.kind}, which its preprocessor gives."
        )
    target = preprocessor.target_tokenizer.vocabulary_size()
    for side, model_size, given in (
        ("source", own, size),
        ("target", decoder.vocabulary_size, target),
    ):
        if model_size != given:
            what = name.replace("_", " ") if side == "source" else "vocabulary size"
            raise InputError(
                f"The {side} {what} of the model and of its preprocessor differ. "
                f"Received: {model_size} and {given}."
            )


def _check_one_vocabulary(
    encoder: Encoder, decoder: Decoder, preprocessor: Preprocessor | None
) -> None:
    sizes = [encoder.embedding.vocabulary_size, decoder.vocabulary_size]
    tokenizers = preprocessor.tokenizers.values() if preprocessor is not None else ()
    differ = len({tuple(tokenizer.get_vocabulary()) for tokenizer in tokenizers}) > 1
    if sizes[0] != sizes[1] or differ:
        raise InputError(
            "A decoder that copies source tokens needs one vocabulary for both sides "
            f"(--joint-vocabulary). Received: vocabularies of {sizes[0]} and {sizes[1]} "
            f"tokens{' that differ' if differ else ''}."
        )
