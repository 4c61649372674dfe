"""The site's API reference has every public name, and refuses one without a word on it."""

import ast
import importlib.util
import json
import re
from pathlib import Path

import pytest
from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md")), ROOT / "findings/README.md"]
SPEC = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
reference = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(reference)


@pytest.fixture
def house(tmp_path):
    """A package of one module, and what writes that module."""
    root = tmp_path / "root"
    for folder in ("keras_seq2seq", "training", "export"):
        (root / folder).mkdir(parents=True)
        (root / folder / "__init__.py").write_text('_SUBPACKAGES = ("losses",)\n')

    def load(text):
        (root / "keras_seq2seq" / "losses.py").write_text(text)
        return reference.load_package(root, tmp_path / "staged")

    return load


def test_a_public_name_without_a_docstring_is_named(house):
    package = house('"""Losses."""\n\n\ndef told():\n    """Is."""\n\n\ndef untold(): ...\n')
    assert reference.undocumented(package) == ["keras_seq2seq.losses.untold"]


def test_a_name_that_is_listed_and_does_not_exist_is_named(house):
    package = house('"""Losses."""\n\n__all__ = ["gone"]\n')
    assert reference.undocumented(package) == ["keras_seq2seq.losses.gone"]


def test_a_list_that_cannot_be_read_is_refused(house):
    package = house('"""Losses."""\n\nNAMES = ("a",)\n__all__ = [*NAMES]\n')
    with pytest.raises(PluginError, match="keras_seq2seq.losses: `__all__`"):
        reference.undocumented(package)


def test_comments_and_help_are_docstrings(house):
    package = house(
        '"""Losses."""\n\n# The first\n# constants.\nA = 1\nB = 2\n\n\nclass C:\n'
        '    """Settings."""\n\n    size: int = setting(1, "How large.")\n'
    )
    losses = package["losses"]
    assert losses["A"].docstring.value == losses["B"].docstring.value == "The first\nconstants."
    assert losses["C.size"].docstring.value == "How large."
    assert losses["C.size"].value == "1"
    assert reference.undocumented(package) == []


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return reference.load_package(ROOT, tmp_path_factory.mktemp("staged"))


def test_the_pages_have_every_name_of_every_list(package):
    modules = reference.public_modules(package)
    pages = {module.path: reference.public_names(module) for module in modules}
    assert "Seq2Seq" in pages["keras_seq2seq.models"]
    assert "export_tflite" in pages["keras_seq2seq.export"]
    assert "TrainingConfig" in pages["keras_seq2seq.training.settings"]
    assert "AveragedWeights" in pages["keras_seq2seq.training.run.callbacks"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_names_and_files_of_a_page_exist(package, page):
    text = page.read_text("utf-8")
    names = re.findall(r"\bkeras_seq2seq((?:\.\w+)+)", text)
    for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("keras_seq2seq."):
                start = node.module.removeprefix("keras_seq2seq")
                names += [f"{start}.{name.name}" for name in node.names]
    for name in names:
        # The command line is no part of the reference.
        assert name == ".cli" or package[name[1:]], name
    rooms = "tests|benchmarks|training|export|cli|docs|findings|keras_seq2seq"
    for path in re.findall(rf"`((?:{rooms})/[\w./*]*)", text):
        assert [*ROOT.glob(path)] or path == "findings/NAME.sh", path


def test_a_notebook_becomes_a_page():
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text("utf-8"))
    page = reference.notebook_page(notebook)
    assert page.startswith("# From pairs")
    assert page.count("```python\n") == sum(c["cell_type"] == "code" for c in notebook["cells"])


def test_bars_in_code_of_tables_lose_their_backslash():
    page = reference.on_page_markdown("| `a \\| b` | c \\| d |\n\n`e \\| f`")
    assert page == "| `a | b` | c \\| d |\n\n`e \\| f`"
