"""The contracts of what decodes: rules and strategies, on random numbers."""

from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.decoding import Hypotheses, MaxLength, Rule, Search, Strategy, SuppressTokens
from keras_seq2seq.decoding.rules import IMPOSSIBLE
from keras_seq2seq.special_tokens import END_ID, PAD_ID, START_ID
from keras_seq2seq.testing.comparison import (
    array_of,
    require,
    require_equal,
    require_finite,
)

RULE_AXES = ("row", "hypothesis", "token")


def check_rule(
    rule: Rule, *, vocabulary_size: int = 7, batch_size: int = 2, length: int = 6
) -> None:
    """Checks what a rule promises to the search, at every step of random hypotheses.

    Shape, dtype and finite numbers; the same in a graph of an unknown batch size as in Python;
    hypotheses and rows do not see each other; tokens that are still to come do not count; what
    is impossible stays so.

    Args:
        rule: The rule.
        vocabulary_size: int, above the ids that it knows. Defaults to 7.
        batch_size: int. Rows, for a rule that holds something for each. Defaults to 2.
        length: int. Steps to try. Defaults to 6.

    Raises:
        ContractError: An `AssertionError` that says what differs, by how much, where, and the
            likely cause.

    Example:

    ```python
    check_rule(MyRule(penalty=0.5))
    ```
    """
    rng = np.random.default_rng(0)
    num_beams = 3
    shape = (batch_size, num_beams, vocabulary_size)
    first = len((PAD_ID, START_ID, END_ID))
    token_ids = rng.integers(first, vocabulary_size, (batch_size, num_beams, length + 1))
    token_ids = token_ids.astype("int32")
    # Some tokens twice in a row, for rules that look for repetitions.
    for time in range(1, length + 1, 2):
        token_ids[:, 1:, time] = token_ids[:, 1:, time - 1]
    log_probs = np.log(rng.dirichlet(np.ones(vocabulary_size), shape[:2])).astype("float32")
    log_probs[:, :, vocabulary_size - 1] = IMPOSSIBLE

    def apply(time: int, ids: np.ndarray, values: np.ndarray) -> np.ndarray:
        tensors = tf.constant(time), tf.constant(ids), tf.constant(values)
        return array_of(rule(*tensors))

    specs = [
        tf.TensorSpec([], tf.int32),
        tf.TensorSpec([None, num_beams, length + 1], tf.int32),
        tf.TensorSpec([None, num_beams, vocabulary_size], tf.float32),
    ]

    @tf.function(input_signature=specs, autograph=False)
    def in_graph(time: Any, ids: Any, values: Any) -> Any:
        return rule(time, ids, values)

    for time in range(length + 1):
        past = np.where(np.arange(length + 1) < time, token_ids, PAD_ID).astype("int32")
        when = f"At step {time}"
        received = rule(tf.constant(time), tf.constant(past), tf.constant(log_probs))
        require(
            tuple(received.shape) == shape and received.dtype == tf.float32,
            f"{when} the rule returns {received.dtype.name} of shape {tuple(received.shape)} "
            f"in place of float32 of shape {shape}.",
        )
        expected = array_of(received)
        require_finite(
            f"{when} the log probabilities",
            expected,
            RULE_AXES,
            "What is impossible has IMPOSSIBLE (-1e9), which is finite: minus infinity times "
            "zero is not a number.",
        )
        require(
            (expected[:, :, -1] < IMPOSSIBLE / 2).all(),
            f"{when} the rule makes a token possible that was impossible: from {IMPOSSIBLE:g} "
            f"to {expected[:, :, -1].max():g}. Another rule has forbidden it; add to log "
            "probabilities, do not replace them.",
        )
        require_equal(
            f"{when} the rule gives others in a graph",
            in_graph(tf.constant(time), tf.constant(past), tf.constant(log_probs)),
            expected,
            axes=RULE_AXES,
            atol=1e-5,
            cause="In a graph `time` is a tensor and the batch size is unknown: no Python `if` "
            "on tensors, no NumPy, no counters of its own.",
        )
        require_equal(
            f"{when} tokens from position {time} on change the log probabilities",
            apply(time, token_ids, log_probs),
            expected,
            axes=RULE_AXES,
            atol=1e-5,
            cause="`token_ids` holds the tokens chosen so far at positions below `time`; what "
            "stands behind them is padding or left over.",
        )
        order = [2, 0, 1]
        require_equal(
            f"{when} a hypothesis is treated by its place among the others",
            apply(time, past[:, order], log_probs[:, order]),
            expected[:, order],
            axes=RULE_AXES,
            atol=1e-5,
            cause="Each hypothesis is judged by its own tokens alone.",
        )
        others = past.copy()
        others[1:] = np.where(others[1:] > 0, first, 0)
        require_equal(
            f"{when} another row of the batch changes the log probabilities of row 0",
            apply(time, others, log_probs)[:1],
            expected[:1],
            axes=RULE_AXES,
            atol=1e-5,
            cause="A row is a source of its own; what differs by row has the batch first.",
        )


class _Model:
    """A recurrent step function with random weights; its bias differs from row to row."""

    def __init__(self, rows: int, vocabulary_size: int, seed: int):
        rng = np.random.default_rng(seed)
        self.embeddings = rng.normal(size=(vocabulary_size, 4)).astype("float32")
        self.recurrent = rng.normal(size=(4, 4)).astype("float32")
        self.output = 2 * rng.normal(size=(4, vocabulary_size)).astype("float32")
        self.bias = rng.normal(size=(rows, vocabulary_size)).astype("float32")

    def step(self, token: Any, state: Any) -> tuple[Any, Any]:
        hidden = tf.tanh(tf.gather(self.embeddings, token) + state["hidden"] @ self.recurrent)
        return hidden @ self.output + state["bias"], {"hidden": hidden}

    def state(self, bias: Any) -> dict[str, tf.Tensor]:
        return {"hidden": tf.zeros([tf.shape(bias)[0], 4]), "bias": tf.convert_to_tensor(bias)}

    def token_log_probs(self, token_ids: np.ndarray) -> np.ndarray:
        """Of `(rows, hypotheses, length)` each, 0 where padded."""
        parts = []
        for rank in range(token_ids.shape[1]):
            state, token = self.state(self.bias), np.full(len(token_ids), START_ID, "int32")
            for chosen in token_ids[:, rank].T:
                logits, changed = self.step(token, state)
                state, token = {**state, **changed}, chosen
                values = tf.gather(tf.nn.log_softmax(logits), chosen, batch_dims=1)
                parts.append(np.where(chosen == PAD_ID, 0, values))
        rows, ranks, length = token_ids.shape
        return np.reshape(np.stack(parts), (ranks, length, rows)).transpose(2, 0, 1)


def check_search(strategy: Strategy, *, vocabulary_size: int = 8, max_length: int = 7) -> None:
    """Checks what a strategy promises to the loop, on a small recurrent model at random.

    A hypothesis is tokens, the end token (id 3) and padding; its log probability is the sum
    of its tokens', and these are the model's; the best score comes first; no row is longer
    than its limit; in a graph of any batch size the rows do not see each other; from step to
    step it ends where the loop ends. For a strategy that ranks by something that only a model
    has (a coverage penalty, a bonus of its own) `log_probs` must stay the model's: the rest
    belongs to `scores`.

    Args:
        strategy: The strategy, with end token 3.
        vocabulary_size: int, at least 5. Defaults to 8.
        max_length: int, at least 4. Steps at most. Defaults to 7.

    Raises:
        ContractError: As `check_rule`.

    Example:

    ```python
    check_search(MySearch(num_beams=4, end_id=3))
    ```
    """
    model = _Model(3, vocabulary_size, seed=1)
    rules = [SuppressTokens([PAD_ID, START_ID]), MaxLength(max_length - 1, END_ID)]

    def search(bias: Any, limits: Any) -> Search:
        return Search(
            model.step,
            model.state(bias),
            strategy,
            max_length=max_length,
            start_id=START_ID,
            rules=rules,
            limits=limits,
        )

    spec = [tf.TensorSpec([None, vocabulary_size]), tf.TensorSpec([None], tf.int32)]

    @tf.function(input_signature=spec, autograph=False)
    def run(bias: Any, limits: Any) -> Hypotheses:
        return search(bias, limits).decode()

    free = np.full(3, max_length, "int32")
    result = Hypotheses(*map(_array, run(model.bias, free)))
    _check_hypotheses(model, result, max_length)
    # The last one to end may be another row: what has ended must stay.
    reordered = model.bias[[0, 2, 2]]
    for what, bias in (
        ("Other sources in the batch change", reordered),
        ("A batch of one differs in", model.bias[:1]),
    ):
        others = Hypotheses(*map(_array, run(bias, free[: len(bias)])))
        for name in ("token_ids", "scores", "token_log_probs"):
            require_equal(
                f"{what} the {name} of row 0",
                getattr(others, name)[:1],
                getattr(result, name)[:1],
                axes=("row", "hypothesis", "position"),
                atol=1e-4,
                cause="Rows must not see each other, and one that is done must not change "
                "while others go on.",
            )
    *_, last = search(tf.constant(model.bias), tf.constant(free)).stream()
    require_equal(
        "Run step by step the search finds other tokens",
        last.ended.token_ids,
        result.token_ids,
        axes=("row", "hypothesis", "position"),
        cause="`finish` must be free of side effects: a stream calls it after every step.",
    )
    limits = np.array([2, max_length, 3], "int32")
    limited = Hypotheses(*map(_array, run(model.bias, limits)))
    for row, limit in enumerate(limits):
        used = np.count_nonzero(limited.token_ids[row] != PAD_ID, axis=-1).max()
        require(
            used <= limit,
            f"Row {row} may have {limit} tokens and has {used}. A row is done when `time + 1` "
            "reaches its limit.",
        )


def _check_hypotheses(model: _Model, result: Hypotheses, max_length: int) -> None:
    token_ids, lengths = result.token_ids, result.lengths
    exists = result.log_probs > IMPOSSIBLE / 2
    require(exists[:, 0].all(), "A row has no hypothesis, though every token was possible.")
    require(
        token_ids.shape[2] == max_length,
        f"The token ids have {token_ids.shape[2]} positions in place of {max_length}.",
    )
    for row, rank in np.argwhere(exists):
        ids = token_ids[row, rank].tolist()
        written = ids[: lengths[row, rank]]
        rest = ids[len(written) :]
        ended = [END_ID, *[PAD_ID] * (len(rest) - 1)]
        require(
            END_ID not in written and PAD_ID not in written and rest in ([], ended),
            f"Hypothesis {rank} of row {row} is {ids} of length {len(written)}. It must be "
            "tokens, the end token, padding; the length counts what is before the end token.",
        )
    require(
        (np.diff(np.where(exists, result.scores, IMPOSSIBLE), axis=1) <= 1e-5).all(),
        f"The best score is not first: {result.scores.tolist()}. `finish` sorts them.",
    )
    axes = ("row", "hypothesis", "position")
    require_equal(
        "The log probability of a hypothesis is not the sum of its tokens'",
        np.where(exists, result.token_log_probs.sum(-1), 0),
        np.where(exists, result.log_probs, 0),
        axes=axes,
        atol=1e-4,
        cause="Both must be added to in the same steps, and follow the hypothesis when it is "
        "reordered.",
    )
    require_equal(
        "The log probability of a token is not the model's",
        np.where(exists[:, :, None], result.token_log_probs, 0),
        np.where(exists[:, :, None], model.token_log_probs(token_ids), 0),
        axes=axes,
        atol=1e-4,
        cause="A hypothesis goes on with the state of another one (`parents`), or something "
        "was added to its log probability.",
    )


def _array(tensor: Any) -> Any:
    return None if tensor is None else array_of(tensor)
