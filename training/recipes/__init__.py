"""One file per published number: its docstring holds reference, data, command and score.

A recipe is a module with `CONFIG`, a `TrainingConfig`, and `load(data)`, which returns the
`Splits` of a data path (or of a pip package where `data` is `None`).
"""

import importlib
import pkgutil
from types import ModuleType

from keras_seq2seq.errors import InputError


def recipe_names() -> list[str]:
    """Names of all recipes, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_recipe(name: str) -> ModuleType:
    """The module of a recipe; `InputError` names the valid ones."""
    if name not in recipe_names():
        raise InputError(
            f"There is no recipe {name!r}; the recipes are: {', '.join(recipe_names())}."
        )
    return importlib.import_module(f"{__name__}.{name}")
