"""Generation of ids with anything that can `encode` and `step`, inside a graph."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_seq2seq.data.preprocessor import Preprocessor
from keras_seq2seq.decoding import (
    ALIGNMENT,
    ForcedPrefix,
    Hypotheses,
    JointCTC,
    MaxLength,
    Request,
    Rule,
    Search,
    Strategy,
    SuppressTokens,
    build_rules,
    build_strategy,
    decode_by_pieces,
)
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers.attentional_recurrence import MEMORY_MASK
from keras_seq2seq.models.constraints import (
    allowed_ids,
    biases_of,
    check_ids,
    length_range,
    token_ids_of,
)
from keras_seq2seq.models.parts import (
    ENCODER_LENGTHS,
    ENCODER_TOKEN_IDS,
    Decoder,
    State,
)
from keras_seq2seq.settings import GenerationSettings, option_name
from keras_seq2seq.special_tokens import END_ID, PAD_ID, START_ID, UNKNOWN_ID


def backend_generates() -> bool:
    """Whether the backend of Keras generates; JAX trains and saves alone."""
    return keras.backend.backend() == "tensorflow"


class IdGeneration:
    """What a model with the attributes below gains: from encoder inputs to hypotheses."""

    decoder: Decoder
    weights: list[Any]
    trainable_weights: list[Any]
    alignment_model: Any
    # A `CTCLoss` where the model has one; with it `encode_with_ctc`.
    ctc: Any = None
    encode_with_ctc: Callable[[dict[str, Any]], tuple[State, Any, Any]]
    _preprocessor: Preprocessor | None

    # The shapes and dtypes of the encoder inputs, of any batch or of one size.
    encoder_spec: Callable[..., dict[str, tf.TensorSpec]]
    # Encoder inputs -> initial state of the decoder.
    encode: Callable[[dict[str, Any]], State]
    # `(batch,)` token ids and state -> logits and the entries that changed.
    step: Callable[[Any, State], tuple[Any, State]]

    @property
    def changing_entries(self) -> Sequence[str] | None:
        """Names of the entries that `step` changes, where they are known ahead."""
        return None

    @property
    def shared_entries(self) -> Sequence[str]:
        """Names of the constant entries that `step` reads for all beams of a source."""
        return ()

    @property
    def position_entries(self) -> Mapping[str, int]:
        """Names of the changing entries that hold what was at each position, with the axis of
        their length."""
        return {}

    def memory_mask(self, state: State) -> Any:
        """`(batch, source_length)`, bool: what attention reads; `None` without attention."""
        return state.get(MEMORY_MASK)

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

    def decode(
        self,
        inputs: dict[str, Any],
        strategy: Strategy,
        max_length: int | tf.Tensor,
        rules: Sequence[Rule] | None = None,
    ) -> Hypotheses:
        """Generates for one batch of encoder inputs; call it inside a `tf.function`.

        Args:
            inputs: Encoder inputs by name.
            strategy: Such as `BeamSearch`.
            max_length: int. Tokens at most, the end token included.
            rules: Defaults to suppressing padding and the start token, and to ending
                within `max_length`.

        Raises:
            InputError: If the decoder's state has no room for `max_length` tokens.
        """
        if isinstance(max_length, int):
            check_length(self.decoder, max_length)
        if rules is None:
            rules = [
                SuppressTokens([PAD_ID, self.start_id]),
                MaxLength(max_length - 1, self.end_id),
            ]
        with self._weights_read_once():
            search = Search(
                self.step,
                self.encode(inputs),
                strategy,
                max_length=max_length,
                start_id=self.start_id,
                rules=rules,
                changing=self.changing_entries,
                shared=self.shared_entries,
                positions=self.position_entries,
            )
            return search.decode()

    def _weights_read_once(self) -> Any:
        """A scope in which weights are tensors: a loop does not read them at every step."""
        weights = [(weight, tf.convert_to_tensor(weight)) for weight in self.weights]
        return keras.StatelessScope(state_mapping=weights)

    def generate_ids(
        self,
        inputs: dict[str, Any],
        settings: GenerationSettings,
        *,
        prefix_ids: tf.RaggedTensor | None = None,
        request: Request | None = None,
        fixed_shapes: bool = False,
    ) -> Hypotheses:
        """Generates for one batch of encoder inputs; call it inside a `tf.function`.

        Args:
            inputs: Encoder inputs by name.
            settings: How targets are generated.
            prefix_ids: Ragged `(batch, None)`, int32: what each target begins with, optional.
            request: Tensors in the place of fields of `settings`, optional: `max_length`
                (at most that of the settings), int32 `(batch,)` or scalar; `length_penalty`,
                float32 `(batch, 1)` or scalar; `temperature`, float32 `(batch, 1, 1)` or
                scalar; `seed`, int32 scalar.
            fixed_shapes: Whether every tensor of the loop keeps its shape, as a conversion to
                TFLite needs. By default caches grow with the target.
        """
        with self._weights_read_once():
            search = self._search(inputs, settings, prefix_ids, request)
            if fixed_shapes:
                search = replace(search, fixed_shapes=True)
            return search.decode()

    @property
    def compiles(self) -> bool:
        """Whether XLA can compile a search."""
        return True

    def generate_ids_compiled(
        self, inputs: dict[str, Any], settings: GenerationSettings, threads: int
    ) -> Hypotheses:
        """`generate_ids` compiled by XLA, the batch in up to `threads` pieces side by side.

        Padded as `decode_by_pieces` says; caches have room for the longest target from the
        start. Samples are drawn for the batch as a whole, so they come in one piece.

        Raises:
            InputError: If the model has shapes that depend on values.
        """
        if not self.compiles:
            raise InputError(
                "This model cannot be compiled by XLA: how many positions its encoder reads "
                "depends on what the source says. Leave `jit_compile` out; export as "
                "saved_model."
            )

        def generate(piece: dict[str, Any]) -> Hypotheses:
            return self.generate_ids(piece, settings, fixed_shapes=True)

        longest = None if self._preprocessor is None else self.preprocessor.source_positions
        pieces = 1 if settings.sample else threads
        return decode_by_pieces(generate, inputs, num_pieces=pieces, longest=longest)

    def _search(
        self,
        inputs: dict[str, Any],
        settings: GenerationSettings,
        prefix_ids: tf.RaggedTensor | None = None,
        request: Request | None = None,
    ) -> Search:
        max_length = self.check_settings(settings)
        step: Any = self.step
        changing = self.changing_entries
        if settings.ctc_weight:
            longest = self.preprocessor.source_positions
            joint = JointCTC(settings.ctc_weight, self.end_id, self.start_id, longest)
            state, ctc_logits, ctc_mask = self.encode_with_ctc(inputs)
            state |= joint.start(ctc_logits, ctc_mask)
            step = joint.joined(step)
            changing = None if changing is None else (*changing, *joint.changing)
        else:
            state = dict(self.encode(inputs))
        mask = self.memory_mask(state)
        if settings.records_alignments:
            state[ALIGNMENT] = tf.zeros_like(mask, tf.float32)
        min_length: Any = settings.min_length
        most: Any = max_length - 1
        limits = None
        request = request or {}
        if settings.has_length_ratio or "max_length" in request:
            min_length, most = self.length_range(inputs, settings, request.get("max_length"))
            limits = most + 1
        rules = build_rules(
            settings,
            end_id=self.end_id,
            never=self._never(settings),
            biases=self._biases(settings),
            allowed=self._allowed(settings, max_length),
            min_length=min_length,
            max_length=most,
        )
        if prefix_ids is None:
            prefix_ids = self._beginnings(inputs)
        if prefix_ids is not None:
            lengths = tf.cast(prefix_ids.row_lengths(), tf.int32)
            rules = [ForcedPrefix(prefix_ids.to_tensor(PAD_ID), lengths, rules)]
        return Search(
            step,
            state,
            build_strategy(settings, self.end_id, mask, request),
            max_length=max_length,
            start_id=self.start_id,
            rules=rules,
            limits=limits,
            from_logits=not settings.ctc_weight,
            changing=changing,
            shared=self.shared_entries,
            positions=self.position_entries,
        )

    def _beginnings(self, inputs: dict[str, Any]) -> tf.RaggedTensor | None:
        """What the tokenizer begins every target with, for each row; `None` for nothing."""
        begin = [] if self._preprocessor is None else getattr(self._target, "begin_ids", [])
        if not begin:
            return None
        rows = tf.shape(next(iter(inputs.values())))[0]
        return tf.RaggedTensor.from_tensor(tf.tile(tf.constant([begin], tf.int32), [rows, 1]))

    def length_range(
        self,
        inputs: dict[str, Any],
        settings: GenerationSettings,
        request_max_length: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Target tokens at least and at most `(batch,)`, int32, without the end token."""
        lengths = self._lengths(inputs)
        return length_range(settings, self._max_length(settings), lengths, request_max_length)

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
        return [PAD_ID, self.start_id]

    def _biases(self, settings: GenerationSettings) -> dict[int, float]:
        return biases_of(settings, self._target if settings.bias else None)

    def _allowed(self, settings: GenerationSettings, max_length: int) -> np.ndarray | None:
        if not settings.allowed:
            return None
        return allowed_ids(settings, self._target, max_length)


def check_length(decoder: Decoder, max_length: int) -> None:
    """Raises `InputError` if the decoder's state has no room for `max_length` tokens."""
    if decoder.max_length is not None and max_length > decoder.max_length:
        raise InputError(
            "The decoder's `max_length` must hold the longest target with its end token. "
            f"Received: max_length={decoder.max_length}, {max_length} tokens to generate."
        )
