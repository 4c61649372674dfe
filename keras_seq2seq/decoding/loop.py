"""The one decoding loop, written against the step function alone."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from keras_seq2seq.decoding.rules import Rule

State = dict[str, tf.Tensor]
Carry = dict[str, tf.Tensor]
# `step(token (rows,) int32, state) -> (logits (rows, V), entries of the state that changed)`
Step = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]


class Hypotheses(NamedTuple):
    """Generated sequences of a batch, the best first.

    Attributes:
        token_ids: `(batch, hypotheses, max_length)`, int32: the tokens, then the end token
            (absent where `max_length` cut the hypothesis), then padding (0).
        lengths: `(batch, hypotheses)`, int32: tokens before the end token.
        log_probs: `(batch, hypotheses)`, float32: `log P(y | x)`, the end token included;
            below -5e8 where fewer hypotheses exist than were asked for.
        scores: `(batch, hypotheses)`, float32: what the hypotheses are ordered by.
    """

    token_ids: Any
    lengths: Any
    log_probs: Any
    scores: Any


class Strategy(Protocol):
    """Chooses tokens. Holds settings only; what changes lives in the carry, a flat
    dictionary of tensors of fixed shape, batch first."""

    num_beams: int

    def start(self, batch_size: tf.Tensor | int, max_length: tf.Tensor | int) -> Carry:
        """The carry before the first token."""
        ...

    def live_token_ids(self, carry: Carry) -> tf.Tensor:
        """`(batch, num_beams, max_length)`, int32: the tokens chosen so far, for rules."""
        ...

    def advance(
        self, time: tf.Tensor, max_length: tf.Tensor | int, log_probs: tf.Tensor, carry: Carry
    ) -> tuple[tf.Tensor, tf.Tensor | None, Carry]:
        """Chooses one token a live hypothesis.

        Args:
            time: int32 scalar, 0 for the first token.
            max_length: int32 scalar.
            log_probs: `(batch, num_beams, vocabulary_size)`, float32.
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


def decode(
    step: Step,
    state: State,
    strategy: Strategy,
    *,
    max_length: int | tf.Tensor,
    start_id: int,
    rules: Sequence[Rule] = (),
) -> Hypotheses:
    """Generates one batch, token by token, until every row is done or `max_length`.

    Call it inside a `tf.function`. Entries of the state that `step` does not return are
    constant: they stay outside the loop.

    Args:
        step: `(token (rows,), state) -> (logits (rows, vocabulary_size), changed)`, with
            `rows = batch * num_beams`.
        state: Initial state by name, each tensor with the batch first.
        strategy: How tokens are chosen.
        max_length: int or int32 scalar. Tokens at most, the end token included.
        start_id: int. The token before the first.
        rules: Applied to the log probabilities in this order.

    Returns:
        `Hypotheses` of the batch.
    """
    go_on, body, variables = _loop(step, state, strategy, max_length, start_id, rules)
    return strategy.finish(tf.while_loop(go_on, body, variables)[-1])


def stream(
    step: Step,
    state: State,
    strategy: Strategy,
    *,
    max_length: int,
    start_id: int,
    rules: Sequence[Rule] = (),
) -> Iterator[tf.Tensor]:
    """The same loop, run by Python: yields after every step.

    Args: as for `decode`.

    Yields:
        The ids so far `(batch, num_beams, max_length)`, int32, of the live hypotheses, and
        at last those of the result.
    """
    go_on, body, variables = _loop(step, state, strategy, max_length, start_id, rules)
    body = tf.function(body, autograph=False)
    while go_on(*variables):
        variables = body(*variables)
        yield strategy.live_token_ids(variables[-1])
    yield strategy.finish(variables[-1]).token_ids


def _loop(
    step: Step,
    state: State,
    strategy: Strategy,
    max_length: int | tf.Tensor,
    start_id: int,
    rules: Sequence[Rule],
) -> tuple[Callable, Callable, tuple]:
    """Condition, body and first variables `(time, token, changing state, carry)`."""
    reference = next(iter(state.values()))
    batch_size = reference.shape[0] or tf.shape(reference)[0]
    num_beams = strategy.num_beams
    state = {name: _repeat_rows(tensor, num_beams) for name, tensor in state.items()}
    rows = batch_size * num_beams
    token = tf.fill([rows], tf.constant(start_id, tf.int32))
    changing = _changing_entries(step, token, state)
    constant = {name: tensor for name, tensor in state.items() if name not in changing}

    def go_on(time, token, state, carry):
        return (time < max_length) & ~tf.reduce_all(strategy.is_done(carry))

    def body(time, token, state, carry):
        logits, changed = step(token, {**constant, **state})
        log_probs = tf.nn.log_softmax(tf.cast(logits, tf.float32))
        if rules:
            token_ids = tf.reshape(strategy.live_token_ids(carry), [rows, max_length])
        for rule in rules:
            log_probs = rule(time, token_ids, log_probs)
        vocabulary_size = log_probs.shape[-1]
        log_probs = tf.reshape(log_probs, [batch_size, num_beams, vocabulary_size])
        tokens, parents, carry = strategy.advance(time, max_length, log_probs, carry)
        if parents is not None:
            first_row = tf.range(batch_size)[:, None] * num_beams
            chosen = tf.reshape(parents + first_row, [-1])
            changed = {name: tf.gather(tensor, chosen) for name, tensor in changed.items()}
        state = {name: tf.ensure_shape(changed[name], state[name].shape) for name in state}
        return time + 1, tf.reshape(tokens, [rows]), state, carry

    first_state = {name: state[name] for name in changing}
    carry = strategy.start(batch_size, max_length)
    return go_on, body, (tf.constant(0), token, first_state, carry)


def _changing_entries(step: Step, token: tf.Tensor, state: State) -> list[str]:
    """Names of the entries that `step` returns, found by tracing it once without running."""

    @tf.function(autograph=False)
    def trace(token: tf.Tensor, state: State) -> State:
        return step(token, state)[1]

    spec = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), (token, state))
    changed = trace.get_concrete_function(*spec).structured_outputs
    unknown = sorted(set(changed) - set(state))
    if unknown:
        raise ValueError(
            "A step may change only entries of its state. Received new entries "
            f"{unknown}; the state has {sorted(state)}."
        )
    return sorted(changed)


def _repeat_rows(tensor: tf.Tensor, times: int) -> tf.Tensor:
    """`(batch, ...)` -> `(batch * times, ...)`, each row `times` times in a run."""
    if times == 1:
        return tensor
    repeated = tf.tile(tensor[:, None], [1, times] + [1] * (len(tensor.shape) - 1))
    # Static sizes where they are known: converters need them.
    dynamic = tf.shape(tensor)
    rows, *rest = (
        dynamic[axis] if size is None else size for axis, size in enumerate(tensor.shape)
    )
    return tf.reshape(repeated, [rows * times, *rest])
