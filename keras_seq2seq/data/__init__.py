"""From files to the batches that `fit` takes."""

from keras_seq2seq.data.dataset import (
    Buckets,
    TrainingData,
    make_buckets,
    training_data,
    validation_data,
)
from keras_seq2seq.data.preprocessor import TextPreprocessor
from keras_seq2seq.data.readers import Pairs, read_lines, read_pairs, read_parallel

__all__ = [
    "Buckets",
    "Pairs",
    "TextPreprocessor",
    "TrainingData",
    "make_buckets",
    "read_lines",
    "read_pairs",
    "read_parallel",
    "training_data",
    "validation_data",
]
