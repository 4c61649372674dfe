"""From files to the batches that `fit` takes."""

import importlib
from typing import TYPE_CHECKING, Any

from keras_seq2seq.data.augmentation import Augmentation
from keras_seq2seq.data.corpora import read_corpora
from keras_seq2seq.data.lexicons import read_lexicon
from keras_seq2seq.data.manifests import read_manifest
from keras_seq2seq.data.readers import Pairs, read_lines, read_pairs, read_parallel, read_texts
from keras_seq2seq.data.records import (
    overlap,
    read_dataset,
    read_folder,
    read_parallel_records,
    read_records,
)
from keras_seq2seq.data.signals import Signal
from keras_seq2seq.data.splits import Splits, split_by_source
from keras_seq2seq.data.stored.packs import read_pack, write_pack
from keras_seq2seq.data.stored.texts import StoredTexts
from keras_seq2seq.data.tfrecords import read_tfrecords

if TYPE_CHECKING:
    from keras_seq2seq.data.dataset import (
        Buckets,
        TrainingData,
        make_buckets,
        training_data,
        validation_data,
    )
    from keras_seq2seq.data.preprocessor import Preprocessor
    from keras_seq2seq.data.signal_preprocessors import FramePreprocessor, WaveformPreprocessor
    from keras_seq2seq.data.text_preprocessor import TextPreprocessor
    from keras_seq2seq.data.token_swaps import TokenSwaps, learn_token_swaps

# Loaded when first used: they need TensorFlow, which readers and clients do not.
_WITH_TENSORFLOW = {
    "Buckets": "dataset",
    "FramePreprocessor": "signal_preprocessors",
    "Preprocessor": "preprocessor",
    "TextPreprocessor": "text_preprocessor",
    "TokenSwaps": "token_swaps",
    "TrainingData": "dataset",
    "WaveformPreprocessor": "signal_preprocessors",
    "learn_token_swaps": "token_swaps",
    "make_buckets": "dataset",
    "training_data": "dataset",
    "validation_data": "dataset",
}

__all__ = [
    "Augmentation",
    "Buckets",
    "FramePreprocessor",
    "Pairs",
    "Preprocessor",
    "Signal",
    "Splits",
    "StoredTexts",
    "TextPreprocessor",
    "TokenSwaps",
    "TrainingData",
    "WaveformPreprocessor",
    "learn_token_swaps",
    "make_buckets",
    "overlap",
    "read_corpora",
    "read_dataset",
    "read_folder",
    "read_lexicon",
    "read_lines",
    "read_manifest",
    "read_pack",
    "read_pairs",
    "read_parallel",
    "read_parallel_records",
    "read_records",
    "read_texts",
    "read_tfrecords",
    "split_by_source",
    "training_data",
    "validation_data",
    "write_pack",
]


def __getattr__(name: str) -> Any:
    if name in _WITH_TENSORFLOW:
        return getattr(importlib.import_module(f"{__name__}.{_WITH_TENSORFLOW[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
