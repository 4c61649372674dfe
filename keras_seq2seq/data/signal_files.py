"""Files of signals, each named by one string:

```
features/a.npy         an array
clips/a.flac           sound, in any form that soundfile reads
clips/a.wav#t=1.5,3    seconds 1.5 to 3 of it (as of W3C Media Fragments)
feats.ark:1234         the entry of an archive of Kaldi's that begins at this byte
```
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.data.disk import is_file, read_array, require_file
from keras_seq2seq.errors import InputError

ARRAY_SUFFIX = ".npy"
SOUND_SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".aiff", ".aif", ".mp3", ".opus", ".oga", ".sph", ".nist"),
    *(".au", ".snd", ".caf", ".w64", ".rf64", ".aifc", ".voc"),
)

# libsndfile says so where a file does not tell its length.
UNKNOWN_LENGTH = 2**62
_BLOCK = 65536
_SEEK_FAILED = 39

_SEGMENT = re.compile(r"(.+)#t=([0-9.]+)(?:,([0-9.]+))?", re.DOTALL)
_ENTRY = re.compile(r"(.+\.ark):([0-9]+)", re.DOTALL)


@dataclass(frozen=True)
class SignalFile:
    """What a name stands for.

    Attributes:
        path: The file.
        begin: float. Seconds of sound before the segment.
        end: float. Where it ends; `None` for the end of the file.
        entry: Whether it is an entry of an archive.
        name: The name.
    """

    path: Path
    name: str
    begin: float = 0.0
    end: float | None = None
    entry: bool = False

    @property
    def is_array(self) -> bool:
        return self.path.suffix.lower() == ARRAY_SUFFIX

    @property
    def says_rate(self) -> bool:
        """Whether it is sound that tells its samples a second."""
        is_sound = self.path.suffix.lower() in SOUND_SUFFIXES
        return is_sound or (self.entry and _read_entry(self)[0] is not None)


def signal_file(name: str | Path) -> SignalFile:
    """Reads a name. A file of just that name comes first."""
    text = str(name)
    if is_file(text):
        return SignalFile(Path(text), text)
    if match := _ENTRY.fullmatch(text):
        return SignalFile(Path(match[1]), text, entry=True)
    if match := _SEGMENT.fullmatch(text):
        try:
            return SignalFile(
                Path(match[1]), text, float(match[2]), float(match[3]) if match[3] else None
            )
        except ValueError:
            pass  # "1.2.3" is no time: a name like any other.
    return SignalFile(Path(text), text)


def segment_name(path: str, begin: float, end: float | None) -> str:
    """`"a.wav"`, 1.5 and 3 -> `"a.wav#t=1.5,3"`."""
    times = [f"{time:.6f}".rstrip("0").rstrip(".") for time in (begin, end) if time is not None]
    return f"{path}#t={','.join(times)}"


def read_file(file: SignalFile, sample_rate: int | None) -> np.ndarray:
    """The array of a file; sound as float32 in [-1, 1], one channel, at `sample_rate`.

    Raises:
        InputError: If it is missing, is no signal, or cannot be read.
    """
    if file.entry:
        rate, array = _read_entry(file)
        return array if rate is None else _resample(array, rate, sample_rate)
    if _known(file, sample_rate).is_array:
        return _open_array(file.path, None)
    return _resample(*_read_sound(file), sample_rate)


def file_shape(file: SignalFile, sample_rate: int | None) -> tuple[int, ...]:
    """Shape of `read_file`, without reading the whole where the file tells it."""
    if file.entry:
        return read_file(file, sample_rate).shape
    if _known(file, sample_rate).is_array:
        return _open_array(file.path, "r").shape
    length, rate = sound_format(file.name)
    return (math.ceil(length * (sample_rate or rate) / rate),)


def sound_format(path: str | Path) -> tuple[int, int]:
    """Samples a channel, and samples a second, of a sound file or a segment of one."""
    file = signal_file(path)
    if file.entry:
        rate, array = _read_entry(file)
        return len(array), rate or 1
    with _Opened(file.path) as opened:
        frames, rate = opened.frames, opened.samplerate
    if frames > UNKNOWN_LENGTH:
        frames = len(_read_sound(SignalFile(file.path, file.name))[0])
    begin, end = _frames_of(file, rate, frames)
    return end - begin, rate


def _known(file: SignalFile, sample_rate: int | None) -> SignalFile:
    known = (ARRAY_SUFFIX, *(SOUND_SUFFIXES if sample_rate else ()))
    if file.path.suffix.lower() not in known:
        raise InputError(f"{file.path}: a source must be one of {', '.join(known)}.")
    require_file(file.path)
    return file


def _open_array(path: Path, mmap_mode: Any) -> np.ndarray:
    array = read_array(path, mmap_mode)
    if array.dtype.kind not in "buif":
        raise InputError(
            f"{path}: expected an array of numbers; it holds an array of {array.dtype}."
        )
    return array


class _Opened:
    """An open `soundfile.SoundFile`; every failure inside is an `InputError`."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> Any:
        try:
            import soundfile
        except (ImportError, OSError) as error:
            raise InputError(
                "Reading sound files needs soundfile: `pip install keras-seq2seq[audio]`."
            ) from error
        try:
            self.file = soundfile.SoundFile(str(self.path))
        except Exception as error:  # Damaged files fail in many ways.
            raise self._unreadable(error) from error
        return self.file

    def __exit__(self, kind: Any, error: Exception | None, trace: Any) -> None:
        self.file.close()
        if isinstance(error, Exception) and not isinstance(error, InputError):
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> InputError:
        return InputError(f"{self.path}: cannot be read as sound ({error}).")


def _read_sound(file: SignalFile) -> tuple[np.ndarray, int]:
    """Samples, one channel, and samples a second."""
    with _Opened(file.path) as opened:
        rate = opened.samplerate
        if opened.frames > UNKNOWN_LENGTH:
            samples = _read_to_the_end(opened)
            begin, end = _frames_of(file, rate, len(samples))
            samples = samples[begin:end]
        else:
            begin, end = _frames_of(file, rate, opened.frames)
            if begin:
                opened.seek(begin)
            samples = opened.read(end - begin, dtype="float32", always_2d=True)
    return samples.mean(axis=1, dtype=np.float32), rate


def _read_to_the_end(opened: Any) -> np.ndarray:
    """The samples of a file that does not tell how many they are."""
    parts = []
    while True:
        # What libsndfile reads last it writes here, and fails to go where the file ends.
        block = np.full((_BLOCK, opened.channels), np.nan, np.float32)
        try:
            count = len(opened.read(out=block))
        except RuntimeError as error:
            if getattr(error, "code", None) != _SEEK_FAILED:
                raise
            parts.append(block[: int(np.isfinite(block[:, 0]).sum())])
            return np.concatenate(parts)
        parts.append(block[:count])
        if not count:
            return np.concatenate(parts)


def _frames_of(file: SignalFile, rate: int, frames: int) -> tuple[int, int]:
    """First and last sample of a segment; of a whole file 0 and all."""
    begin = min(round(file.begin * rate), frames)
    end = frames if file.end is None else min(round(file.end * rate), frames)
    return begin, max(begin, end)


def _read_entry(file: SignalFile) -> tuple[int | None, np.ndarray]:
    """Samples a second, if it is sound, and the array of an entry of an archive."""
    require_file(file.path)
    try:
        import kaldiio
    except ImportError as error:
        raise InputError(
            "Reading archives of Kaldi's needs kaldiio: `pip install keras-seq2seq[kaldi]`."
        ) from error
    try:
        entry = kaldiio.load_mat(file.name)
    except Exception as error:  # Damaged archives fail in many ways.
        raise InputError(f"{file.name}: cannot be read as an archive ({error}).") from error
    if not isinstance(entry, tuple):
        return None, np.asarray(entry)
    rate, samples = entry
    if samples.dtype.kind == "i":
        samples = samples / np.float32(np.iinfo(samples.dtype).max + 1)
    samples = samples if samples.ndim == 1 else samples.mean(axis=-1)
    return int(rate), samples.astype(np.float32)


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
