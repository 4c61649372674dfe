"""Files that commands write are checked before the work, against what they read."""

import json
import os

import click
import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.cli.options import PATH, without_native_notes
from keras_seq2seq.cli.outputs import OUTPUT, Command


def refused(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    return line


def names_of(kind):
    return {
        (name, parameter.name)
        for name, command in main.commands.items()
        for parameter in command.params
        if parameter.type is kind
    }


def test_every_file_that_a_command_writes_is_of_the_type_that_is_checked():
    assert names_of(OUTPUT) == {
        ("inspect", "json_file"),
        ("compare", "json_file"),
        ("generate", "output"),
        ("compare", "report_file"),
        ("results", "output"),
        ("shortlist", "output"),
        ("parity", "json_file"),
        ("attention", "picture"),
        ("tree", "picture"),
    }
    writing = {name for name, _ in names_of(OUTPUT)}
    assert all(isinstance(main.commands[name], Command) for name in writing)
    written = {"json_file", "output", "picture"}
    assert not [pair for pair in names_of(PATH) if pair[1] in written]


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "p.tsv"
    path.write_text("a\tb\n", "utf-8")
    return path


def test_an_input_is_not_written_over(pairs, tmp_path):
    (tmp_path / "link.json").symlink_to(pairs)
    os.link(pairs, tmp_path / "twin.json")
    for output in (pairs, tmp_path / "." / "p.tsv", tmp_path / "link.json", "twin.json"):
        message = refused("inspect", pairs, "--json", tmp_path / output)
        assert "is an input of this command; write to another file" in message
    assert "is an input" in refused("inspect", "x", "--test", pairs, "--json", pairs)
    assert pairs.read_text() == "a\tb\n"


def test_the_files_of_a_run_or_an_export_are_not_written_over(tmp_path):
    run, export = tmp_path / "run", tmp_path / "export"
    for folder in (run, export):
        folder.mkdir()
    for name in ("config.json", "metrics.json", "report.json"):
        (run / name).write_text("{}")
    (export / "signatures.json").write_text("{}")
    for command, option in (("results", "--output"), ("compare", "--json")):
        message = refused(command, run, run, option, run / "metrics.json")
        assert "metrics.json is a file of" in message
    message = refused("results", run, export, "--output", export / "signatures.json")
    assert "signatures.json is a file of" in message


def test_what_cannot_be_written_is_refused_before_the_work(pairs, tmp_path):
    assert "is a folder; give the name of a file" in refused(
        "inspect", pairs, "--json", tmp_path
    )
    assert "cannot be written" in refused("inspect", "x", "--json", pairs / "a.json")
    assert "cannot be written" in refused("inspect", "x", "--json", tmp_path / ("x" * 300))


def test_a_folder_that_is_missing_is_made_and_a_run_may_hold_what_is_new(tmp_path):
    seen = []

    @click.command(cls=Command)
    @click.argument("run", type=PATH)
    @click.option("--json", "json_file", type=OUTPUT)
    def command(run, json_file):
        seen.append(json_file)

    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps({}))
    for name in ("parity.json", "new/parity.json", "parity.json"):
        CliRunner().invoke(command, [str(run), "--json", str(run / name)])
        seen[-1].parent.mkdir(exist_ok=True)
        seen[-1].write_text("{}")
    assert len(seen) == 3


def test_an_argument_that_is_not_utf8_is_one_line():
    assert r"An argument is not UTF-8: 'caf\udce9.tsv'" in refused("inspect", "caf\udce9.tsv")


def test_notes_of_native_code_are_kept_from_standard_error(capfd):
    with pytest.raises(KeyError), without_native_notes():
        os.write(2, b"a note")
        raise KeyError
    os.write(2, b"an error")
    assert capfd.readouterr().err == "an error"
