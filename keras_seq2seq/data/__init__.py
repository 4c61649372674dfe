"""From files to the batches that `fit` takes."""

from keras_seq2seq.data.dataset import (
    Buckets,
    TrainingData,
    make_buckets,
    training_data,
    validation_data,
)
from keras_seq2seq.data.lexicons import read_lexicon
from keras_seq2seq.data.manifests import read_manifest
from keras_seq2seq.data.preprocessor import Preprocessor, TextPreprocessor
from keras_seq2seq.data.readers import Pairs, read_lines, read_pairs, read_parallel
from keras_seq2seq.data.records import overlap, read_dataset, read_folder, read_records
from keras_seq2seq.data.signal_preprocessors import FramePreprocessor, WaveformPreprocessor
from keras_seq2seq.data.signals import Signal
from keras_seq2seq.data.splits import Splits, split_by_source
from keras_seq2seq.data.tfrecords import read_tfrecords

__all__ = [
    "Buckets",
    "FramePreprocessor",
    "Pairs",
    "Preprocessor",
    "Signal",
    "Splits",
    "TextPreprocessor",
    "TrainingData",
    "WaveformPreprocessor",
    "make_buckets",
    "overlap",
    "read_dataset",
    "read_folder",
    "read_lexicon",
    "read_lines",
    "read_manifest",
    "read_pairs",
    "read_parallel",
    "read_records",
    "read_tfrecords",
    "split_by_source",
    "training_data",
    "validation_data",
]
