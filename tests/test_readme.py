"""The README's Python runs as it stands."""

import re
from pathlib import Path

import pytest

from training.evaluation.results import read_published, results_markdown
from training.run_directory import RunDirectory

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.large
def test_the_examples_of_the_readme_run(pairs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = zip(pairs.sources, pairs.targets, strict=True)
    # The example asks for words with other letters than the pairs have: unknown is no error.
    lines = [f"{source}\t{target}\n" for source, target in rows]
    Path("pairs.tsv").write_text("".join(lines))
    blocks = re.findall(r"<!-- tested -->\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 2
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert capsys.readouterr().out.strip().endswith("']")
    assert (tmp_path / "saved_model" / "saved_model.pb").exists()
    assert (tmp_path / "device" / "model.tflite").exists()


def test_the_table_of_results_is_that_of_the_command():
    runs = [RunDirectory(path) for path in sorted((README.parent / "docs/results").iterdir())]
    page = README.parent / "docs/results.md"
    published = read_published(README.parent / "docs/published.toml")
    assert set(published) == {run.path.name for run in runs}
    assert results_markdown(runs, published).strip() in page.read_text("utf-8")
