"""The site's API reference has every public name, and refuses one without a word on it."""

import importlib.util
from pathlib import Path

import pytest
from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
reference = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(reference)


@pytest.fixture
def house(tmp_path):
    """A package of one module, and what writes that module."""
    root = tmp_path / "root"
    for folder in ("keras_seq2seq", "training", "export"):
        (root / folder).mkdir(parents=True)
        (root / folder / "__init__.py").write_text('"""A room."""\n')

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
    assert reference.undocumented(package) == []


def test_the_pages_have_every_name_of_every_list(tmp_path):
    package = reference.load_package(ROOT, tmp_path)
    pages = {
        module.path: reference.public_names(module)
        for module in reference.public_modules(package)
    }
    assert "Seq2Seq" in pages["keras_seq2seq.models"]
    assert "export_tflite" in pages["keras_seq2seq.export"]
    assert "TrainingConfig" in pages["keras_seq2seq.training.settings"]
    assert "AveragedWeights" in pages["keras_seq2seq.training.run.callbacks"]
