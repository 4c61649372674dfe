"""Models made elsewhere: what comes in and what goes out."""

from .kerashub import KerasHubPreprocessor, KerasHubTokenizer, Seq2SeqLMGeneration
from .lstm_example import import_lstm_example

__all__ = [
    "KerasHubPreprocessor",
    "KerasHubTokenizer",
    "Seq2SeqLMGeneration",
    "import_lstm_example",
]
