"""Recordings of any length, window after window."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.signals import SignalSource
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.settings.declarations import without_unused

# Seconds from one mark of time to the next.
_STEP = 0.02
# A window is decoded again, at a higher temperature, where its text repeats itself or is
# improbable; and has no speech where the model says so and the text is improbable.
_MOST_REPETITION, _LEAST_LOG_PROB, _SILENCE = 2.4, -1.0, 0.6
_SILENCE_MARKS = ("<|nospeech|>", "<|nocaptions|>")
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Segment:
    """What is said from one time to another.

    Attributes:
        start: float. Seconds from the beginning of the recording.
        end: float.
        text: string.
    """

    start: float
    end: float
    text: str


@checked
def transcribe(
    model: Any,
    sound: SignalSource,
    settings: GenerationSettings | None = None,
    temperatures: Sequence[float] = TEMPERATURES,
) -> Iterator[Segment]:
    """Transcribes a recording of any length with a model of a fixed window that writes times.

    A window is decoded, and the next begins at the last mark of time that closes a segment.
    Where the text of a window repeats itself (zlib makes it less than 1 / 2.4 as long), or its
    mean log probability is below -1, it is sampled at the next temperature; where the model
    also hears no speech with more than 0.6, it is left out. A window is not told the text
    before it.

    Args:
        model: A `Seq2Seq` whose target tokenizer writes times, such as a Whisper that was
            imported with `timestamps=True`.
        sound: The recording.
        settings: `GenerationSettings` of the first attempt. Defaults to greedy search.
        temperatures: floats, one an attempt; 0 is a search. Defaults to 0, 0.2 ... 1.

    Yields:
        `Segment`, in order, those without text left out.

    Raises:
        InputError: If the model writes no times, or the recording cannot be read or is empty;
            before the first segment.

    Reference:
        [Radford et al., 2022](https://arxiv.org/abs/2212.04356), section 4.5.
    """
    preprocessor = model.preprocessor
    if not getattr(preprocessor.target_tokenizer, "writes_times", False):
        raise InputError(
            "Long recordings need a model that writes times: import it with --timestamps."
        )
    if why := preprocessor.unreadable(sound):
        raise InputError(f"The recording {why}")
    samples = preprocessor.read(sound)
    if not len(samples):
        raise InputError("The recording is empty.")
    return _segments(model, samples, settings or GenerationSettings(), temperatures)


def _segments(
    model: Any,
    samples: np.ndarray,
    settings: GenerationSettings,
    temperatures: Sequence[float],
) -> Iterator[Segment]:
    preprocessor = model.preprocessor
    tokenizer, window = preprocessor.target_tokenizer, preprocessor.max_source_length
    rate, begin = preprocessor.sample_rate, 0
    while begin < len(samples):
        piece = samples[begin : begin + window]
        ids = _decoded(model, piece, settings, temperatures)
        parts, seconds = cut(ids, tokenizer.time_ids[0], window / rate)
        for start, end, part in parts:
            written = [one for one in part if one < tokenizer.time_ids[0]]
            text = tokenizer.detokenize([written]).numpy()[0].decode("utf-8", "replace")
            if text:
                # A mark may lie in the padding.
                first, last = (min(time, len(piece) / rate) for time in (start, end))
                yield Segment(begin / rate + first, begin / rate + last, text)
        begin += round(seconds * rate)


def cut(
    ids: Sequence[int], first_mark: int, window: float
) -> tuple[list[tuple[float, float, list[int]]], float]:
    """The segments of a target: start and end in seconds, and ids; and how far the next window
    is behind the beginning of this one.

    Args:
        ids: Without what every target begins with.
        first_mark: int. The mark of 0 seconds.
        window: float. Seconds of a window.
    """

    def seconds(place: int) -> float:
        return (ids[place] - first_mark) * _STEP

    ids = list(ids)
    is_mark = [one >= first_mark for one in ids]
    marks = [place for place, mark in enumerate(is_mark) if mark]
    # Where one segment ends and the next begins.
    between = [place for place in marks if is_mark[place + 1 : place + 2] == [True]]
    closed = is_mark[-2:] == [False, True]
    if not between:
        if not ids:
            return [], window
        end = seconds(marks[-1]) if closed else window
        return [(seconds(0) if is_mark[0] else 0.0, end, ids)], window
    ends = [*between, *([len(ids) - 1] if closed else [])]
    begins = [0, *(place + 1 for place in between)]
    parts = [
        (seconds(begin), seconds(end), ids[begin : end + 1])
        for begin, end in zip(begins, ends, strict=False)
    ]
    # What begins behind the last closed segment is heard again, from its beginning on.
    return parts, window if closed else seconds(between[-1]) or window


def _decoded(
    model: Any,
    piece: np.ndarray,
    settings: GenerationSettings,
    temperatures: Sequence[float],
) -> list[int]:
    """The ids of a window, without what every target begins with; none without speech."""
    begin = len(model.preprocessor.target_tokenizer.begin_choices)
    ids: list[int] = []
    for temperature in temperatures:
        chosen = settings
        if temperature:
            drawn = {"num_beams": 1, "num_hypotheses": 1, "sample": True}
            values = {**settings.to_dict(), **drawn, "temperature": temperature}
            # Without what is of a beam search.
            chosen = GenerationSettings(**without_unused(GenerationSettings, values))
        found = model.search([piece], chosen)
        length = int(found.lengths[0, 0])
        ids = found.token_ids[0, 0, begin:length].tolist()
        log_prob = float(found.token_log_probs[0, 0, begin : length + 1].mean())
        content = model.texts(found)[0][0].encode()
        repeats = len(content) > _MOST_REPETITION * len(zlib.compress(content))
        if log_prob >= _LEAST_LOG_PROB and not repeats:
            break
        if log_prob < _LEAST_LOG_PROB and _silence(model, piece) > _SILENCE:
            return []
    return ids


def _silence(model: Any, piece: np.ndarray) -> float:
    """The probability of no speech that the model gives a window."""
    tokenizer = model.preprocessor.target_tokenizer
    marks = [one for one in _SILENCE_MARKS if one in tokenizer.get_vocabulary()]
    if not marks:
        return 0.0
    state = model.encode(model.preprocessor.encoder_inputs([piece]))
    logits, _ = model.step([model.start_id], state)
    return float(tf.nn.softmax(logits)[0, tokenizer.token_to_id(marks[0])])
