"""Models made elsewhere: what comes in and what goes out."""

from .ctranslate2 import from_ctranslate2
from .ctranslate2_export import to_ctranslate2
from .g2p_en import from_g2p_en
from .kerashub import KerasHubPreprocessor, KerasHubTokenizer, Seq2SeqLMGeneration
from .kerashub_import import from_kerashub
from .lstm_example import import_lstm_example
from .safetensors_folder import from_safetensors, to_safetensors

__all__ = [
    "KerasHubPreprocessor",
    "KerasHubTokenizer",
    "Seq2SeqLMGeneration",
    "from_ctranslate2",
    "from_g2p_en",
    "from_kerashub",
    "from_safetensors",
    "import_lstm_example",
    "to_ctranslate2",
    "to_safetensors",
]
