"""What the first step on JAX costs, and the steps after it.

    python benchmarks/first_step_on_jax.py transformer_tiny
    KERAS_BACKEND=tensorflow python benchmarks/first_step_on_jax.py rnn_tiny
    PYTHONPATH=../other python benchmarks/first_step_on_jax.py rnn_tiny

Processor seconds (user and system) of a process that builds the model of a preset, its
optimizer, and trains one batch of 64 words of 3 to 11 letters (seed 0), imports not counted;
then those of a later step. What an earlier process compiled is found where JAX is told of a
folder: JAX_COMPILATION_CACHE_DIR, with JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0. With
PYTHONPATH the package of another checkout is measured.
"""

import argparse
import json
import os
import resource
from typing import Any

import numpy as np

STEPS = 10


def processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(preset: str) -> dict[str, Any]:
    import keras
    import tensorflow as tf

    from keras_seq2seq.data import TextPreprocessor, training_data
    from keras_seq2seq.losses import SmoothedCrossentropy
    from keras_seq2seq.models import PRESETS
    from keras_seq2seq.optimizers import FusedAdam
    from keras_seq2seq.token_accuracy import TokenAccuracy
    from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer

    begin = processor()
    keras.utils.set_random_seed(1)
    random, letters = np.random.default_rng(0), list("abcdefghijklmnopqrstuvwxyz")
    words = ["".join(random.choice(letters, random.integers(3, 12))) for _ in range(64)]
    targets = [" ".join(word.upper()) for word in words]
    text = TextPreprocessor.from_pairs(words, targets, CharacterTokenizer, SymbolTokenizer)
    model = PRESETS[preset].build(text)
    built = processor()
    data = training_data(text, words, targets, batch_size=64, num_buckets=1)
    model.compile(
        FusedAdam(1e-3, clipnorm=1.0),
        SmoothedCrossentropy(0.1),
        weighted_metrics=[TokenAccuracy()],
        jit_compile=keras.backend.backend() == "jax",
    )
    model.optimizer.build(model.trainable_variables)
    model.fit(data.dataset, steps_per_epoch=1, shuffle=False, verbose=0)
    first = processor()
    batch = tf.nest.map_structure(np.asarray, next(iter(data.dataset)))
    repeated = tf.data.Dataset.from_tensors(batch).repeat()
    for _ in range(2):
        before = processor()
        model.fit(repeated, steps_per_epoch=STEPS, shuffle=False, verbose=0)
    return {
        "backend": keras.backend.backend(),
        "preset": preset,
        "build": round(built - begin, 2),
        "until the first step": round(first - begin, 2),
        "a step, ms": round(1000 * (processor() - before) / STEPS, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", choices=["transformer_tiny", "rnn_tiny"])
    os.environ.setdefault("KERAS_BACKEND", "jax")
    print(json.dumps(measure(parser.parse_args().preset)))
