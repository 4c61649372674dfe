"""Spelling to pronunciation on the standard split of CMUdict 0.7b, without stress.

Data: a folder with `cmudict-0.7b.train-dev-20-21`, `.train-dev-1-21` and `.test` (`.gz`
too), lines `WORD  P H O N E S`: the split of the Microsoft CNTK grapheme-to-phoneme example
(108,952 / 5,447 / 12,855 pairs, test words not in train). CMUdict is BSD-2.

Scoring: a word with several pronunciations is right if any is generated; the phoneme error
rate counts against the nearest.

Published (phoneme / word error rate): Yao & Zweig 2015, bidirectional LSTM, 5.45 / 23.55;
Toshniwal & Livescu 2016, attention ensemble, 4.69 / 20.24.

Reached, seed 1: greedy 6.31 / 27.09, beam 5 6.23 / 26.77; about 70 minutes on one thread of a
busy machine (Intel Xeon), in which stops are not counted.
"""

from pathlib import Path
from typing import Any

from keras_seq2seq.data import Splits, read_lexicon
from keras_seq2seq.data.disk import file_or_gz

from ..settings import TrainingConfig

DATA = "FOLDER"

# Of every recipe that pronounces words.
PRONUNCIATION: dict[str, Any] = {
    "architecture": "lstm_attention",
    "lowercase_source": True,
    "learning_rate": 2e-3,
    "token_name": "phoneme",
    "sequence_name": "word",
}

CONFIG = TrainingConfig(
    **PRONUNCIATION,
    embedding_dim=128,
    hidden_dim=384,
    dropout=0.25,
    epochs=20,
    batch_size=128,
    patience=20,
    validation_decoded=0,
)

# Phoneme and word error rates in per cent.
PUBLISHED = [
    ("Yao & Zweig 2015, BLSTM", 5.45, 23.55),
    ("Toshniwal & Livescu 2016, ensemble", 4.69, 20.24),
]


def load(data: Path) -> Splits:
    """The three files in the folder `data`."""

    def part(name: str):
        return read_lexicon(file_or_gz(data / f"cmudict-0.7b.{name}"))

    return Splits(part("train-dev-20-21"), part("train-dev-1-21"), part("test"))
