"""Greedy and beam search of one source in NumPy, as the model's own loop does in the graph.

Needs numpy, nothing else: a copy of this file lies in an exported folder.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

# Log probability of what is impossible; a sum below half of it counts as that.
IMPOSSIBLE = np.float32(-1e9)

Arrays = dict[str, np.ndarray]
# `step(tokens (rows,) int32, state) -> (logits (rows, V), entries of the state that changed)`
Step = Callable[[np.ndarray, Arrays], tuple[np.ndarray, Arrays]]


def search(step: Step, state: Arrays, options: dict[str, Any]) -> Arrays:
    """The best targets of one source.

    Beam search over `num_beams` unfinished hypotheses, the ended ones in a pool of their own;
    with one beam it is greedy search. `docs/decoding.md` of keras-seq2seq has the equations.

    Args:
        step: One step of the decoder for all hypotheses.
        state: What the encoder gave, one row each.
        options: `search` of `signatures.json`.

    Returns:
        `token_ids` and `token_log_probs` `(1, hypotheses, max_length + 1)`; `log_probs`,
        `scores` and `length` `(1, hypotheses)`. Log probabilities are below -5e8 where there
        are fewer hypotheses.

    Raises:
        ValueError: If the model gives what is not a number.
    """
    num_beams, end = options["num_beams"], options["end"]
    limit = options["max_length"] + 1
    score = _score(options) if num_beams > 1 else lambda log_probs, length: log_probs
    enough = options["patience"] * num_beams if num_beams > 1 else 1
    state = {name: np.repeat(entry, num_beams, 0) for name, entry in state.items()}
    token_ids = np.zeros((num_beams, limit), np.int32)
    token_log_probs = np.zeros((num_beams, limit), np.float32)
    # One live hypothesis, the empty one: the other beams must not repeat it.
    totals = np.full(num_beams, IMPOSSIBLE)
    totals[0] = 0
    nothing = np.full(num_beams, IMPOSSIBLE)
    pool = [token_ids, token_log_probs, np.zeros(num_beams, np.int32), nothing, nothing]
    tokens = np.full(num_beams, options["start"], np.int32)
    num_ended = 0
    for time in range(limit):
        logits, changed = step(tokens, state)
        log_probs = _rules(time, token_ids, _log_softmax(logits), options)
        size = log_probs.shape[1]
        order = _top((totals[:, None] + log_probs).ravel(), num_beams * min(2, size))
        parents, chosen = np.divmod(order, size)
        last = log_probs.ravel()[order]
        candidates = totals[parents] + last
        ends = chosen == end
        extended = []
        for track, value in ((token_ids, chosen), (token_log_probs, last)):
            longer = track[parents]
            longer[:, time] = value
            extended.append(longer)

        first = slice(num_beams)
        enters = (ends | (time + 1 >= limit))[first] & (candidates[first] > IMPOSSIBLE / 2)
        ended = np.where(enters, candidates[first], IMPOSSIBLE)
        scores = np.where(enters, score(candidates[first], time + 1), IMPOSSIBLE)
        lengths = time + 1 - ends[first].astype(np.int32)
        blank = [np.where(enters[:, None], one[first], 0) for one in extended]
        new = [*blank, np.where(enters, lengths, 0), ended, scores]
        kept = _top(np.concatenate([pool[-1], scores]), num_beams)
        pool = [
            np.concatenate(both)[kept].astype(both[0].dtype)
            for both in zip(pool, new, strict=True)
        ]
        num_ended += int(enters.sum())

        # The candidates come in order of merit, and the ended ones sink.
        live = _top(np.where(ends, 2 * IMPOSSIBLE, candidates), num_beams)
        token_ids, token_log_probs = (one[live] for one in extended)
        totals = np.maximum(np.where(ends, IMPOSSIBLE, candidates)[live], IMPOSSIBLE)
        tokens = chosen[live].astype(np.int32)
        # What did not change is the same for all.
        state |= {name: entry[parents[live]] for name, entry in changed.items()}
        best = totals.max()
        hopeless = score(best, _best_length(options, time + 1, limit)) <= pool[-1][-1]
        if best <= IMPOSSIBLE / 2 or hopeless or num_ended >= enough:
            break
    names = ("token_ids", "token_log_probs", "length", "log_probs", "scores")
    count = options["num_hypotheses"]
    return {name: part[None, :count] for name, part in zip(names, pool, strict=True)}


def _top(values: np.ndarray, count: int) -> np.ndarray:
    """Indices of the highest values, the highest first, of equal ones the first."""
    least = np.partition(values, -count)[-count]
    places = np.flatnonzero(values >= least)
    return places[np.argsort(-values[places], kind="stable")][:count]


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float32)
    if np.isnan(logits[:, 0]).any():
        raise ValueError("there is no target: the model gives what is not a number")
    largest = logits.max(1, keepdims=True)
    return logits - (largest + np.log(np.exp(logits - largest).sum(1, keepdims=True)))


def _rules(
    time: int, token_ids: np.ndarray, log_probs: np.ndarray, options: dict[str, Any]
) -> np.ndarray:
    """The log probabilities of what may come."""
    prefix, end = options["prefix"], options["end"]
    if time < len(prefix):
        # One id, or several of which the most probable alone may come.
        choice = np.atleast_1d(prefix[time])
        best = log_probs[:, choice].max(1, keepdims=True)
        forced = np.full_like(log_probs, IMPOSSIBLE)
        forced[:, choice] = np.where(log_probs[:, choice] < best, IMPOSSIBLE, best)
        return forced
    log_probs = log_probs.copy()
    if time == len(prefix):
        log_probs[:, options.get("never_first", [])] += IMPOSSIBLE
    for token, bias in options["biases"]:
        log_probs[:, token] += np.float32(bias)
    past = token_ids[:, :time]
    penalty, size = np.float32(options["repetition_penalty"]), options["no_repeat_ngram_size"]
    if penalty != 1:
        for row, tokens in zip(log_probs, past, strict=True):
            seen = np.unique(tokens)
            positive = row[seen] > 0
            row[seen] = np.where(positive, row[seen] / penalty, row[seen] * penalty)
    log_probs[:, options["suppressed"]] += IMPOSSIBLE
    if size:
        for row, tokens in zip(log_probs, past.tolist(), strict=True):
            latest = tokens[time - size + 1 :] if size > 1 else []
            for begin in range(time - size + 1):
                if tokens[begin : begin + size - 1] == latest:
                    row[tokens[begin + size - 1]] = IMPOSSIBLE
    if time < options["min_length"]:
        log_probs[:, end] += IMPOSSIBLE
    if time >= options["max_length"]:
        others = np.arange(log_probs.shape[1]) != end
        log_probs[:, others] += IMPOSSIBLE
    return log_probs


def _score(options: dict[str, Any]) -> Callable[[Any, int], Any]:
    """What hypotheses of a length, the end token included, are ordered by."""
    strength = np.float32(options["length_penalty"])
    rules = {
        "power": lambda log_probs, length: log_probs / np.float32(length) ** strength,
        "gnmt": lambda log_probs, length: log_probs / np.float32((5 + length) / 6) ** strength,
        "reward": lambda log_probs, length: log_probs + strength * np.float32(length),
    }
    return rules[options["length_rule"]]


def _best_length(options: dict[str, Any], length: int, limit: int) -> int:
    """The length at which an unfinished hypothesis would score highest."""
    shorter = options["length_rule"] == "reward" and options["length_penalty"] <= 0
    return length + 1 if shorter else limit
