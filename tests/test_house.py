"""The plan of the house: who may import whom, and what the wheel holds."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# The rooms that stand on the library, by the name of the folder and of the package.
ROOMS = ("training", "export", "cli")

# What each part of the library may import of the rest of it.
ALLOWED = {
    "tokenizers": set(),
    "data": {"tokenizers"},
    "layers": set(),
    "decoding": set(),
    "models": {"layers", "decoding", "data"},
    "pictures": {"decoding", "data"},
    "converters": {"models", "decoding", "data", "tokenizers", "layers"},
    "serving": {"data"},
    "testing": {"models", "decoding", "layers"},
}

# The rooms of `training/` from the ground up: each may import those before it.
TRAINING = (
    "settings",
    "durations",
    "run_records",
    "run_directory",
    "evaluation",
    "report",
    "run",
    "recipes",
)


def python_files(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def rooms_among(modules):
    """The rooms that are imported, by their folder's name or by their package's."""
    names = {".".join(module.split(".")[:2]) for module in modules}
    names |= {module.split(".")[0] for module in modules}
    return names & {*ROOMS, *(f"keras_seq2seq.{room}" for room in ROOMS)}


@pytest.mark.parametrize("path", python_files("keras_seq2seq"), ids=name_of)
def test_the_library_imports_nothing_that_stands_on_it(path):
    rooms = rooms_among(imported_modules(path))
    # `python -m keras_seq2seq` is the command line.
    assert rooms <= ({"keras_seq2seq.cli"} if path.name == "__main__.py" else set())


@pytest.mark.parametrize(
    "path", python_files(*(f"keras_seq2seq/{p}" for p in ALLOWED)), ids=name_of
)
def test_parts_of_the_library_import_downwards(path):
    part = path.relative_to(ROOT / "keras_seq2seq").parts[0]
    for module in imported_modules(path):
        head, *rest = module.split(".")
        if head == "keras_seq2seq" and rest and rest[0] in ALLOWED:
            assert rest[0] in ALLOWED[part] | {part}, module


@pytest.mark.parametrize("path", python_files("training", "export"), ids=name_of)
def test_training_and_export_import_siblings_relatively_and_never_each_other(path):
    assert not rooms_among(imported_modules(path))


@pytest.mark.parametrize("path", python_files("training"), ids=name_of)
def test_rooms_of_training_import_downwards(path):
    room, *inside = path.relative_to(ROOT / "training").with_suffix("").parts
    if room not in TRAINING:
        return  # The top floor: whole experiments.
    for module in imported_modules(path):
        dots = len(module) - len(module.lstrip("."))
        if dots == len(inside) + 1:
            other = module.lstrip(".").split(".")[0]
            assert other in TRAINING[: TRAINING.index(room)], module


@pytest.mark.parametrize("path", python_files("cli"), ids=name_of)
def test_the_command_line_opens_every_room_and_imports_siblings_relatively(path):
    rooms = rooms_among(imported_modules(path))
    assert rooms <= {"keras_seq2seq.training", "keras_seq2seq.export"}


def test_no_folder_is_a_drawer():
    names = {path.stem for path in python_files("keras_seq2seq", *ROOMS)}
    assert not names & {"utils", "util", "misc", "helpers", "common"}


def test_the_packages_of_the_wheel_are_those_on_disk():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"][
        "setuptools"
    ]
    on_disk = {
        name_of(path.parent).replace("/", ".") for path in python_files("keras_seq2seq", *ROOMS)
    }
    mapped = {
        f"keras_seq2seq.{name}" if name.split(".")[0] in ROOMS else name for name in on_disk
    }
    assert set(setuptools["packages"]) == mapped


@pytest.mark.large
def test_the_wheel_works_outside_the_checkout(tmp_path):
    # pip builds in the folder it is given: not in the checkout.
    source = tmp_path / "source"
    for name in ("keras_seq2seq", *ROOMS):
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, source],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    tops = {path.name for path in (tmp_path / "site").iterdir() if path.suffix != ".dist-info"}
    assert tops == {"keras_seq2seq"}
    code = (
        "import keras_seq2seq.cli, keras_seq2seq.training.run.trainer;"
        "import keras_seq2seq.export as export; print(export.__file__)"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().startswith(str(tmp_path / "site"))
    assert_a_user_sees_types(tmp_path)


def assert_a_user_sees_types(folder):
    """mypy, of a program that uses the installed wheel: without `py.typed` all is `Any`."""
    venv.create(folder / "venv")
    (packages,) = folder.glob("venv/lib/python*/site-packages")
    (packages / "wheel.pth").write_text(str(folder / "site"))
    (folder / "program.py").write_text(
        "from keras_seq2seq.export import LiteRTRunner\n"
        "reveal_type(LiteRTRunner)\n"
        "LiteRTRunner('folder', num_threads='many')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", os.devnull, "program.py"]
        + ["--python-executable", folder / "venv/bin/python"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert "litert_runner.LiteRTRunner" in done.stdout, done.stdout
    assert 'incompatible type "str"; expected "int"' in done.stdout, done.stdout
