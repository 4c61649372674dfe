"""Data larger than memory: what reading, the first batch and training of many pairs cost.

    python -m benchmarks.large_data --pairs 10000 10000000 --folder large

Makes random pairs (seed 1: 1 to 8 letters, a symbol for each), then measures in a process of
its own for each row: reading them as lists, making the index, the first batch once index and
token lengths are there, and some steps of a small model, with the greatest memory of the
process. Prints a JSON object a row. The files are removed in the end.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

STEPS = 100
LETTERS = np.frombuffer(b"abcdefghijklmnop", np.uint8)


def make(path: Path, count: int) -> None:
    """Random letters, and each of them doubled in upper case as the target."""
    rng = np.random.default_rng(1)
    with open(path, "wb") as file:
        for begin in range(0, count, 100_000):
            size = min(100_000, count - begin)
            lengths = rng.integers(1, 9, size)
            letters = LETTERS[rng.integers(0, len(LETTERS), int(lengths.sum()))].tobytes()
            lines, at = [], 0
            for length in lengths.tolist():
                word = letters[at : at + length].decode()
                at += length
                lines.append(f"{word}\t{' '.join(c + c for c in word.upper())}\n")
            file.write("".join(lines).encode())


def seconds(begin: tuple[float, float]) -> dict[str, float]:
    return {
        "seconds": round(time.perf_counter() - begin[0], 2),
        "processor": round(time.process_time() - begin[1], 2),
    }


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def read(path: Path, on_disk: bool) -> dict[str, float]:
    from keras_seq2seq.data import read_records

    begin = now()
    pairs, _ = read_records(path, **({"on_disk": True} if on_disk else {}))
    return {**seconds(begin), "pairs": len(pairs)}


def train(path: Path, on_disk: bool) -> dict[str, float]:
    """The first batch, and steps of a small model."""
    import keras

    from keras_seq2seq.data import TextPreprocessor, read_records, training_data
    from keras_seq2seq.layers import LuongAttention
    from keras_seq2seq.models import RecurrentDecoder, RecurrentEncoder, Seq2Seq, TokenEmbedding
    from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer

    letters = LETTERS.tobytes().decode()
    symbols = " ".join(letter + letter for letter in letters.upper())
    kinds = CharacterTokenizer, SymbolTokenizer
    keras.utils.set_random_seed(1)
    text = TextPreprocessor.from_pairs([letters], [symbols], *kinds)
    source = TokenEmbedding(text.source_tokenizer.vocabulary_size(), 32)
    target = TokenEmbedding(text.target_tokenizer.vocabulary_size(), 32)
    model = Seq2Seq(
        RecurrentEncoder(source, 64, bidirectional=True),
        RecurrentDecoder(target, 128, attention=LuongAttention(128)),
        preprocessor=text,
    )
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
    begin = now()
    pairs, _ = read_records(path, **({"on_disk": True} if on_disk else {}))
    data = training_data(text, pairs.sources, pairs.targets, seed=1)
    next(iter(data.dataset))
    first = seconds(begin)
    model.fit(data.dataset, steps_per_epoch=STEPS, verbose=0)
    begin = now()
    model.fit(data.dataset, steps_per_epoch=3 * STEPS, verbose=0)
    fit = seconds(begin)
    return {
        "first_batch_seconds": first["seconds"],
        "first_batch_processor": first["processor"],
        "fit_seconds": fit["seconds"],
        "fit_processor": fit["processor"],
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def alone(what: str, path: Path, on_disk: bool) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.large_data", "--measure", what, str(path)]
    command += ["--on-disk"] if on_disk else []
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=quiet, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--folder", type=Path, default=Path("large_data"))
    parser.add_argument("--lists", action="store_true", help="Train on lists in memory too.")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--on-disk", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        what, path = arguments.measure
        print(json.dumps({"read": read, "train": train}[what](Path(path), arguments.on_disk)))
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for count in arguments.pairs:
        path = arguments.folder / f"{count}.tsv"
        make(path, count)
        for what, on_disk in [("read", False), ("read", True)]:
            print(count, what, "index" if on_disk else "lists", alone(what, path, on_disk))
        alone("train", path, True)  # Counts the tokens.
        print(count, "train", "index", alone("train", path, True))
        if arguments.lists:
            print(count, "train", "lists", alone("train", path, False))
    shutil.rmtree(arguments.folder)


if __name__ == "__main__":
    main()
