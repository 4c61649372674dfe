"""Weights by name and the configuration: what goes out comes back."""

import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.converters import from_safetensors, to_safetensors
from keras_seq2seq.errors import InputError
from tests.kills import kill_after

numpy_files = pytest.importorskip("safetensors.numpy")


@pytest.fixture(scope="module", params=["text_model", "transformer_model"])
def pair(request, tmp_path_factory):
    model = request.getfixturevalue(request.param)
    path = tmp_path_factory.mktemp("weights") / "model"
    to_safetensors(model, path)
    return model, path


def test_every_weight_comes_back_to_the_bit(pair):
    model, path = pair
    arrays = numpy_files.load_file(path / "model.safetensors")
    assert sorted(arrays) == sorted(weight.path for weight in model.weights)
    other = from_safetensors(path)
    for ours, theirs in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    tokenizer, same = (one.preprocessor.source_tokenizer for one in (model, other))
    assert tokenizer.get_vocabulary() == same.get_vocabulary()


def test_import_makes_a_run_of_it(text_model, tmp_path, monkeypatch):
    model, path, run = text_model, tmp_path / "weights", tmp_path / "runs" / "run"
    to_safetensors(model, path)
    command = ["import", str(path), "--run-dir", str(run)]
    # What was killed before it is whole is no run, and the same command makes it.
    kill_after(run.parent, 12, lambda: CliRunner().invoke(main, command), monkeypatch)
    assert [one.name[:12] for one in run.parent.iterdir()] == [".unfinished-"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert [*run.parent.iterdir()] == [run]
    # Its tokenizers are in it: an option for others would be refused.
    assert "-tokenizer FILE" not in result.output
    arguments = ["generate", str(run), "cab", "--beam-size", "2"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert model.generate("cab", num_beams=2) in result.stdout
    result = CliRunner().invoke(
        main, ["import", str(path), "--run-dir", str(tmp_path / "x"), "--source-prefix", "a"]
    )
    assert result.exit_code == 2 and "--source-prefix does not apply" in result.stderr
    assert not (tmp_path / "x").exists()


def test_folders_that_do_not_fit_are_one_line(pair, tmp_path):
    _, path = pair
    with pytest.raises(InputError, match="exists. Choose another folder"):
        to_safetensors(pair[0], path)
    with pytest.raises(InputError, match="model.safetensors: no such file"):
        from_safetensors(tmp_path)
    copy = tmp_path / "copy"

    def changed(name, change):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(path, copy)
        (copy / name).write_bytes(change((path / name).read_bytes()))
        with pytest.raises(InputError) as caught:
            from_safetensors(copy)
        return str(caught.value)

    assert "cannot be read" in changed("model.safetensors", lambda content: content[:-4])
    assert "cannot be read" in changed("model.safetensors", lambda content: b"\xff" * 50)
    assert "is not JSON" in changed("config.json", lambda content: content[:50])
    assert "must hold an object" in changed("config.json", lambda content: b"[1]")
    unknown = (
        b'{"module": "x", "class_name": "Nothing", "config": {}, "registered_name": "x>Y"}'
    )
    assert "makes no model" in changed("config.json", lambda content: unknown)
    huge = changed(
        "config.json",
        lambda content: re.sub(
            rb'"(hidden|intermediate)_dim": \d+', rb'"\1_dim": 90000', content
        ),
    )
    assert "Give a file that you trust" in huge
    assert "not of a Seq2Seq" in changed("config.json", lambda content: b'{"a": 1}')
    arrays = numpy_files.load_file(path / "model.safetensors")
    first = next(iter(pair[0].weights)).path
    arrays[first] = arrays[first][:-1].copy()

    def other(content):
        numpy_files.save_file(arrays, tmp_path / "other")
        return (tmp_path / "other").read_bytes()

    assert f"the weight {first} has the shape" in changed("model.safetensors", other)
    arrays["more"] = arrays.pop(first)
    assert "has the shape none" in changed("model.safetensors", other)
    config = json.loads((path / "config.json").read_text("utf-8"))
    assert config["class_name"] == "Seq2Seq"
