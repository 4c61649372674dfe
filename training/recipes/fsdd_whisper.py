"""Strings of spoken digits by a speaker who was never heard: a trained Whisper, trained on.

Data: the strings of the recipe `fsdd`, at 16 kHz. The model that it goes on from is a Whisper,
imported with a window of 8 seconds, the longest that a string can be; `--from` names it, where
it is not `runs/whisper`:

```
keras-seq2seq import whisper-tiny.en-ct2 --window-seconds 8 --max-target-length 32 \\
    --run-dir runs/whisper
keras-seq2seq train --recipe fsdd_whisper --data recordings.tar.gz --run-dir runs/digits
keras-seq2seq evaluate runs/digits
```
"""

from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from keras_seq2seq.data import Pairs, Signal, Splits

from ..settings import TrainingConfig
from . import fsdd

SAMPLE_RATE = 16000
# To train on, 100 steps: so much is enough.
STRINGS = 800

DATA = fsdd.DATA

CONFIG = TrainingConfig(
    base="runs/whisper",
    epochs=1,
    batch_size=8,
    num_buckets=1,
    warmup_steps=20,
    evaluate_steps=50,
    monitor="token_error_rate",
    validation_decoded=100,
    token_name="digit",
    sequence_name="string",
)


def load(data: Path) -> Splits:
    """The strings of `fsdd`, the first of those to train on, resampled."""
    splits = fsdd.load(data)
    return Splits(
        _resampled(splits.train, STRINGS),
        _resampled(splits.validation),
        _resampled(splits.test),
    )


def _resampled(pairs: Pairs, count: int | None = None) -> Pairs:
    sources = [Signal(one.name, resampled(one.array)) for one in pairs.sources[:count]]
    return Pairs(sources, pairs.targets[:count])


def resampled(samples: np.ndarray) -> np.ndarray:
    """Samples of `fsdd`, int16, at 16 kHz: float32 in [-1, 1]."""
    sound = samples.astype(np.float32) / 2**15
    return resample_poly(sound, SAMPLE_RATE, fsdd.SAMPLE_RATE)
