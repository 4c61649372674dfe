"""Generation of ids with anything that can `encode` and `step`, inside a graph."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import tensorflow as tf

from keras_seq2seq.decoding import (
    ALIGNMENT,
    ForcedPrefix,
    Hypotheses,
    JointCTC,
    Listed,
    MarkTimes,
    MaxLength,
    Prompt,
    Rule,
    Search,
    Strategy,
    SuppressAt,
    SuppressTokens,
    Values,
    build_rules,
    build_strategy,
    decode_by_pieces,
    stage_lengths,
)
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers.attentional_recurrence import MEMORY_MASK
from keras_seq2seq.models.model_settings import check_length
from keras_seq2seq.models.parts import State
from keras_seq2seq.models.shortlisting import Shortlisting
from keras_seq2seq.models.token_logits import LISTED_WEIGHTS
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.special_tokens import PAD_ID

# A `tf.function` rewrites the Python that it calls: of a search, all of it, for seconds and
# to no end, since its loop is one of TensorFlow.
_as_written = tf.autograph.experimental.do_not_convert


class IdGeneration(Shortlisting):
    """What a model with the attributes below gains: from encoder inputs to hypotheses."""

    weights: list[Any]
    trainable_weights: list[Any]
    # Where the model has a `CTCLoss`.
    encode_with_ctc: Callable[[dict[str, Any]], tuple[State, Any, Any]]

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

    @_as_written
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

    @_as_written
    def generate_ids(
        self,
        inputs: dict[str, Any],
        settings: GenerationSettings,
        *,
        prefix_ids: tf.RaggedTensor | None = None,
        values: Values | None = None,
        fixed_shapes: bool = False,
        by_stages: bool = False,
    ) -> Hypotheses:
        """Generates for one batch of encoder inputs; call it inside a `tf.function`.

        Args:
            inputs: Encoder inputs by name.
            settings: How targets are generated.
            prefix_ids: Ragged `(batch, None)`, int32: what each target begins with, optional.
            values: Tensors in the place of values of `settings`, optional, by the names and
                of the types of `decoding.values`. Scalars; or one a row: `max_length`
                `(batch,)`, at most that of the settings, `length_penalty` `(batch, 1)`,
                `temperature` `(batch, 1, 1)`.
            fixed_shapes: Whether every tensor of the loop keeps its shape, as a conversion to
                TFLite needs. By default caches grow with the target.
            by_stages: With `fixed_shapes`, whether the loop is several in a row, each with
                room for twice the target: less work for many rows, a larger graph.
        """
        with self._weights_read_once():
            search = self._search(inputs, settings, prefix_ids, values, fixed_shapes)
            stages: Sequence[int] = ()
            if by_stages and self.position_entries:
                stages = stage_lengths(search.max_length)
            # A device's loop has no operation more than it needs.
            return replace(search, finds_nan=not fixed_shapes, stages=stages).decode()

    def generate_few_steps(
        self,
        inputs: dict[str, Any],
        settings: GenerationSettings,
        steps: int,
        *,
        prefix_ids: tf.RaggedTensor | None = None,
        values: Values | None = None,
    ) -> Hypotheses | None:
        """`generate_ids` outside of a graph: quicker than making one, for a short target.

        Args:
            steps: int. `None` is returned where the search takes more.
        """
        with self._weights_read_once():
            search = self._search(inputs, settings, prefix_ids, values)
            loop = search.loop()
            variables = loop.variables
            for _ in range(steps):
                if not loop.goes_on(*variables):
                    break
                variables = loop.body(*variables)
            return None if loop.goes_on(*variables) else search.snapshot(variables).ended

    @property
    def compiles(self) -> bool:
        """Whether XLA can compile a search."""
        return True

    @_as_written
    def generate_ids_compiled(
        self,
        inputs: dict[str, Any],
        settings: GenerationSettings,
        threads: int,
        values: Values | None = None,
    ) -> Hypotheses:
        """`generate_ids` compiled by XLA, the batch in up to `threads` pieces side by side.

        Padded as `decode_by_pieces` says; caches have room for the longest target from the
        start. Samples are drawn for the batch as a whole, so they come in one piece. Sizes
        are those of `settings`: `max_length` and `top_k` of `values` are at most as large.

        Raises:
            InputError: If the model has shapes that depend on values.
        """
        if not self.compiles:
            raise InputError(
                "This model cannot be compiled by XLA: how many positions its encoder reads "
                "depends on what the source says. Leave `jit_compile` out; export as "
                "saved_model."
            )

        def generate(piece: dict[str, Any], listed: Listed | None = None) -> Hypotheses:
            with self._weights_read_once():
                search = self._search(piece, settings, None, values, True, listed)
                return search.decode()

        def prepare(piece: dict[str, Any]) -> Listed:
            return self._listed(piece, settings, values, few_sizes=True)

        longest = None if self._preprocessor is None else self.preprocessor.source_positions
        pieces = 1 if settings.sample else threads
        return decode_by_pieces(
            generate,
            inputs,
            num_pieces=pieces,
            longest=longest,
            prepare=None if settings.shortlist is None else prepare,
        )

    def _search(
        self,
        inputs: dict[str, Any],
        settings: GenerationSettings,
        prefix_ids: tf.RaggedTensor | None = None,
        values: Values | None = None,
        fixed_shapes: bool = False,
        listed: Listed | None = None,
    ) -> Search:
        begin = self._begin(inputs, settings, values, prefix_ids, fixed_shapes, listed)
        return self._search_from(begin, settings, prefix_ids, values, fixed_shapes)

    def _begin(
        self,
        inputs: dict[str, Any],
        settings: GenerationSettings,
        values: Values | None = None,
        prefix_ids: tf.RaggedTensor | None = None,
        fixed_shapes: bool = False,
        listed: Listed | None = None,
    ) -> dict[str, Any]:
        """What a search starts from: `state`, the first one; `least` and `most`, the target
        tokens `(batch,)`, where they differ from row to row; and `listed`, where it chooses
        among the tokens of a list."""
        self.check_settings(settings)
        values = {**self.values(settings), **(values or {})}
        if settings.ctc_weight:
            state, ctc_logits, ctc_mask = self.encode_with_ctc(inputs)
            state |= self._joint(values).start(ctc_logits, ctc_mask)
        else:
            state = dict(self.encode(inputs))
        if settings.records_alignments:
            state[ALIGNMENT] = tf.zeros_like(self.memory_mask(state), tf.float32)
        begin: dict[str, Any] = {"state": state}
        if settings.shortlist is not None:
            listed = listed or self._listed(
                inputs, settings, values, prefix_ids=prefix_ids, fixed_shapes=fixed_shapes
            )
            state |= self.listed(listed)
            begin["listed"] = listed
        if settings.has_length_ratio or _has_rows(values["max_length"]):
            begin["least"], begin["most"] = self.length_range(inputs, settings, values)
        return begin

    def _joint(self, values: Values) -> JointCTC:
        longest = self.preprocessor.source_positions
        return JointCTC(values["ctc_weight"], self.end_id, self.start_id, longest)

    def _search_from(
        self,
        begin: dict[str, Any],
        settings: GenerationSettings,
        prefix_ids: tf.RaggedTensor | None = None,
        values: Values | None = None,
        fixed_shapes: bool = False,
    ) -> Search:
        """The search that goes on from what `_begin` gives."""
        values = {**self.values(settings), **(values or {})}
        state, listed = begin["state"], begin.get("listed")
        if listed is not None:
            values = self._in_places(values, listed)
        step: Any = self.step
        changing = self.changing_entries
        if settings.ctc_weight:
            joint = self._joint(values)
            step = joint.joined(step)
            changing = None if changing is None else (*changing, *joint.changing)
        least = begin.get("least", values["min_length"] if settings.min_length else 0)
        most = begin.get("most", values["max_length"])
        # The result has room for the greatest length of the settings; where they name one and
        # its size need not be known ahead, for the one that is fed.
        size, limits = self._max_length(settings), None
        is_fed = tf.is_tensor(values["max_length"])
        if is_fed and settings.max_length is not None and not fixed_shapes:
            size = size if _has_rows(values["max_length"]) else values["max_length"] + 1
        if "most" in begin:
            limits = most + 1
        elif is_fed:
            limits = tf.fill(tf.shape(next(iter(state.values())))[:1], most + 1)
        rules = build_rules(
            settings,
            end_id=self.end_id,
            suppressed=values["suppressed"],
            token_biases=values.get("token_biases"),
            allowed=values.get("allowed"),
            min_length=least,
            max_length=most,
            values=values,
        )
        rules = self._with_beginning(rules, prefix_ids, listed)
        mask = self.memory_mask(state)
        return Search(
            step,
            state,
            build_strategy(settings, self.end_id, mask, values, fixed_shapes),
            max_length=size,
            start_id=self.start_id,
            rules=rules,
            limits=limits,
            from_logits=not settings.ctc_weight,
            changing=changing,
            # The weights of a list are one tensor for all rows.
            shared=[*self.shared_entries, *(n for n in state if n.endswith(LISTED_WEIGHTS))],
            positions=self.position_entries,
            fixed_shapes=fixed_shapes,
            tokens=None if listed is None else listed.ids,
        )

    def _with_beginning(
        self,
        rules: list[Rule],
        prefix_ids: tf.RaggedTensor | None,
        listed: Listed | None = None,
    ) -> list[Rule]:
        """The rules, with what is known of the first tokens of every target."""
        target: Any = None if self._preprocessor is None else self._target
        choices: Sequence[Any] = getattr(target, "begin_choices", [])
        first: Any = getattr(target, "never_first_ids", [])
        if listed is not None:
            choices, first, prefix_ids = self._beginning_in_places(
                choices, first, prefix_ids, listed
            )
        if len(first):
            rules = [SuppressAt(len(choices), first), *rules]
        if getattr(target, "writes_times", False):
            # The greatest length comes last: it ends a target wherever it is.
            times = MarkTimes(target.time_ids[0], self.end_id, len(choices))
            rules = [*rules[:-1], times, rules[-1]]
        if prefix_ids is not None:
            lengths = tf.cast(prefix_ids.row_lengths(), tf.int32)
            rules = [ForcedPrefix(prefix_ids.to_tensor(PAD_ID), lengths, rules)]
        return [Prompt(choices, rules)] if choices else rules


def _has_rows(value: Any) -> bool:
    return tf.is_tensor(value) and value.shape.rank == 1
