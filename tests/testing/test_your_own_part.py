"""The page "A part of your own": its code runs, and its module takes part in a run."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "your_own_part.md").read_text("utf-8")


def marked(mark):
    return re.findall(rf"<!-- {mark} -->\n```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_parts_of_the_page_keep_their_contracts(capsys):
    blocks = marked("tested")
    names: dict = {}
    for block in blocks:
        exec(compile(block, "your_own_part.md", "exec"), names)
    for check in ("encoder", "attention", "decoder", "rule", "search"):
        assert any(f"\ncheck_{check}(" in block for block in blocks)
    assert "[[[" in capsys.readouterr().out
    # Each is as short as the page says.
    for block in blocks[1:6]:
        lines = [line for line in block.split("\n\ncheck_")[0].splitlines() if line.strip()]
        assert len(lines) <= 30


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path, pairs, monkeypatch):
    """A folder with pairs and the page's module, to be in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    rows = zip(pairs.sources[:80], pairs.targets[:80], strict=True)
    lines = [f"{source}\t{target}\n" for source, target in rows]
    (tmp_path / "pairs.tsv").write_text("".join(lines))
    (tmp_path / "own_parts.py").write_text(marked("own_parts.py")[0])
    (tmp_path / "more_parts.py").write_text("def metrics(config):\n    return []\n")
    (tmp_path / "broken_parts.py").write_text("1 / 0\n")
    return tmp_path


@pytest.mark.large
def test_a_module_takes_part_in_a_run(folder):
    sizes = ["--epochs", 1, "--hidden-dim", 8, "--embedding-dim", 4, "--batch-size", 40]
    train = ["train", "pairs.tsv", "--run-dir", "run", "--validation-sources", 10, *sizes]
    own = ["--import", "own_parts"]
    result = invoke(*train, *own)
    assert result.exit_code == 0, result.output
    assert json.loads((folder / "run/config.json").read_text())["modules"] == ["own_parts"]
    history = json.loads((folder / "run/history.jsonl").read_text().splitlines()[0])
    assert 0 <= history["val_top_3"] <= 1 if "val_top_3" in history else history["top_3"] >= 0
    assert (folder / "run/epochs.csv").exists()
    result = invoke("generate", "run", "cab", *own)
    assert result.exit_code == 0 and result.stdout.startswith("cab\t")
    result = invoke("generate", "run", "cab")
    assert result.exit_code == 2
    assert "Give --import own_parts to use it." in " ".join(result.stderr.split())
    result = invoke(*train)
    assert result.exit_code == 2 and "--import was ['own_parts'] and is now []" in result.stderr


@pytest.mark.parametrize(
    "modules, message",
    [
        (["no_such_module"], "--import no_such_module: there is no such module in"),
        (["own_parts.py"], "Give --import own_parts in the folder of the file"),
        (["broken_parts"], "--import broken_parts raises ZeroDivisionError: division by zero"),
        (
            ["own_parts", "more_parts"],
            "`metrics` is in two of the modules own_parts, more_parts. Import one of them.",
        ),
    ],
)
def test_a_module_that_cannot_be_imported_is_refused(folder, modules, message):
    options = [word for name in modules for word in ("--import", name)]
    result = invoke("train", "pairs.tsv", "--run-dir", "run", *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not (folder / "run").exists()
