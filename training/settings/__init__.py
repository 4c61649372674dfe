"""What a run is made of. Imports no TensorFlow, so that `--help` is instant.

One file a section, in which each setting is declared once; `config.py` composes them.
"""

from .base import base_layers
from .config import TrainingConfig, resolve, training_settings

__all__ = ["TrainingConfig", "base_layers", "resolve", "training_settings"]
