"""The commands of the page on data larger than memory, run as they are there."""

import gzip
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from tests.conftest import spelled_pairs
from training.run_directory import RunDirectory

PAGE = Path(__file__).parent.parent / "docs" / "data.md"
SMALL = ["--epochs", "1", "--hidden-dim", "8", "--embedding-dim", "4"]


@pytest.mark.large
def test_the_commands_of_large_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs = spelled_pairs(260)
    lines = [f"{s}\t{t}\n" for s, t in zip(pairs.sources, pairs.targets, strict=True)]
    for part in (0, 1):
        content = "".join(lines[part * 80 : part * 80 + 80]).encode()
        Path(f"web-{part}.tsv.gz").write_bytes(gzip.compress(content))
    Path("news.tsv").write_text("".join(lines[160:]))
    section = PAGE.read_text("utf-8").split("## Data larger than memory")[1]
    block = re.search(r"^```\n(.*?)^```", section, re.DOTALL | re.MULTILINE)[1]
    commands = [shlex.split(line)[1:] for line in block.splitlines()]
    assert [command[0] for command in commands] == ["train", "pack", "pack", "train"]
    outputs = []
    for command in commands:
        more = SMALL if command[0] == "train" else []
        result = CliRunner().invoke(main, [*command, *more])
        assert result.exit_code == 0, result.output
        outputs.append(result.output)
    assert "260 pairs, 3 shards" in outputs[1] and "260 pairs, all bytes" in outputs[2]
    once, packed = (
        RunDirectory(f"runs/{name}").metrics("steps") for name in ("large", "packed")
    )
    assert once["steps"] > packed["steps"]
    assert packed["training_pairs"] == once["training_pairs"]
    Path("corpus.pack/pairs-00001-of-00003.tfrecord").write_bytes(b"")
    result = CliRunner().invoke(main, ["train", "corpus.pack", "--run-dir", "runs/other"])
    assert result.exit_code == 2 and len(result.stderr.strip().splitlines()) == 1
    assert "the shard is truncated, 0 bytes of" in result.stderr
