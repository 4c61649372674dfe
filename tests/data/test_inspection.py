"""What `inspect` counts, by hand."""

import json

from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.data import Pairs
from keras_seq2seq.data.inspection import inspect_pairs


def pairs(*rows):
    return Pairs([source for source, _ in rows], [target for _, target in rows])


TRAIN = pairs(("ab c", "AB"), ("ab c", "AB"), ("ab c", "AC"), ("d", "D"), ("same", "same"))


def test_counts_of_a_part():
    result = inspect_pairs({"train": TRAIN})["train"]
    assert result["pairs"] == 5 and result["sources"] == 3
    assert result["repeated_pairs"] == 1
    assert result["sources_with_several_targets"] == 1
    assert result["source"]["characters"] == {"min": 1, "median": 4, "p95": 4, "max": 4}
    assert result["source"]["words"] == {"min": 1, "median": 2, "p95": 2, "max": 2}
    assert result["target"]["alphabet"]["A"] == 3
    assert result["suspicious"]["identical sides"] == {
        "count": 1,
        "examples": [{"number": 5, "source": "same", "target": "same"}],
    }


def test_what_held_out_parts_share_with_training():
    test = pairs(("d", "D"), ("d", "E"), ("new", "NEW"))
    overlap = inspect_pairs({"train": TRAIN, "validation": TRAIN, "test": test})["overlap"]
    assert overlap["test"] == {"with": "train", "sources": 1, "pairs": 1}
    assert overlap["validation"] == {"with": "train", "sources": 3, "pairs": 5}


def test_every_kind_of_suspicious_pair():
    usual = [("a" * n, "b" * (2 * n)) for n in range(1, 30)]
    rows = [
        *usual,
        ("a" * 20, "b" * 161),  # 8.05 for 2: more than 4 times the usual ratio.
        ("a" * 20, "b" * 160),
        ("a" * 60, "b" * 20),
        ("a\x07", "bb"),
        ("a\u200d", "bbbb"),
        ("a\ufffd", "bbbb"),
        (" a", "bb"),
        ("a", "bb "),
    ]
    found = inspect_pairs({"train": pairs(*rows)})["train"]["suspicious"]
    numbers = {
        kind: [example["number"] for example in value["examples"]]
        for kind, value in found.items()
    }
    assert numbers == {
        "identical sides": [],
        "extreme length ratio": [30, 32],
        "control characters": [33],
        "replacement characters": [35],
        "spaces at an end": [36, 37],
    }


def test_examples_are_few_and_the_count_is_whole():
    found = inspect_pairs({"train": pairs(*[("x", "x")] * 9)})["train"]["suspicious"]
    assert found["identical sides"]["count"] == 9
    assert len(found["identical sides"]["examples"]) == 5


def test_the_command_prints_a_table_and_writes_json(tmp_path):
    (tmp_path / "train.tsv").write_text("ab\tAB\ncd\tcd\n[red]\t[/red]\n")
    (tmp_path / "test.tsv").write_text("ab\tAX\n")
    arguments = ["inspect", tmp_path / "train.tsv", "--test", tmp_path / "test.tsv"]
    arguments += ["--json", tmp_path / "data.json"]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    assert "train, line 2, identical sides: 'cd' -> 'cd'" in result.output
    content = json.loads((tmp_path / "data.json").read_text())
    assert content["overlap"]["test"]["sources"] == 1


def test_bad_data_is_one_line(tmp_path):
    (tmp_path / "bad.tsv").write_text("one column\n")
    result = CliRunner().invoke(main, ["inspect", str(tmp_path / "bad.tsv")])
    assert result.exit_code == 2 and "not two columns" in result.stderr
    result = CliRunner().invoke(main, ["inspect", *[str(tmp_path / "bad.tsv")] * 3])
    assert result.exit_code == 2 and "Received 3" in result.stderr


def test_examples_name_the_true_lines_of_their_file(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text('source,target\na,\n"b\nb",c\nsame,same\n', "utf-8")
    result = CliRunner().invoke(main, ["inspect", str(path)])
    assert result.exit_code == 0, result.output
    assert "train, line 5, identical sides: 'same' -> 'same'" in result.output
