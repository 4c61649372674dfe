"""Artefacts that run without this package, one file a format, and the check that they agree."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checks import check_exports as check_exports
    from .formats import export_formats as export_formats
    from .litert_runner import LiteRTRunner as LiteRTRunner
    from .onnx_export import export_onnx as export_onnx
    from .onnx_export import export_onnx_loop as export_onnx_loop
    from .onnx_runner import OnnxLoopRunner as OnnxLoopRunner
    from .onnx_runner import OnnxRunner as OnnxRunner
    from .parity import compare as compare
    from .parity import print_parity as print_parity
    from .saved_model import export_saved_model as export_saved_model
    from .serving import export_serving as export_serving
    from .tflite import export_tflite as export_tflite
    from .web import export_web as export_web

# Loaded when first used: `LiteRTRunner` imports no TensorFlow.
_MODULES = {
    "LiteRTRunner": "litert_runner",
    "OnnxLoopRunner": "onnx_runner",
    "OnnxRunner": "onnx_runner",
    "check_exports": "checks",
    "compare": "parity",
    "export_formats": "formats",
    "export_onnx": "onnx_export",
    "export_onnx_loop": "onnx_export",
    "export_saved_model": "saved_model",
    "export_serving": "serving",
    "export_tflite": "tflite",
    "export_web": "web",
    "print_parity": "parity",
}

__all__ = [
    "LiteRTRunner",
    "OnnxLoopRunner",
    "OnnxRunner",
    "compare",
    "export_formats",
    "export_onnx",
    "export_onnx_loop",
    "export_saved_model",
    "export_serving",
    "export_tflite",
    "export_web",
    "print_parity",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
