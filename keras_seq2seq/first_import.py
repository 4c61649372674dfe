"""Imports TensorFlow and Keras without what only few of their functions use.

TensorFlow's converter imports JAX, Keras' galleries of pictures Matplotlib, KerasHub's ROUGE a
scorer that brings SciPy: together as slow as TensorFlow itself. Here they come when a function
that needs them is called, which works as ever.
"""

import importlib.util
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from keras_seq2seq.garbage import not_collecting


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
    if package in sys.modules or importlib.util.find_spec(package) is None:
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
        return importlib.import_module("keras_nlp")


with not_collecting():
    # Not around Keras, whose backend JAX may be.
    with deferring("jax"):
        import tensorflow  # noqa: F401
    with deferring("matplotlib", "matplotlib.pyplot"):
        import keras  # noqa: F401
