"""Lines answered by exports: `generate`, and `generate-files` with and without Beam."""

import gzip
import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.cli.file_job import COUNTS
from tests.searches import BEAM
from training.run_directory import RunDirectory
from training.settings import TrainingConfig

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def artefacts(text_saved_model, text_device):
    return {"saved_model": text_saved_model, "litert": text_device}


def test_the_command_on_exports_says_what_generate_says(text_model, artefacts, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "words.txt").write_text("cab\n\nfee\n")
    found = text_model.texts(text_model.search(["cab", "fee"], BEAM))
    cab, fee = (
        [f"{word}\t{text}\n" for text in row]
        for word, row in zip(["cab", "fee"], found, strict=True)
    )
    expected = "".join([*cab, "\t\n", *fee])
    for name, path in artefacts.items():
        out = tmp_path / name
        arguments = ["generate-files", path, folder / "*.txt", out]
        result = CliRunner().invoke(main, [str(one) for one in arguments])
        assert result.exit_code == 0, result.output
        assert (out / "words.txt.tsv").read_text() == expected
        counts = json.loads((out / COUNTS / "words.txt.tsv.json").read_text())
        assert counts["lines"] == 3 and counts["errors"] == 1
        shown = CliRunner().invoke(main, ["generate", str(path), "cab", "--json"])
        hypotheses = json.loads(shown.stdout)["hypotheses"]
        assert [one["target"] for one in hypotheses] == found[0]
        assert sorted(hypotheses[0]) == ["log_prob", "score", "target"]


def test_beam_gives_the_same(text_model, artefacts, tmp_path):
    pytest.importorskip("apache_beam", reason="the extra beam is not installed")
    folder = tmp_path / "in"
    folder.mkdir()
    for number, words in enumerate(["cab\nfee\n", "bad\n"]):
        (folder / f"{number}.txt").write_text(words)
    for name, options in [("plain", []), ("beam", ["--", "--runner=DirectRunner"])]:
        command = [artefacts["saved_model"], folder / "*.txt", tmp_path / name, *options]
        arguments = ["generate-files", *map(str, command)]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    for number in range(2):
        one, other = (tmp_path / name / f"{number}.txt.tsv" for name in ("plain", "beam"))
        assert one.read_bytes() == other.read_bytes() and one.read_bytes()


def test_the_commands_of_the_page_run(text_model, artefacts, tmp_path, monkeypatch, pairs):
    page = (ROOT / "docs" / "past_one_machine.md").read_text("utf-8")
    (block,) = re.findall(r"<!-- tested -->\n```\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    run = RunDirectory(tmp_path / "runs" / "demo")
    run.begin(TrainingConfig(), pairs, pairs)
    text_model.save(run.model_file)
    (tmp_path / "exports" / "demo").mkdir(parents=True)
    (tmp_path / "exports" / "demo" / "saved_model").symlink_to(artefacts["saved_model"])
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.txt.gz").write_bytes(gzip.compress(b"cab\nfee\n"))
    (tmp_path / "words.txt").write_text("cab\nfee\n")
    for line in block.splitlines():
        result = CliRunner().invoke(main, shlex.split(line)[1:], catch_exceptions=False)
        assert result.exit_code == 0, (line, result.output)
    whole = gzip.decompress((tmp_path / "out-beam" / "1.txt.jsonl.gz").read_bytes())
    assert [json.loads(line)["source"] for line in whole.splitlines()] == ["cab", "fee"]
