"""The real `export`, killed at each change that it makes, then given again."""

import os
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from export import export_formats
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from tests.kills import count_changes, kill_after

FORMATS = ["saved_model", "tflite", "serving", "web"]


@pytest.fixture
def quick(monkeypatch):
    """Stands for the slow part, the tracing and converting."""

    def write_graph(path, functions, tables):
        os.makedirs(f"{path}/variables")
        Path(path, "saved_model.pb").write_bytes(b"x" * 1000)

    def warm_up(path):
        return 3

    class Writer:
        def __init__(self, path):
            self.file = open(path, "wb")

        def write(self, record):
            self.file.write(record)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

    monkeypatch.setattr("export.saved_model.write_graph", write_graph)
    monkeypatch.setattr("export.saved_model.check_servable", lambda folder: None)
    monkeypatch.setattr("export.signatures.TextSignatures.functions", lambda self: {})
    monkeypatch.setattr("export.tflite.convert", lambda *arguments: b"x" * 1000)
    monkeypatch.setattr("export.web._convert", lambda *arguments: b"x" * 1000)
    monkeypatch.setattr("export.serving.replay_warm_up", warm_up)
    monkeypatch.setattr("export.serving.tf.io.TFRecordWriter", Writer)


def export(model, path, overwrite=False, formats=FORMATS):
    console = Console(quiet=True)
    settings = GenerationSettings(2, 2)
    export_formats(model, path, formats, settings, console, "m", overwrite=overwrite)


def contents(folder, but=()):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and not any(part in but for part in file.parts)
    }


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_export_killed_at_any_change_is_finished_by_the_same_command(
    quick, text_model, tmp_path, monkeypatch, overwrite
):
    before = tmp_path / "before"
    (before / "other").mkdir(parents=True)
    (before / "other" / "notes").write_text("mine")
    if overwrite:
        export(text_model, before, formats=["saved_model", "tflite"])
        (before / "tflite" / "extra").write_text("old")
    whole = Path(shutil.copytree(before, tmp_path / "whole"))
    changes = count_changes(whole, lambda: export(text_model, whole, overwrite))
    assert changes > 40
    for number in range(changes):
        path = Path(shutil.copytree(before, tmp_path / "killed"))

        def work(path=path):
            export(text_model, path, overwrite)

        kill_after(path, number, work, monkeypatch)
        # Whatever has its name is whole.
        for name in ("saved_model", "tflite", "web"):
            if (path / name).exists():
                there = contents(path / name)
                assert there in (contents(whole / name), contents(before / name)), number
        try:
            work()
        except InputError as error:
            assert not overwrite and "was left as it is" in str(error)
        # A version that was whole before the kill stays, and the next one is beside it.
        assert contents(path, but={"m"}) == contents(whole, but={"m"}), number
        versions = sorted(file.name for file in (path / "serving" / "m").iterdir())
        assert versions in (["1"], ["1", "2"])
        for version in versions:
            first = contents(path / "serving" / "m" / version)
            assert first == contents(whole / "serving" / "m" / "1"), number
        assert not list(path.rglob(".unfinished-*")), number
        shutil.rmtree(path)
