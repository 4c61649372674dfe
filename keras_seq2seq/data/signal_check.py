"""A look into every signal file of a list, before anything is trained on it."""

import numpy as np

from keras_seq2seq.data.disk import why_no_file
from keras_seq2seq.data.signal_files import file_shape, read_file, signal_file, sound_format
from keras_seq2seq.errors import InputError

# Below this amplitude a recording holds nothing.
SILENCE = 1e-4
# A segment may end so many seconds behind its file: times are rounded.
ROUNDING = 0.1


class SignalCheck:
    """Called with a name of `signal_files`: why it cannot be used, as reason and detail, or
    nothing.

    Args:
        kind: `"features"` or `"waveform"`.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self.shape: tuple[int, ...] | None = None
        self.rates: dict[int, int] = {}
        # A file with several texts is looked into once.
        self.found: dict[str, tuple[str, str] | None] = {}

    def __call__(self, name: str) -> tuple[str, str] | None:
        if name not in self.found:
            try:
                self.found[name] = self._look_into(name)
            except InputError as error:
                self.found[name] = "a file that cannot be read", str(error)
        return self.found[name]

    def _look_into(self, name: str) -> tuple[str, str] | None:
        file = signal_file(name)
        if reason := why_no_file(file.path):
            known = {"no such file": "no such file", "a folder": "a folder, not a file"}
            return known.get(reason, "a file that cannot be read"), f"{name}: {reason}"
        # Sound at its own rate: nothing is resampled to be looked at.
        rate = None
        if self.kind == "waveform":
            rate = sound_format(name)[1] if file.says_rate else 1
        if file.end is not None and file.end > self._seconds(file.path, rate) + ROUNDING:
            return "a segment behind the end of its file", name
        array = read_file(file, rate)
        if not array.size:
            return "an empty file" if not file.begin else "an empty segment", name
        if not np.isfinite(array).all():
            return "NaN or infinity", name
        if self.kind == "features":
            return self._check_shape(name, array.shape[1:])
        if array.ndim != 1:
            return "not one row of samples", f"{name} {array.shape}"
        if np.abs(array).max() < SILENCE:
            return "silence", name
        if file.says_rate and rate:
            self.rates[rate] = self.rates.get(rate, 0) + 1
        return None

    @staticmethod
    def _seconds(path: object, rate: int | None) -> float:
        return (*file_shape(signal_file(str(path)), rate), 0)[0] / (rate or 1)

    def _check_shape(self, name: str, shape: tuple[int, ...]) -> tuple[str, str] | None:
        if not shape:
            return "one axis where frames have two", name
        self.shape = self.shape or shape
        if shape != self.shape:
            return "another shape than the first file", f"{name}: {shape}, not {self.shape}"
        return None

    def notes(self) -> list[str]:
        """What is done to files that are used."""
        if len(self.rates) < 2:
            return []
        listed = ", ".join(f"{count} of {rate} Hz" for rate, count in self.rates.items())
        return [f"Sample rates differ: {listed}. All are resampled to that of the model."]
