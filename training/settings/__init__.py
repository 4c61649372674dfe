"""What a run is made of. Imports no TensorFlow, so that `--help` is instant."""

from .config import TrainingConfig

__all__ = ["TrainingConfig"]
