"""Seconds, word errors and memory of exports of a Whisper, beside CTranslate2.

The engines take turns clip by clip, each on one thread, and their processor time is counted, so
that what else the machine does is shared. Needs jiwer, and for CTranslate2 ctranslate2:

    python -m benchmarks.whisper PAIRS.tsv EXPORT... [--ctranslate2 MODEL] [--compute int8]
        [--count N] [--rounds N] [--memory]

PAIRS has a sound file, a tab and its text on each line, EXPORT are folders of `export` of one
model, MODEL is its folder of CTranslate2. A clip of more than a window is cut. The time of
CTranslate2 is that of its encoder and decoder: what computes its log-mel spectrogram is not
counted; in an export it is. Seconds are the median of the rounds, each the mean of the clips.
"""

import argparse
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RATE, WINDOW = 16000, 480000

# A sound -> its text and the processor's seconds.
Transcribe = Callable[[np.ndarray], tuple[str, float]]


def ctranslate2_engine(path: Path, compute: str) -> Transcribe:
    """Greedy search of CTranslate2."""
    import ctranslate2

    from keras_seq2seq.converters.ctranslate2_vocabulary import read_tokens
    from keras_seq2seq.layers import WindowLogMel
    from keras_seq2seq.tokenizers.byte_level_bpe import byte_characters

    model = ctranslate2.models.Whisper(
        str(path), compute_type=compute, intra_threads=1, inter_threads=1
    )
    tokens = read_tokens(path, "vocabulary")
    names = ["<|startoftranscript|>"]
    names += ["<|en|>", "<|transcribe|>"] if model.is_multilingual else []
    prompt = [[tokens.index(name) for name in (*names, "<|notimestamps|>")]]
    log_mel = WindowLogMel(model.n_mels)
    byte_of = {character: value for value, character in enumerate(byte_characters())}

    def transcribe(sound: np.ndarray) -> tuple[str, float]:
        frames, _ = log_mel(sound[None], np.ones((1, len(sound)), bool))
        array = np.ascontiguousarray(frames.numpy()[0].T[None])
        features = ctranslate2.StorageView.from_array(array)
        begin = time.process_time()
        memory = model.encode(features)
        (found,) = model.generate(memory, prompt, beam_size=1, max_length=448)
        seconds = time.process_time() - begin
        pieces = "".join(tokens[one] for one in found.sequences_ids[0])
        text = bytes(byte_of[one] for one in pieces).decode("utf-8", "replace")
        return text.strip(" "), seconds

    return transcribe


def export_engine(path: Path) -> tuple[Transcribe, Any]:
    """An export, and how `parity` opens it."""
    from keras_seq2seq.export.engines import open_artefact

    (engine,) = open_artefact(path)

    def transcribe(sound: np.ndarray) -> tuple[str, float]:
        begin = time.process_time()
        ((texts, _),) = engine.generate([sound])
        return texts[0], time.process_time() - begin

    return transcribe, engine


def words_of(text: str) -> str:
    """Letters, digits and apostrophes in lower case."""
    return " ".join(re.sub(r"[^a-z0-9' ]", " ", text.lower()).split())


def main() -> None:
    """Prints a line of JSON for each engine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("exports", type=Path, nargs="+")
    parser.add_argument("--ctranslate2", type=Path)
    parser.add_argument("--compute", default="int8")
    parser.add_argument("--count", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--memory", action="store_true")
    given = parser.parse_args()

    import jiwer
    import tensorflow as tf

    from keras_seq2seq.data.signals import read_signal
    from keras_seq2seq.export.engines import peak_megabytes

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    lines = [
        line.split("\t") for line in given.pairs.read_text("utf-8").splitlines()[: given.count]
    ]
    sounds = [read_signal(file, RATE)[:WINDOW] for file, _ in lines]
    engines: dict[str, Transcribe] = {}
    opened: dict[str, Any] = {}
    if given.ctranslate2:
        name = f"ctranslate2 {given.compute}"
        engines[name] = ctranslate2_engine(given.ctranslate2, given.compute)
    for path in given.exports:
        engines[path.name], opened[path.name] = export_engine(path)
    texts: dict[str, list[str]] = {name: [] for name in engines}
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for transcribe in engines.values():  # The first calls prepare.
        transcribe(sounds[0])
    for number in range(given.rounds):
        spent: dict[str, list[float]] = {name: [] for name in engines}
        for clip, sound in enumerate(sounds):
            for name in sorted(engines, reverse=bool(clip % 2)):
                text, one = engines[name](sound)
                spent[name].append(one)
                if number == 0:
                    texts[name].append(text)
        for name, ones in spent.items():
            seconds[name].append(float(np.mean(ones)))
    right = [words_of(text) for _, text in lines]
    first = next(iter(engines))
    for name in engines:
        counts = jiwer.process_words(right, [words_of(text) for text in texts[name]])
        wrong = counts.substitutions + counts.deletions + counts.insertions
        words = counts.hits + counts.substitutions + counts.deletions
        median = float(np.median(seconds[name]))
        row = {
            "engine": name,
            "clips": len(lines),
            "same_text": sum(a == b for a, b in zip(texts[name], texts[first], strict=True)),
            "wrong": wrong,
            "words": words,
            "word_errors": round(100 * wrong / words, 2),
            "seconds": round(median, 4),
            "times_as_fast": round(float(np.median(seconds[first])) / median, 3),
        }
        if given.memory and name in opened:
            row["peak_megabytes"] = round(peak_megabytes(opened[name], sounds[:2]))
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
