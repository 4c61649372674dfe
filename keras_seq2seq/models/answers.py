"""Answers source by source: targets in order as they come, or why there is none."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Any

from keras_seq2seq.decoding import Hypotheses
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings

# Sources of the first window; each that follows is sixteen times as large, up to the greatest.
FIRST_WINDOW, GROWTH = 8, 16

# Hypotheses that are decoded together at most, where no batch size is given.
MOST_TOGETHER = 1024

NOT_A_NUMBER = (
    "a log probability is not a number (NaN); the weights have diverged, or numbers are too "
    "large for float16"
)


@dataclass(frozen=True)
class Answer:
    """What a model gives for one source.

    Attributes:
        texts: Target texts, the best first; empty if there is an `error`.
        log_probs: `log P(target | source)` of each.
        error: Why there is none, or an empty string.
        hypotheses: The same as NumPy arrays without the axis of the batch: `token_ids`
            `(hypotheses, max_length)` and so on; `None` if there is an `error`.
    """

    texts: list[str]
    log_probs: list[float]
    error: str = ""
    hypotheses: Hypotheses | None = None


def why_none(log_prob: float) -> str:
    """Why a best hypothesis of this log probability is none, or an empty string."""
    if math.isnan(log_prob):
        return NOT_A_NUMBER
    return "" if log_prob > -5e8 else "the rules leave no target that ends"


def answers_of(
    model: Any,
    sources: Iterator[Any],
    settings: GenerationSettings,
    prefixes: str | Iterable[str] | None,
    window: int,
    batch_size: int | None,
    jit_compile: bool,
) -> Iterator[Answer]:
    """`TextGeneration.answers`, its arguments checked."""
    batch_size = batch_size or rows_together(settings)
    every: Iterator[str] | None = None
    if prefixes is not None:
        every = repeat(prefixes) if isinstance(prefixes, str) else iter(prefixes)
    begin = 0
    for rows in windows_of(sources, window):
        heads = None if every is None else list(islice(every, len(rows)))
        if heads is not None and len(heads) < len(rows):
            raise InputError(
                "There must be one prefix a source, empty for none. Received: "
                f"{begin + len(heads)} prefixes, at least {begin + len(rows)} sources."
            )
        yield from _answer_window(model, rows, settings, heads, batch_size, jit_compile)
        begin += len(rows)


def rows_together(settings: GenerationSettings) -> int:
    """Sources that are decoded together at most, where nobody says how many."""
    together = settings.num_hypotheses if settings.sample else settings.num_beams
    return max(16, MOST_TOGETHER // together)


def windows_of(sources: Iterator[Any], window: int) -> Iterator[list[Any]]:
    """The sources in lists, as they are read ahead: the first ones short, so that an answer is
    there soon, the others of `window`."""
    size = min(FIRST_WINDOW, window)
    while rows := list(islice(sources, size)):
        yield rows
        size = min(GROWTH * size, window)


def _answer_window(
    model: Any,
    sources: list[Any],
    settings: GenerationSettings,
    prefixes: list[str] | None,
    batch_size: int,
    jit_compile: bool,
) -> list[Answer]:
    lengths, problems = model.source_problems(sources, settings, prefixes)

    def decode(fits: list[int]) -> Hypotheses:
        own = [sources[i] for i in fits]
        heads = None if prefixes is None else [prefixes[i] for i in fits]
        return model._decode(own, lengths[fits], settings, heads, batch_size, jit_compile)

    fits = [index for index in range(len(sources)) if index not in problems]
    try:
        found = decode(fits) if fits else None
    except InputError:
        # Numbers of a signal that were not read before.
        problems |= _unreadable(model.preprocessor, sources, fits)
        fits = [index for index in fits if index not in problems]
        found = decode(fits) if fits else None
    answers = [Answer([], [], f"the source {problems.get(i)}") for i in range(len(sources))]
    if found is not None:
        copied = [sources[i] for i in fits] if settings.replace_unknown else None
        texts = model.texts(found, copied)
        log_probs = found.log_probs.tolist()
        for row, index in enumerate(fits):
            answers[index] = _answer(found, texts[row], log_probs[row], row)
    return answers


def _unreadable(preprocessor: Any, sources: list[Any], rows: list[int]) -> dict[int, str]:
    """Of each of these rows that cannot be read, why; at least of one."""
    problems = {}
    for index in rows:
        try:
            preprocessor.encoder_inputs([sources[index]])
        except InputError as error:
            problems[index] = f"cannot be used: {error}"
    if not problems:
        raise
    return problems


def _answer(found: Hypotheses, texts: list[str], log_probs: list[float], row: int) -> Answer:
    if error := why_none(log_probs[0]):
        return Answer([], [], f"there is no target: {error}")
    log_probs = [one for one in log_probs if one > -5e8]
    count = len(log_probs)
    own = Hypotheses(*(None if array is None else array[row, :count] for array in found))
    return Answer(texts[:count], log_probs, "", own)
