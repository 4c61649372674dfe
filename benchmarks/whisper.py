"""Seconds and word errors of an exported Whisper beside CTranslate2, clip by clip in turns.

Each engine has one thread and gets each clip as soon as the other is done with it, so that what
else the machine does is shared. Needs ctranslate2, soundfile and jiwer:

    python -m benchmarks.whisper MODEL EXPORT PAIRS.tsv [--count N] [--compute int8]

MODEL is the folder of CTranslate2, EXPORT the folder of a `.tflite` of the same model, PAIRS
has a sound file, a tab and its text on each line. A clip of more than a window is cut. The
time of CTranslate2 is that of its encoder and decoder: what computes its log-mel spectrogram
is not counted; in the `.tflite` file it is.
"""

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.data.signals import read_signal
from keras_seq2seq.export.litert_runner import LiteRTRunner

RATE = 16000


class CTranslate2:
    """The other engine: sound to ids and text."""

    def __init__(self, path: Path, compute: str):
        import ctranslate2

        from keras_seq2seq.layers import WindowLogMel

        self.storage = ctranslate2.StorageView
        self.model = ctranslate2.models.Whisper(
            str(path), compute_type=compute, intra_threads=1, inter_threads=1
        )
        names = ["vocabulary.json", "vocabulary.txt"]
        (file,) = [path / name for name in names if (path / name).exists()]
        text = file.read_text("utf-8")
        self.tokens = json.loads(text) if file.suffix == ".json" else text.split("\n")
        multilingual = self.model.is_multilingual
        prompt = ["<|startoftranscript|>"]
        prompt += ["<|en|>", "<|transcribe|>"] if multilingual else []
        self.prompt = [*prompt, "<|notimestamps|>"]
        self.log_mel = WindowLogMel(self.model.n_mels)

    def __call__(self, sound: np.ndarray) -> tuple[list[str], float]:
        frames, _ = self.log_mel(sound[None], np.ones((1, len(sound)), bool))
        features = self.storage.from_array(np.ascontiguousarray(frames.numpy()[0].T[None]))
        begin = time.perf_counter()
        memory = self.model.encode(features)
        ids = [[self.tokens.index(token) for token in self.prompt]]
        found = self.model.generate(memory, ids, beam_size=1, max_length=448)
        seconds = time.perf_counter() - begin
        return [self.tokens[one] for one in found[0].sequences_ids[0]], seconds


class LiteRT:
    """Ours."""

    def __init__(self, path: Path):
        self.runner = LiteRTRunner(path)
        self.marks = self.runner.description["target"].get("unwritten", [])

    def __call__(self, sound: np.ndarray) -> tuple[list[str], float]:
        begin = time.perf_counter()
        _, outputs = self.runner.generate(sound)
        seconds = time.perf_counter() - begin
        ids = outputs["token_ids"][0, 0, : outputs["length"][0, 0]]
        kept = [one for one in ids if not any(low <= one < end for low, end in self.marks)]
        return [self.runner.target.vocabulary[one] for one in kept], seconds


def words_of(text: str) -> str:
    """Letters, digits and apostrophes in lower case."""
    return " ".join(re.sub(r"[^a-z0-9' ]", " ", text.lower()).split())


def main() -> None:
    """Prints a line of JSON."""
    import jiwer

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("export", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--count", type=int, default=None)
    parser.add_argument("--compute", default="int8")
    given = parser.parse_args()
    lines = given.pairs.read_text("utf-8").splitlines()[: given.count]
    other, own = CTranslate2(given.model, given.compute), LiteRT(given.export)
    window = own.runner.description["max_source_length"]
    join = own.runner.target.join
    for engine in (other, own):  # The first calls prepare.
        engine(np.zeros(window, np.float32))
    rows: dict[str, list[Any]] = {"text": [], "ctranslate2": [], "litert": []}
    seconds: dict[str, list[float]] = {"ctranslate2": [], "litert": []}
    equal = 0
    for number, line in enumerate(lines):
        file, text = line.split("\t")
        sound = read_signal(file, RATE)[:window]
        tokens = {}
        engines = {"ctranslate2": other, "litert": own}
        for name in sorted(engines, reverse=bool(number % 2)):
            tokens[name], spent = engines[name](sound)
            rows[name].append(words_of(join(tokens[name])))
            seconds[name].append(spent)
        rows["text"].append(words_of(text))
        equal += tokens["ctranslate2"] == tokens["litert"]
    means = {name: float(np.mean(one)) for name, one in seconds.items()}
    result = {
        "clips": len(lines),
        "equal": equal,
        **{f"{name}_seconds": round(mean, 4) for name, mean in means.items()},
        "times_as_fast": round(means["ctranslate2"] / means["litert"], 3),
        **{
            f"{name}_word_errors": round(100 * jiwer.wer(rows["text"], rows[name]), 2)
            for name in ("ctranslate2", "litert")
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
