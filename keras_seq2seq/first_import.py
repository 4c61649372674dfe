"""Imports TensorFlow and Keras without what only few of their functions use.

TensorFlow's converter imports JAX, Keras' galleries of pictures Matplotlib, KerasHub's ROUGE a
scorer that brings SciPy: together as slow as TensorFlow itself. Here they come when a function
that needs them is called, which works as ever.
"""

import gc
import json
import os
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from keras_seq2seq.garbage import not_collecting

MOST_OBJECTS = 200_000


class Deferred(ModuleType):
    """A module, or something of one, that is imported when it is used.

    Args:
        name: Its dotted name.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if _is_deferred(self.__name__):
            return Deferred(f"{self.__name__}.{name}")
        return getattr(pkgutil.resolve_name(self.__name__), name)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return pkgutil.resolve_name(self.__name__)(*arguments, **options)


def _is_deferred(name: str) -> bool:
    return isinstance(sys.modules.get(name.split(".")[0]), Deferred)


@contextmanager
def deferring(*names: str) -> Iterator[None]:
    """What is imported meanwhile gets these modules `Deferred`, if they are installed and were
    not imported before. Modules of a package come after it."""
    package = names[0].split(".")[0]
    if package in sys.modules or find_spec(package) is None:
        yield
        return
    sys.modules.update({name: Deferred(name) for name in names})
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def import_keras_nlp() -> ModuleType:
    """The package `keras_nlp`, which only few parts need."""
    with deferring("rouge_score", "rouge_score.rouge_scorer"):
        return import_module("keras_nlp")


def _backend() -> str:
    """Keras' backend, which it chooses when it is imported."""
    if name := os.environ.get("KERAS_BACKEND"):
        return name
    folder = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        return json.loads((Path(folder) / "keras.json").read_text("utf-8"))["backend"]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return "tensorflow"


def _import() -> None:
    """TensorFlow and Keras, each of which imports the other."""
    if "tensorflow" in sys.modules:
        return
    # With more objects than these somebody's work has begun, whose garbage is to be found.
    is_new = len(gc.get_objects()) < MOST_OBJECTS
    with not_collecting(), ExitStack() as stack:
        stack.enter_context(deferring("matplotlib", "matplotlib.pyplot"))
        if _backend() == "tensorflow":
            stack.enter_context(deferring("jax"))
        import_module("tensorflow")
        import_module("keras")
    if is_new:
        # What is imported stays; the collector would look through all of it several times.
        gc.freeze()


_import()
