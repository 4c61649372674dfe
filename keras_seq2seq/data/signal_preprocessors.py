"""Frames and waveforms as sources, strings as targets."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.augmentation import Augmentation
from keras_seq2seq.data.preprocessor import (
    Preprocessor,
    SourceIndex,
    check_tokenizer_class,
    longest_of,
)
from keras_seq2seq.data.readers import check_equal_length
from keras_seq2seq.data.signals import (
    SignalSource,
    is_signal,
    pad_signals,
    read_signal,
    signal_length,
    signal_name,
    signal_shape,
)
from keras_seq2seq.data.text import check_texts
from keras_seq2seq.errors import InputError
from keras_seq2seq.tokenizers import TableTokenizer


class SignalPreprocessor(Preprocessor):
    """Base of `FramePreprocessor` and `WaveformPreprocessor`.

    A source is an array, a `Signal` or the path of a file, which is read when its batch is
    made: a data set of files need not fit in memory.
    """

    key: str
    feature_dim: int | None = None
    sample_rate: int | None = None

    def read(self, source: SignalSource) -> np.ndarray:
        """The array of one source, as the model takes it, float32.

        Raises:
            InputError: If it cannot be read, has the wrong shape or a value that is no
                finite number.
        """
        array = read_signal(source, self.sample_rate)
        self.check_shape(array.shape, source)
        array = self.scaled(array)
        if array.dtype.kind not in "biuf":
            raise InputError(
                f"{signal_name(source)}: holds {array.dtype}, not numbers. Give float32."
            )
        array = np.asarray(array, np.float32)
        if not np.isfinite(array).all():
            raise InputError(f"{signal_name(source)}: holds NaN or infinity.")
        return array

    @abstractmethod
    def check_shape(self, shape: tuple[int, ...], source: SignalSource) -> None:
        """Raises `InputError` for the shape of an array that is none of this kind."""

    @abstractmethod
    def scaled(self, array: np.ndarray) -> np.ndarray:
        """An array of the right shape with its features in one axis; whole numbers scaled."""

    def is_one(self, sources: Any) -> bool:
        return is_signal(sources)

    def unreadable(self, source: Any) -> str:
        if not is_signal(source):
            return (
                "must be an array, a `Signal` or the path of a file. Received: "
                f"{type(source).__name__} {source!r:.40}."
            )
        try:
            self._length_of(source)
        except InputError as error:
            return f"cannot be used: {error}"
        return ""

    def describe_source(self, source: SignalSource) -> str:
        return signal_name(source)

    def source_lengths(self, sources: Sequence[SignalSource]) -> np.ndarray:
        return np.array([*map(self._length_of, sources)], np.int64)

    def _length_of(self, source: SignalSource) -> int:
        """Also finds out, before the source is read, whether its frames fit."""
        shape = signal_shape(source, self.sample_rate)
        if 0 in shape[:1]:
            return 0
        self.check_shape(shape, source)
        return shape[0]

    def encoder_inputs(self, sources: Sequence[SignalSource]) -> dict[str, tf.Tensor]:
        """Sources -> padded float32 and `encoder_lengths` `(batch,)`, int32."""
        arrays = [self.read(source) for source in sources]
        lengths = np.array([len(array) for array in arrays], np.int32)
        return {
            self.key: tf.constant(pad_signals(arrays)),
            "encoder_lengths": tf.constant(lengths),
        }

    def index_sources(
        self,
        sources: Sequence[SignalSource],
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> SourceIndex:
        lengths = self.source_lengths(sources)
        if augmentation:
            self.check_augmentation(augmentation)
            longest = augmentation.longest(lengths)
            # Nothing is cut: a source that is longer than the model takes was refused before.
            lengths = np.minimum(longest, np.maximum(lengths, self.max_source_length))

        def version(row: int, epoch: int) -> np.ndarray:
            array = self.read(sources[row])
            if not augmentation:
                return array
            generator = np.random.default_rng([seed, epoch, row])
            return self.augmented(array, augmentation, generator)

        def load(rows: np.ndarray, length: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
            arrays = [version(int(row), int(epoch)) for row in rows]
            return pad_signals(arrays, int(length)), np.array([*map(len, arrays)], np.int32)

        def batch(rows: tf.Tensor, length: Any, epoch: Any) -> dict[str, tf.Tensor]:
            types = [tf.float32, tf.int32]
            padded, own = tf.numpy_function(load, [rows, length, epoch], types)
            features = () if self.feature_dim is None else (self.feature_dim,)
            padded.set_shape((rows.shape[0], None, *features))
            own.set_shape((rows.shape[0],))
            return {self.key: padded, "encoder_lengths": own}

        return SourceIndex(lengths, batch)

    def check_augmentation(self, augmentation: Augmentation) -> None:
        """Raises `InputError` for an augmentation that sources of this kind cannot have."""

    @abstractmethod
    def augmented(
        self, array: np.ndarray, augmentation: Augmentation, generator: np.random.Generator
    ) -> np.ndarray:
        """Another version of the array of a source."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SignalPreprocessor":
        tokenizer = keras.saving.deserialize_keras_object(config["target_tokenizer"])
        return cls(**{**config, "target_tokenizer": tokenizer})

    def get_config(self) -> dict[str, Any]:
        return {
            "target_tokenizer": keras.saving.serialize_keras_object(self.target_tokenizer),
            "max_source_length": self.max_source_length,
            "max_target_length": self.max_target_length,
        }


@keras.saving.register_keras_serializable("keras_seq2seq")
class FramePreprocessor(SignalPreprocessor):
    """Frames of features or pictures, and target strings.

    ```
    source             (3, 13)                     3 frames of 13 features
    encoder_features   (batch, frames, 13)         float32, zeros behind the source
    encoder_lengths    (batch,)                    3
    ```

    Frames of pictures `(frames, height, width, channels)` are flattened to `(frames,
    height * width * channels)`; `feature_shape` remembers. Those of uint8 are scaled to
    [0, 1].

    Args:
        target_tokenizer: Such as `CharacterTokenizer`.
        feature_shape: int, or tuple of ints: shape of a frame.
        max_source_length: int. Frames at most. A longer source is an error, never cut.
        max_target_length: int. Target tokens at most, without the end token.

    Raises:
        InputError: If a length or size is below 1.
    """

    kind = "features"
    unit = "frames"
    key = "encoder_features"

    @checked
    def __init__(
        self,
        target_tokenizer: TableTokenizer,
        feature_shape: int | Sequence[int],
        max_source_length: int,
        max_target_length: int,
    ):
        super().__init__(target_tokenizer, max_source_length, max_target_length)
        shape = (feature_shape,) if isinstance(feature_shape, int) else tuple(feature_shape)
        if not shape or min(shape) < 1:
            raise InputError(f"`feature_shape` must hold sizes above 0. Received: {shape}.")
        self.feature_shape = shape
        self.feature_dim: int = math.prod(shape)

    @classmethod
    @checked
    def from_pairs(
        cls,
        sources: Sequence[SignalSource],
        targets: Sequence[str],
        # A class, or what makes a tokenizer of lines as a class does.
        target_tokenizer: Any,
        *,
        max_source_length: int | None = None,
        max_target_length: int | None = None,
        min_count: int = 1,
    ) -> "FramePreprocessor":
        """Takes the shape of a frame, the target vocabulary and the maxima from the data.

        Args: as of `TextPreprocessor.from_pairs`.
        """
        check_equal_length(sources, targets)
        shapes = [signal_shape(source) for source in sources]
        shape = shapes[0][1:]
        if not shape:
            raise InputError(
                f"{signal_name(sources[0])}: expected frames `(frames, features)`; received "
                "one axis. Is it a waveform?"
            )
        for source, other in zip(sources, shapes, strict=True):
            if other[1:] != shape:
                raise InputError(
                    f"{signal_name(source)}: its frames have the shape {other[1:]}; those of "
                    f"the first source, {signal_name(sources[0])}, have {shape}."
                )
        check_texts("Target", targets)
        check_tokenizer_class("target", target_tokenizer)
        target = target_tokenizer.from_lines(
            targets, min_count=min_count, name="target_vocabulary"
        )
        return cls(
            target,
            shape,
            max(length for length, *_ in shapes)
            if max_source_length is None
            else max_source_length,
            longest_of(target, targets) if max_target_length is None else max_target_length,
        )

    @property
    def source_size(self) -> tuple[str, int]:
        return "feature_dim", self.feature_dim

    def check_shape(self, shape: tuple[int, ...], source: SignalSource) -> None:
        if shape[1:] not in (self.feature_shape, (self.feature_dim,)):
            raise InputError(
                f"{signal_name(source)}: its frames have the shape {shape[1:]}; this "
                f"model takes {self.feature_shape}."
            )

    def scaled(self, array: np.ndarray) -> np.ndarray:
        array = array.reshape(len(array), self.feature_dim)
        return array / np.float32(255) if array.dtype == np.uint8 else array

    def check_augmentation(self, augmentation: Augmentation) -> None:
        if augmentation != Augmentation(speed=augmentation.speed):
            raise InputError(
                "Noise is for sound, of frames the speed alone is changed. Received: "
                f"{augmentation}."
            )

    def augmented(
        self, array: np.ndarray, augmentation: Augmentation, generator: np.random.Generator
    ) -> np.ndarray:
        return augmentation.frames(array, generator, self.max_source_length)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "feature_shape": self.feature_shape}


@keras.saving.register_keras_serializable("keras_seq2seq")
class WaveformPreprocessor(SignalPreprocessor):
    """Sound, and target strings.

    ```
    source             (16000,)                    two seconds at 8,000 Hz
    encoder_waveform   (batch, samples)            float32 in [-1, 1], zeros behind the source
    encoder_lengths    (batch,)                    16000
    ```

    Args:
        target_tokenizer: Such as `CharacterTokenizer`.
        sample_rate: int. Samples a second. Files of another rate are resampled; arrays must
            have it.
        max_source_length: int. Samples at most. A longer source is an error, never cut.
        max_target_length: int. Target tokens at most, without the end token.
        window: int. Samples that the model makes every source as long as, as `WindowLogMel`
            does. Defaults to 0: each has its own length.

    Raises:
        InputError: If a length or the rate is below 1.
    """

    kind = "waveform"
    unit = "samples"
    key = "encoder_waveform"

    @checked
    def __init__(
        self,
        target_tokenizer: TableTokenizer,
        sample_rate: int,
        max_source_length: int,
        max_target_length: int,
        window: int = 0,
    ):
        super().__init__(target_tokenizer, max_source_length, max_target_length)
        if sample_rate < 1:
            raise InputError(
                f"`sample_rate` must be at least 1. Received: sample_rate={sample_rate}."
            )
        self.sample_rate: int = int(sample_rate)
        self.window = window

    @classmethod
    @checked
    def from_pairs(
        cls,
        sources: Sequence[SignalSource],
        targets: Sequence[str],
        # A class, or what makes a tokenizer of lines as a class does.
        target_tokenizer: Any,
        *,
        sample_rate: int,
        max_source_length: int | None = None,
        max_target_length: int | None = None,
        min_count: int = 1,
    ) -> "WaveformPreprocessor":
        """Takes the target vocabulary and the maxima from the data.

        Args: `sample_rate` as of the class, the others as of `TextPreprocessor.from_pairs`.
        """
        check_equal_length(sources, targets)
        check_texts("Target", targets)
        check_tokenizer_class("target", target_tokenizer)
        target = target_tokenizer.from_lines(
            targets, min_count=min_count, name="target_vocabulary"
        )
        return cls(
            target,
            sample_rate,
            max(signal_length(s, sample_rate) for s in sources)
            if max_source_length is None
            else max_source_length,
            longest_of(target, targets) if max_target_length is None else max_target_length,
        )

    @property
    def source_size(self) -> tuple[str, int]:
        return "sample_rate", self.sample_rate

    def augmented(
        self, array: np.ndarray, augmentation: Augmentation, generator: np.random.Generator
    ) -> np.ndarray:
        return augmentation.sound(array, generator, self.max_source_length)

    def check_shape(self, shape: tuple[int, ...], source: SignalSource) -> None:
        if len(shape) != 1:
            raise InputError(
                f"{signal_name(source)}: expected a waveform `(samples,)`; received the shape "
                f"{shape}."
            )

    def scaled(self, array: np.ndarray) -> np.ndarray:
        if array.dtype.kind == "i":
            # Integer samples, as of `scipy.io.wavfile`.
            return array / np.float32(np.iinfo(array.dtype).max + 1)
        return array

    def get_config(self) -> dict[str, Any]:
        window = {"window": self.window} if self.window else {}
        return {**super().get_config(), "sample_rate": self.sample_rate, **window}
