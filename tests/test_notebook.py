"""The notebook runs from its first cell to its last, and is kept without outputs."""

import json
from pathlib import Path

import matplotlib
import pytest

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebook.ipynb"
CELLS = [
    cell
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    if cell["cell_type"] == "code"
]


def test_the_notebook_has_no_outputs():
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in CELLS)


@pytest.mark.large
def test_the_notebook_runs(capsys):
    matplotlib.use("Agg")
    names: dict = {}
    for cell in CELLS:
        exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)
    assert names["right"] > 0.95
    expected = names["targets"][names["unseen"]][:3]
    assert [text.decode() for text in names["served"]["text"].numpy()[:, 0]] == expected
    assert [texts[0] for texts in names["on_device"]] == expected
    assert (names["folder"] / "attention.png").exists()
