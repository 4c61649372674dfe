"""The one decoding loop, written against the step function alone."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from keras_seq2seq.decoding.entries import (
    empty_along,
    lengthened,
    repeat_along,
    repeat_rows,
)
from keras_seq2seq.decoding.hypotheses import Hypotheses, Snapshot
from keras_seq2seq.decoding.rules import BiasRule, Rule, apply_rules, size_of
from keras_seq2seq.decoding.score import log_softmax
from keras_seq2seq.decoding.tracks import Observed, Tracks, empty
from keras_seq2seq.errors import InputError

State = dict[str, tf.Tensor]
Carry = dict[str, Any]
# `step(token (rows,) int32, state) -> (logits (rows, V), entries of the state that changed)`
Step = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]
# As `Loop` says.
Variables = tuple[Any, ...]

# The entry of a state that asks for attention: where the state has it, the step returns the
# weights over the source `(rows, source_length)` under this name.
ALIGNMENT = "alignment"

# The entry that a search adds to a state that holds what was at each position: `(families,
# size, length)` int32, of each hypothesis of a family which one of each step so far it goes on
# from, this step included; -1 where steps are still to come. A family has one row of these
# entries, in which its hypotheses stand side by side at each position. Those of a source that
# compete are a family: nothing is ever reordered, a step reads what the lineage says. Others
# are families of one. All hypotheses are at the same step.
LINEAGE = "lineage"

# More hypotheses than this have rows of their own, reordered at every step: each reads the
# entries of all, which costs more than the copy.
MOST_SIDE_BY_SIDE = 16


class Strategy(Protocol):
    """Chooses tokens. Holds settings only; what changes lives in the carry, a dictionary of
    tensors of fixed shape, batch first.

    Attributes:
        num_beams: int. Live hypotheses a row.
        competes: bool. Whether a hypothesis may go on from another one, as `advance` says.
    """

    num_beams: int
    competes: bool

    def start(self, tracks: Tracks) -> Carry:
        """The carry before the first token.

        Args:
            tracks: Empty tracks of `num_beams` hypotheses a row.
        """
        ...

    def live(self, carry: Carry) -> Hypotheses:
        """The hypotheses that the next step goes on with, `num_beams` a row."""
        ...

    def advance(
        self,
        time: tf.Tensor,
        limits: tf.Tensor,
        log_probs: tf.Tensor,
        observed: Observed,
        carry: Carry,
    ) -> tuple[tf.Tensor, tf.Tensor | None, Carry]:
        """Chooses one token a live hypothesis.

        Args:
            time: int32 scalar, 0 for the first token.
            limits: `(batch,)`, int32: tokens at most, the end token included. A row is done
                when `time + 1` reaches its limit.
            log_probs: `(batch, num_beams, vocabulary_size)`, float32.
            observed: What else this step shows, to be written into the tracks.
            carry: The carry.

        Returns:
            Tokens `(batch, num_beams)`, the beam that each continues `(batch, num_beams)`
            or `None` where each continues itself, and the new carry.
        """
        ...

    def is_done(self, carry: Carry) -> tf.Tensor:
        """`(batch,)`, bool: no further token changes the result."""
        ...

    def finish(self, carry: Carry) -> Hypotheses:
        """The result."""
        ...


class Loop(NamedTuple):
    """A search as condition and body over variables.

    Attributes:
        goes_on: Variables -> bool scalar.
        body: Variables -> variables, one step further.
        variables: Before the first step: time, last token, changing state, carry, and what
            is not a number so far.
        specs: Shapes and dtypes of the variables at every step.
    """

    goes_on: Callable[..., tf.Tensor]
    body: Callable[..., Variables]
    variables: Variables
    specs: tuple


@dataclass(frozen=True)
class Search:
    """The generation of one batch, token by token, until every row is done or `max_length`.

    Entries of the state that `step` does not return are constant: they stay outside the loop.

    Attributes:
        step: The step function.
        state: Initial state, each tensor `(batch, ...)`. Its rows are repeated for the beams.
            An entry `alignment` `(batch, source_length)`, of whatever value, asks to record
            the attention.
        strategy: Such as `GreedySearch` or `BeamSearch`.
        max_length: int or int32 scalar. Tokens at most, the end token included.
        start_id: int. The first input.
        rules: Applied in this order to the log probabilities.
        limits: `(batch,)`, int32, at most `max_length`, optional: tokens at most of each row.
        from_logits: bool. `False` if `step` returns log probabilities, or scores to be added
            up as they are. Defaults to `True`.
        changing: Names of the entries that `step` returns, the attention left out. By
            default they are found by tracing `step` once more.
        shared: Names of constant entries that keep one row a source, which the step reads for
            all beams of the source: `num_beams` rows of `token` in a run belong to one row of
            theirs. The others are repeated for the beams.
        positions: Names of changing entries that hold what was at each position, with the
            axis of their length. `step` reads them as an entry `lineage` (`LINEAGE`) says.
        fixed_shapes: bool. Whether the entries of `positions` keep the length that `state`
            gives them. Defaults to `False`: they begin with length 0 and `step` makes them
            longer.
        stages: With `fixed_shapes`, the lengths of the entries of `positions` in turn, the last
            of them `max_length`: a loop for each, which goes on where the one before ended, so
            that a step reads and copies little more than what is written. Defaults to one
            loop.
        tokens: `(size,)`, int32, optional: the ids of the tokens whose logits `step` gives,
            where these are not the whole vocabulary; it takes ids. To rules and strategy a
            token is its place here; 0 must be at place 0.
        finds_nan: bool. Whether a source of which a probability is not a number has NaN as
            log probability of its hypotheses. Defaults to `True`; without it, such a source
            has NaN or no hypothesis.
    """

    step: Step
    state: State
    strategy: Strategy
    _: KW_ONLY
    max_length: int | tf.Tensor
    start_id: int
    rules: Sequence[Rule] = ()
    limits: tf.Tensor | None = None
    from_logits: bool = True
    changing: Sequence[str] | None = None
    shared: Sequence[str] = ()
    positions: Mapping[str, int] = field(default_factory=dict)
    fixed_shapes: bool = False
    stages: Sequence[int] = ()
    tokens: tf.Tensor | None = None
    finds_nan: bool = True

    def decode(self) -> Hypotheses:
        """Runs to the end, in the graph; call it inside a `tf.function`.

        Returns:
            `Hypotheses`, ordered by score.

        Raises:
            InputError: If `step` returns an entry that the state lacks.
        """
        loop = (self._stage(self.stages[0]) if self.stages else self).loop()
        variables = _run(loop, loop.variables, self.stages[:1])
        for length in self.stages[1:]:
            time, token, state, *rest = variables
            loop = self._stage(length).loop()
            state = {
                name: lengthened(entry, loop.specs[2][name].shape, -(name == LINEAGE))
                for name, entry in state.items()
            }
            variables = _run(loop, (time, token, state, *rest), [length])
        return self.snapshot(variables).ended

    def _stage(self, length: int) -> "Search":
        """This search with room for so many positions."""
        cut = {
            name: self.state[name][(slice(None),) * axis + (slice(length),)]
            for name, axis in self.positions.items()
        }
        return replace(self, state={**self.state, **cut})

    def stream(self) -> Iterator[Snapshot]:
        """The same loop, run by Python in a graph of this search alone.

        Yields:
            `Snapshot` after every step: the live hypotheses and those that ended; in the last
            one, the ended ones are the result.

        Raises:
            InputError: As `decode`.
        """
        loop = self.loop()
        body = tf.function(loop.body, input_signature=loop.specs, autograph=False)
        variables = loop.variables
        while loop.goes_on(*variables):
            variables = body(*variables)
            yield self.snapshot(variables)

    def snapshot(self, variables: Variables) -> Snapshot:
        """What the loop has found so far."""
        *_, carry, not_a_number = variables
        ended = self.strategy.finish(carry)
        for bad in not_a_number.values():
            log_probs, scores = (
                tf.where(bad[:, None], math.nan, one) for one in (ended.log_probs, ended.scores)
            )
            ended = ended._replace(log_probs=log_probs, scores=scores)
        found = (self.strategy.live(carry), ended)
        return Snapshot(*(one._replace(token_ids=self._ids(one.token_ids)) for one in found))

    def _ids(self, token: tf.Tensor) -> tf.Tensor:
        return token if self.tokens is None else tf.gather(self.tokens, token)

    def loop(self) -> Loop:
        """The parts of the loop."""
        step, strategy, max_length = self.step, self.strategy, self.max_length
        reference = next(iter(self.state.values()))
        batch_size = reference.shape[0] or tf.shape(reference)[0]
        num_beams = strategy.num_beams
        limits = self.limits
        if limits is None:
            limits = tf.fill([batch_size], max_length)
        tracks = empty([batch_size, num_beams, max_length], self.state.get(ALIGNMENT))
        state = self._first_state(batch_size)
        rows = batch_size * num_beams
        token = tf.fill([rows], tf.constant(self.start_id, tf.int32))
        changing = self.changing
        if changing is None:
            changing = _changing_entries(step, token, self._with_this_step(state, 0))
        changing = [*changing, *({LINEAGE} & set(state))]
        constant = {name: tensor for name, tensor in state.items() if name not in changing}

        def goes_on(time, token, state, carry, not_a_number):
            return (time < max_length) & ~tf.reduce_all(strategy.is_done(carry))

        def body(time, token, state, carry, not_a_number):
            state = self._with_this_step(state, time)
            logits, changed = step(token, {**constant, **state})
            log_probs = tf.cast(logits, tf.float32)
            if self.from_logits:
                log_probs = log_softmax(log_probs, in_parts=self.fixed_shapes)
            log_probs = tf.reshape(log_probs, [batch_size, num_beams, size_of(log_probs)])
            if not_a_number:
                # One column tells: a softmax with a single NaN is NaN throughout.
                is_nan = tf.reduce_any(tf.math.is_nan(log_probs[:, :, 0]), 1)
                is_nan &= ~strategy.is_done(carry)
                not_a_number = {"rows": not_a_number["rows"] | is_nan}
            if self.rules:
                token_ids = strategy.live(carry).token_ids
                log_probs = apply_rules(self.rules, time, token_ids, log_probs)
            observed = {}
            if ALIGNMENT in constant:
                weights = tf.cast(changed[ALIGNMENT], tf.float32)
                source_length = tracks["alignments"].shape[-1] or tf.shape(weights)[-1]
                shape = [batch_size, num_beams, source_length]
                observed["alignments"] = tf.reshape(weights, shape)
            tokens, parents, new_carry = strategy.advance(
                time, limits, log_probs, observed, carry
            )
            state = {name: changed.get(name, tensor) for name, tensor in state.items()}
            if parents is not None:
                state = self._descended(state, parents)
            token = self._ids(tf.reshape(tokens, [rows]))
            new = time + 1, token, state, new_carry, not_a_number
            return tf.nest.map_structure(
                lambda tensor, spec: tf.ensure_shape(tensor, spec.shape), new, specs
            )

        first_state = {name: state[name] for name in changing}
        # A hypothesis that goes on from itself adds NaN up, unless a rule covers it.
        covers = strategy.competes or not all(isinstance(one, BiasRule) for one in self.rules)
        not_a_number = {}
        if self.finds_nan and covers:
            not_a_number["rows"] = tf.fill([batch_size], False)
        variables = tf.constant(0), token, first_state, strategy.start(tracks), not_a_number
        specs = tf.nest.map_structure(
            lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), variables
        )
        if not self.fixed_shapes:
            for name, axis in self._lengths(state).items():
                shape = first_state[name].shape.as_list()
                shape[axis] = None
                specs[2][name] = tf.TensorSpec(shape, first_state[name].dtype)
        return Loop(goes_on, body, variables, specs)

    @property
    def _family(self) -> int:
        """How many hypotheses share a row of the entries of `positions`."""
        num_beams = self.strategy.num_beams
        return num_beams if self.strategy.competes and num_beams <= MOST_SIDE_BY_SIDE else 1

    def _lengths(self, state: State) -> dict[str, int]:
        """The entries with an axis of positions, and that axis."""
        return {**self.positions, **({LINEAGE: 2} if LINEAGE in state else {})}

    def _first_state(self, batch_size: int | tf.Tensor) -> State:
        """The state with rows for all hypotheses."""
        num_beams = self.strategy.num_beams
        state = dict(self.state)
        for name, tensor in state.items():
            axis = self.positions.get(name)
            if axis is not None and not self.fixed_shapes:
                tensor = empty_along(tensor, axis)
            if axis is not None and self._family > 1:
                tensor = repeat_along(tensor, axis, self._family)
            elif name not in self.shared:
                tensor = repeat_rows(tensor, num_beams)
            state[name] = tensor
        if self.positions:
            # As long as the longest of the entries, which may differ in an ensemble.
            lengths = (self.state[name].shape[axis] for name, axis in self.positions.items())
            length = max(lengths) if self.fixed_shapes else 0
            families = batch_size * (num_beams // self._family)
            state[LINEAGE] = tf.fill([families, self._family, length], -1)
        return state

    def _with_this_step(self, state: State, time: tf.Tensor | int) -> State:
        """In the step that is to come, a hypothesis goes on from itself."""
        if LINEAGE not in state:
            return state
        lineage = state[LINEAGE]
        itself = tf.range(self._family)[None, :, None]
        if self.fixed_shapes:
            is_here = tf.range(tf.shape(lineage)[2]) == time
            return {**state, LINEAGE: tf.where(is_here, itself, lineage)}
        itself = tf.tile(itself, [tf.shape(lineage)[0], 1, 1])
        return {**state, LINEAGE: tf.concat([lineage, itself], 2)}

    def _descended(self, state: State, parents: tf.Tensor) -> State:
        """The state of the hypotheses that go on from the parents `(batch, num_beams)`."""
        first_row = tf.range(tf.shape(parents)[0])[:, None] * self.strategy.num_beams
        rows = tf.reshape(parents + first_row, [-1])
        descended = {}
        for name, tensor in state.items():
            if self._family == 1 or name not in self._lengths(state):
                tensor = tf.gather(tensor, rows)
            elif name == LINEAGE:
                tensor = tf.gather(tensor, parents, batch_dims=1)
            descended[name] = tensor
        return descended


def _run(loop: Loop, variables: Variables, until: Sequence[int]) -> Variables:
    """The variables after the loop, which ends at a time of `until` at the latest."""

    def goes_on(time, *rest):
        return tf.reduce_all([loop.goes_on(time, *rest), *(time < one for one in until)])

    shapes = tf.nest.map_structure(lambda spec: spec.shape, loop.specs)
    condition = goes_on if until else loop.goes_on
    return tf.while_loop(condition, loop.body, variables, shape_invariants=shapes)


def _changing_entries(step: Step, token: tf.Tensor, state: State) -> list[str]:
    """Names of the entries that `step` returns, found by tracing it once without running."""

    @tf.function(autograph=False)
    def trace(token: tf.Tensor, state: State) -> State:
        return step(token, state)[1]

    spec = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), (token, state))
    changed = trace.get_concrete_function(*spec).structured_outputs
    unknown = sorted(set(changed) - set(state))
    if unknown:
        raise InputError(
            "A step may change only entries of its state. Received new entries "
            f"{unknown}; the state has {sorted(state)}."
        )
    if ALIGNMENT in state and ALIGNMENT not in changed:
        raise InputError(
            "The state asks for the attention, but the step returns no entry "
            f"{ALIGNMENT!r}. Received: {sorted(changed)}."
        )
    # Attention is what a step shows, not what the next one reads.
    return sorted(set(changed) - {ALIGNMENT})
