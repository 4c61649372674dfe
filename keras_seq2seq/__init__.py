"""keras_seq2seq: encoder-decoder models for Keras 3, from `model.fit` to a served artefact."""

import importlib
from typing import Any

__version__ = "0.1.0"

# Loaded when first used: `keras_seq2seq --help` imports no TensorFlow.
_SUBPACKAGES = (
    "converters",
    "data",
    "decoding",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "pictures",
    "schedules",
    "serving",
    "settings",
    "testing",
    "token_accuracy",
    "tokenizers",
)

__all__ = ["__version__", *_SUBPACKAGES]


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
