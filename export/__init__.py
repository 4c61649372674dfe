"""Artefacts that run without this package, one file a format, and the check that they agree."""

from .formats import export_formats
from .litert_runner import LiteRTRunner
from .parity import compare, print_parity
from .saved_model import export_saved_model
from .serving import export_serving
from .tflite import export_tflite
from .web import export_web

__all__ = [
    "LiteRTRunner",
    "compare",
    "export_formats",
    "export_saved_model",
    "export_serving",
    "export_tflite",
    "export_web",
    "print_parity",
]
