"""Settings as frozen values, each declared once: an argument in Python, an option of a
command and a key of a file. Imports no TensorFlow, so that `--help` is instant."""

from .declarations import Setting, Settings, option_name, setting, settings_of
from .generation import (
    BLEU_TOKENIZERS,
    GenerationSettings,
    id_bias,
    token_number,
    word_bias,
)

__all__ = [
    "BLEU_TOKENIZERS",
    "GenerationSettings",
    "Setting",
    "Settings",
    "id_bias",
    "option_name",
    "setting",
    "settings_of",
    "token_number",
    "word_bias",
]
