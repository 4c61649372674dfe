"""Several formats of one model: what is said, replaced, kept, and left by a kill."""

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from export import export_formats
from export.tflite import WrittenGraph
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from tests.kills import count_changes, kill_after

DESCRIPTION = Path("assets.extra") / "signatures.json"
FORMATS = ["saved_model", "tflite", "serving", "web"]


def export(model, path, overwrite=False, formats=FORMATS):
    console = Console(quiet=True)
    settings = GenerationSettings(2, 2)
    export_formats(model, path, formats, settings, console, "m", overwrite=overwrite)


def said(model, path, settings, formats, **others):
    console = Console(file=io.StringIO(), width=400)
    try:
        export_formats(model, path, formats, settings, console, "m", **others)
    except InputError as error:
        return console.file.getvalue(), str(error)
    return console.file.getvalue(), ""


def test_a_new_version_has_the_settings_of_the_one_before(quick, text_model, tmp_path):
    first = GenerationSettings(4, 2, alignments=True)
    output, _ = said(text_model, tmp_path, first, ["serving"])
    assert f"{tmp_path}/serving/m/1 (" in output and "version 1 of m" in output
    assert "beam 4: --beam-size 4 --n-best 2 --alignments" in output
    output, _ = said(text_model, tmp_path, None, ["serving"])
    assert "Settings as in version 1: beam 4: --beam-size 4" in output
    assert "version 2 of m; beam 4: --beam-size 4 --n-best 2 --alignments" in output
    output, _ = said(text_model, tmp_path, GenerationSettings(), ["serving"])
    assert "version 3 of m; greedy: every setting its default" in output
    described = [
        json.loads((tmp_path / "serving" / "m" / name / DESCRIPTION).read_text())["generation"]
        for name in "123"
    ]
    expected = [first.to_dict(), first.to_dict(), GenerationSettings().to_dict()]
    assert described == json.loads(json.dumps(expected))
    (tmp_path / "serving" / "m" / "3" / DESCRIPTION).write_text("{")
    output, error = said(text_model, tmp_path, None, ["serving"])
    assert "signatures.json is damaged" in error and not output


def test_one_format_that_exists_does_not_stop_the_others(quick, text_model, tmp_path):
    said(text_model, tmp_path, None, ["tflite"])
    before = contents(tmp_path)
    output, error = said(text_model, tmp_path, None, ["tflite", "saved_model"])
    assert f"Written: {tmp_path}/saved_model (" in output
    assert error == (
        f"{tmp_path}/tflite exists and was left as it is. Choose another folder, delete it, or "
        "give --overwrite."
    )
    assert contents(tmp_path, but={"saved_model"}) == before


def test_files_of_several_quantizations_are_made_of_one_graph(
    quick, text_model, tmp_path, monkeypatch
):
    made = []

    def convert(graph, quantization):
        made.append((quantization, graph))
        return b"x" * 1000

    monkeypatch.setattr(WrittenGraph, "convert", convert)
    said(text_model, tmp_path, GenerationSettings(3), ["tflite", "tflite_int8"])
    assert [quantization for quantization, _ in made] == ["float32", "int8"]
    assert made[0][1] is made[1][1]


def test_only_an_export_is_overwritten(quick, text_model, tmp_path):
    said(text_model, tmp_path, None, ["tflite"])
    old = contents(tmp_path)
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "thesis.txt").write_text("mine")
    before = contents(tmp_path)
    beam = GenerationSettings(3)
    _, error = said(text_model, tmp_path, beam, ["tflite", "web"], overwrite=True)
    assert "web is no export of this program, so it is not overwritten" in error
    assert contents(tmp_path) == before
    _, error = said(text_model, tmp_path, beam, ["tflite"], overwrite=True)
    assert not error and contents(tmp_path, but={"web"}) != old


def test_what_others_left_is_named_and_left(quick, text_model, tmp_path):
    left = [tmp_path / ".unfinished-x", tmp_path / "serving" / "m" / ".unfinished-y"]
    for folder in left:
        folder.mkdir(parents=True)
    output, _ = said(text_model, tmp_path, None, ["serving"])
    for folder in left:
        assert f"{folder} was left unfinished by somebody" in output and folder.exists()


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


@pytest.mark.parametrize(
    ("settings", "formats", "line"),
    [
        (GenerationSettings(sample=True), ["saved_model", "tflite"], "Sampling cannot be"),
        (GenerationSettings(sample=True), ["saved_model", "onnx_loop"], "Sampling cannot be"),
        (GenerationSettings(alignments=True), ["tflite", "onnx"], "has no --alignments"),
    ],
)
def test_what_a_format_lacks_is_said_before_any_is_written(
    quick, text_model, tmp_path, settings, formats, line
):
    output, error = said(text_model, tmp_path, settings, formats)
    assert line in error and not output and not list(tmp_path.iterdir())
