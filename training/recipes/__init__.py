"""One file per published number: its docstring holds reference, data, command and score.

A recipe is a module with `CONFIG`, a `TrainingConfig`, and `load(data)`, which returns the
`Splits` of a data path. It may have

- `DATA`, what a user gives with `--data`, such as `"FOLDER/LANG"`. A recipe without it gets
  along without: it makes its data or takes those of a pip package.
- `evaluate(model, data, settings)`, which returns shares of what is right by name: scores
  that are more than those of the test pairs.
"""

import importlib
import pkgutil
from pathlib import Path
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


def check_data(recipe: ModuleType, data: Path | None) -> None:
    """Raises `InputError` where a recipe needs data and got none."""
    if data is None and (needed := getattr(recipe, "DATA", None)):
        name = recipe.__name__.rpartition(".")[2]
        raise InputError(f"The recipe {name} needs its data: --data {needed}.")


def file_or_gz(path: Path) -> Path:
    """The file, or its compressed twin with `.gz` behind the name where only that exists."""
    twin = path.with_name(f"{path.name}.gz")
    return twin if twin.exists() and not path.exists() else path


def names_in(folder: Path, pattern: str) -> list[str]:
    """What stands for `{}` of a file name pattern in the files of a folder, sorted.

    ```
    files     dut_train.tsv  fre_train.tsv.gz  dut_test.tsv
    pattern   "{}_train.tsv"
    names     ["dut", "fre"]
    ```
    """
    before, after = pattern.split("{}")
    names = {
        path.name.removesuffix(".gz").removeprefix(before).removesuffix(after)
        for path in [*folder.glob(f"{before}*{after}"), *folder.glob(f"{before}*{after}.gz")]
    }
    return sorted(names)
