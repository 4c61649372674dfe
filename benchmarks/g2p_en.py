"""Words a second of g2p_en's network: the package's NumPy code, Keras, and LiteRT.

The engines take turns, each on one thread, and their processor time is counted. Also counts the
words that each writes as the NumPy code does. Needs the package for its code and weights, and
not what it imports for numbers and dictionaries:

    pip install --no-deps g2p-en
    python -m benchmarks.g2p_en [--count N] [--seed N]
"""

import argparse
import importlib
import string
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

# Words that an engine gets in a turn.
TURN = 500

# Words -> their phonemes.
Pronounce = Callable[[Sequence[str]], list[str]]


def random_words(count: int, seed: int) -> list[str]:
    """Strings of 1 to 14 letters."""
    random = np.random.default_rng(seed)
    letters = list(string.ascii_lowercase)
    return ["".join(random.choice(letters, random.integers(1, 15))) for _ in range(count)]


def numpy_code() -> tuple[Pronounce, Path]:
    """The package's own loop, and its weights. Its dictionaries are not made."""
    # What only its dictionaries and numbers need, which may not be installed.
    names = ("nltk", "nltk.corpus", "nltk.tokenize", "inflect")
    placeholders: dict[str, Any] = {name: mock.MagicMock() for name in names}
    with mock.patch.dict(sys.modules, placeholders):
        module = importlib.import_module("g2p_en.g2p")
    network = module.G2p()
    path = Path(module.__file__ or "").with_name("checkpoint20.npz")
    return lambda words: [" ".join(network.predict(word)) for word in words], path


def engines(folder: Path) -> dict[str, Pronounce]:
    """All of them by name, the package's first."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from keras_seq2seq.converters import from_g2p_en
    from keras_seq2seq.export import export_tflite
    from keras_seq2seq.export.litert_runner import LiteRTRunner

    own, path = numpy_code()
    model = from_g2p_en(path)
    found: dict[str, Pronounce] = {
        "g2p_en, NumPy, word by word": own,
        f"Keras, {TURN} words at once": lambda words: model.generate(list(words)),
    }

    def runner(quantization: Any) -> Pronounce:
        export_tflite(model, folder / quantization, quantization=quantization)
        one = LiteRTRunner(folder / quantization)
        return lambda words: [one.generate(word)[0][0] for word in words]

    for quantization in ("float32", "int8"):
        found[f"LiteRT, {quantization}, word by word"] = runner(quantization)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    words = random_words(arguments.count, arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        pronounce = engines(Path(folder))
        seconds = dict.fromkeys(pronounce, 0.0)
        same = dict.fromkeys(pronounce, 0)
        for one in pronounce.values():  # The first call makes graphs.
            one(words[:TURN])
        for begin in range(0, len(words), TURN):
            turn = words[begin : begin + TURN]
            expected: list[str] = []
            for name, one in pronounce.items():
                start = time.process_time()
                texts = one(turn)
                seconds[name] += time.process_time() - start
                expected = expected or texts
                same[name] += sum(map(str.__eq__, texts, expected))
    for name in pronounce:
        rate = len(words) / seconds[name]
        print(f"{name}: {rate:,.0f} words a second, {same[name]:,} of {len(words):,} the same")


if __name__ == "__main__":
    main()
