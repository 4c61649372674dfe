"""Sources that are no text: arrays in memory, `.npy` files and sound files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.errors import InputError

ARRAY_SUFFIX = ".npy"
SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".aiff", ".aif")


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
        source: An array, or a `.npy` or sound file.
        sample_rate: int. Samples a second to give, for a sound file. Defaults to `None`: a
            sound file is an error.

    Raises:
        InputError: If a file is missing or cannot be read.
    """
    if isinstance(source, Signal):
        return source.array
    if isinstance(source, np.ndarray):
        return source
    path = _existing(Path(source), sample_rate)
    if path.suffix == ARRAY_SUFFIX:
        return _open_array(path, mmap_mode=None)
    soundfile = _soundfile()
    try:
        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: cannot be read as sound ({error}).") from error
    return _resample(samples.mean(axis=1, dtype=np.float32), rate, sample_rate)


def signal_length(source: SignalSource, sample_rate: int | None = None) -> int:
    """Length of `read_signal` without reading the whole file."""
    if isinstance(source, (Signal, np.ndarray)):
        array = source.array if isinstance(source, Signal) else source
        return len(array) if array.ndim else 0
    path = _existing(Path(source), sample_rate)
    if path.suffix == ARRAY_SUFFIX:
        array = _open_array(path, mmap_mode="r")
        return len(array) if array.ndim else 0
    length, rate = sound_format(path)
    return math.ceil(length * (sample_rate or rate) / rate)


def sound_format(path: str | Path) -> tuple[int, int]:
    """Samples a channel, and samples a second, of a sound file."""
    soundfile = _soundfile()
    try:
        info = soundfile.info(str(path))
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: cannot be read as sound ({error}).") from error
    return info.frames, info.samplerate


def sample_rate_of(source: SignalSource) -> int:
    """Samples a second of a sound file; `InputError` for a source that does not say."""
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() in SOUND_SUFFIXES:
        return sound_format(source)[1]
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


def _existing(path: Path, sample_rate: int | None) -> Path:
    known = (ARRAY_SUFFIX, *(SOUND_SUFFIXES if sample_rate else ()))
    if path.suffix.lower() not in known:
        raise InputError(f"{path}: a source must be one of {', '.join(known)}.")
    if not path.is_file():
        raise InputError(f"{path}: no such file. Check the path.")
    return path


def _open_array(path: Path, mmap_mode: Any) -> np.ndarray:
    try:
        return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read as a NumPy array ({error}).") from error


def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise InputError(
            "Reading sound files needs soundfile: `pip install keras-seq2seq[audio]`."
        ) from error
    return soundfile


def _resample(samples: np.ndarray, rate: int, wanted: int | None) -> np.ndarray:
    if wanted is None or rate == wanted or not len(samples):
        return samples
    try:
        from scipy.signal import resample_poly
    except ImportError as error:
        raise InputError(
            f"A sound file of {rate} Hz where {wanted} Hz are needed: `pip install "
            "keras-seq2seq[audio]` resamples."
        ) from error
    divisor = math.gcd(rate, wanted)
    return resample_poly(samples, wanted // divisor, rate // divisor).astype(np.float32)
