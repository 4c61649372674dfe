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
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from keras_seq2seq.data.disk import file_or_gz, files_in, is_file, is_folder, read_bytes
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
        for end in ("", ".gz")
        for path in files_in(folder, f"{before}*{after}{end}")
    }
    return sorted(names)


def part_files(data: Path, pattern: str, what: str, form: str) -> Callable[[str], Path]:
    """From the name of a part to its file, `.gz` too, where a folder has several data sets.

    ```
    data      FOLDER/dut
    pattern   "{name}_{part}.tsv"
    "train"   FOLDER/dut_train.tsv
    ```

    Args:
        data: The folder and a data set.
        pattern: Names of the files.
        what: What a data set is, such as `"language"`.
        form: How `--data` is given, such as `"FOLDER/LANG"`.

    Raises:
        InputError: If there is no training part; names the data sets that there are.
    """

    def part(name: str) -> Path:
        return file_or_gz(data.parent / pattern.format(name=data.name, part=name))

    if not is_file(part("train")):
        names = pattern.format(name="{}", part="train")
        found = names_in(data, names) or names_in(data.parent, names)
        raise InputError(
            f"{part('train')}: no such file. Give the folder and a {what}, --data {form}; "
            f"there is: {', '.join(found) or 'none here'}."
        )
    return part


def folder_or_archive(data: Path, top: str = "") -> dict[str, Callable[[], bytes]]:
    """Name -> what reads it, of the files of a folder or of a tar archive of it.

    Args:
        data: The folder or the archive.
        top: Folder inside the archive whose files are meant.

    Raises:
        InputError: If the archive cannot be read.
    """
    if is_folder(data):
        return {
            file.relative_to(data).as_posix(): lambda file=file: read_bytes(file)  # type: ignore[misc]
            for file in files_in(data, "**/*")
        }
    try:
        with tarfile.open(data) as archive:
            contents = {
                member.name.removeprefix(top): archive.extractfile(member).read()  # type: ignore[union-attr]
                for member in archive
                if member.isfile()
            }
    except (OSError, EOFError, tarfile.TarError) as error:
        raise InputError(f"{data}: cannot be read as an archive ({error}).") from error
    return {name: lambda content=content: content for name, content in contents.items()}  # type: ignore[misc]
