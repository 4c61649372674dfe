"""Sources that are no text: arrays in memory, and files of arrays and sound."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.data.signal_files import (
    file_shape,
    read_file,
    signal_file,
    sound_format,
)
from keras_seq2seq.errors import InputError


@dataclass(frozen=True)
class Signal:
    """An array in memory, under the name that stands for it in results and files.

    Attributes:
        name: string. Two signals of one name are the same source.
        array: Frames `(frames, ...)` or a waveform `(samples,)`.
    """

    name: str
    array: np.ndarray = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.name


# What a model of frames or of a waveform takes as one source: an array, or a file.
SignalSource = Signal | np.ndarray | str | Path


def is_signal(source: Any) -> bool:
    """Whether this is one source, not a list of them."""
    return isinstance(source, (Signal, np.ndarray, str, Path))


def signal_name(source: SignalSource) -> str:
    """What a source is called in messages."""
    return f"array {source.shape}" if isinstance(source, np.ndarray) else str(source)


def read_signal(source: SignalSource, sample_rate: int | None = None) -> np.ndarray:
    """The array of a source; a sound file as float32 in [-1, 1], one channel.

    Channels are averaged, and a file of another sample rate is resampled (a polyphase
    filter, `scipy.signal.resample_poly`).

    Args:
        source: An array, or a file in one of the forms of `signal_files`.
        sample_rate: int. Samples a second to give, for a sound file. Defaults to `None`: a
            sound file is an error.

    Raises:
        InputError: If a file is missing or cannot be read.
    """
    if isinstance(source, Signal):
        return source.array
    if isinstance(source, np.ndarray):
        return source
    return read_file(signal_file(source), sample_rate)


def signal_length(source: SignalSource, sample_rate: int | None = None) -> int:
    """Length of `read_signal` without reading the whole file; 0 for a single number."""
    return (*signal_shape(source, sample_rate), 0)[0]


def signal_shape(source: SignalSource, sample_rate: int | None = None) -> tuple[int, ...]:
    """Shape of `read_signal` without reading the whole file."""
    if isinstance(source, (Signal, np.ndarray)):
        return (source.array if isinstance(source, Signal) else source).shape
    return file_shape(signal_file(source), sample_rate)


def sample_rate_of(source: SignalSource) -> int:
    """Samples a second of a sound file; `InputError` for a source that does not say."""
    if isinstance(source, (str, Path)) and (file := signal_file(source)).says_rate:
        return sound_format(file.name)[1]
    raise InputError(
        f"{signal_name(source)}: does not say its sample rate. Give it with --sample-rate."
    )


def pad_signals(arrays: Sequence[np.ndarray], length: int = -1) -> np.ndarray:
    """Arrays `(length, ...)` -> `(arrays, longest or length, ...)`, float32, zeros behind."""
    longest = max(map(len, arrays)) if length < 0 else length
    padded = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), np.float32)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded
