"""Other versions of a sound or of frames, with the same target: drawn anew every epoch."""

from dataclasses import asdict, dataclass

import numpy as np

from keras_seq2seq.errors import InputError

# The weakest noise, as a share of the strongest; the exponents of its spectrum, `1 / f ** e`.
WEAKEST_NOISE, NOISE_EXPONENTS = 0.01, (0.0, 1.0)


@dataclass(frozen=True)
class Augmentation:
    """What is changed at random in the sources of training. All of it is off by default.

    Attributes:
        speed: float in [0, 1). The speed is even over `1 - speed` to `1 + speed`. Sound is
            resampled, so pitch and formants move with it (Ko et al. 2015, "Audio Augmentation
            for Speech Recognition"); frames are interpolated.
        noise: float, sound alone. The strongest noise as a share of the root mean square of
            the sound; from a hundredth of it on, each order of size as likely. Its spectrum
            is between white and pink.

    Raises:
        InputError: If a number is negative, or `speed` is not below 1.
    """

    speed: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 0 or (name == "speed" and value >= 1):
                limit = "in [0, 1)" if name == "speed" else "at least 0"
                raise InputError(f"`{name}` must be {limit}. Received: {name}={value}.")

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    def longest(self, lengths: np.ndarray) -> np.ndarray:
        """The greatest lengths that sources of these lengths can get, int."""
        return np.ceil(lengths / (1 - self.speed)).astype(np.int64)

    def frames(
        self, frames: np.ndarray, generator: np.random.Generator, max_length: int
    ) -> np.ndarray:
        """Another version of `(frames, features)`, float32, of at most `max_length` frames."""
        length = self._length(len(frames), generator, max_length)
        if length == len(frames):
            return frames
        place = np.linspace(0, len(frames) - 1, length)
        before = np.minimum(place.astype(int), max(0, len(frames) - 2))
        after = np.minimum(before + 1, len(frames) - 1)
        share = (place - before).astype(np.float32)[:, None]
        return frames[before] * (1 - share) + frames[after] * share

    def sound(
        self, waveform: np.ndarray, generator: np.random.Generator, max_length: int
    ) -> np.ndarray:
        """Another version of `(samples,)`, float32, of at most `max_length` samples."""
        length = self._length(len(waveform), generator, max_length)
        if length != len(waveform):
            spectrum = np.fft.rfft(waveform)
            # The spectrum of another length is that of the same sound at another rate.
            waveform = np.fft.irfft(spectrum, length) * (length / len(waveform))
        if self.noise:
            waveform = waveform + self._drawn_noise(waveform, generator)
        return waveform.astype(np.float32)

    def _length(self, length: int, generator: np.random.Generator, most: int) -> int:
        if not self.speed:
            return length
        speed = generator.uniform(1 - self.speed, 1 + self.speed)
        return min(max(1, round(length / speed)), max(most, length))

    def _drawn_noise(self, waveform: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        share = self.noise * WEAKEST_NOISE ** generator.uniform()
        exponent = generator.uniform(*NOISE_EXPONENTS)
        size = _quick(len(waveform))
        spectrum = np.fft.rfft(_white(size, generator))
        # The power falls by the exponent, so the amplitude by half of it.
        places = np.maximum(np.arange(len(spectrum), dtype=np.float32), 1)
        spectrum /= places ** np.float32(exponent / 2)
        noise = np.fft.irfft(spectrum, size)[: len(waveform)]
        level = np.sqrt(np.mean(waveform**2)) / max(np.sqrt(np.mean(noise**2)), 1e-9)
        return share * level * noise


def _white(count: int, generator: np.random.Generator) -> np.ndarray:
    return generator.standard_normal(count, np.float32)


def _quick(size: int) -> int:
    """A size, at least this, of small prime factors, of which a Fourier transform is quick."""
    unit = 1 << max(0, size.bit_length() - 4)
    return -(-size // unit) * unit
