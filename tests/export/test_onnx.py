"""ONNX: the search in NumPy over encoder and decoder step gives what the Keras model gives."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

pytest.importorskip("tf2onnx")
pytest.importorskip("onnxruntime")

from export import OnnxRunner, compare, export_formats
from export.onnx_export import _search_options, export_onnx
from export.predictors import open_predictor
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from tests.searches import BEAM

GREEDY = GenerationSettings()
SEARCHES = {
    "greedy": GREEDY,
    "beam": BEAM,
    "every rule": GenerationSettings(
        num_beams=4,
        num_hypotheses=4,
        length_rule="gnmt",
        length_penalty=0.8,
        min_length=3,
        max_length=6,
        patience=2,
        no_repeat_ngram_size=2,
        repetition_penalty=1.3,
        suppress=("BB",),
        bias={"AA": 0.5, "[UNK]": 2.0},
    ),
    "reward": GenerationSettings(
        num_beams=3,
        num_hypotheses=3,
        length_rule="reward",
        length_penalty=-0.7,
        patience=float("inf"),
        forbid_unknown=True,
    ),
    "greedy under rules": GenerationSettings(min_length=4, no_repeat_ngram_size=1),
}
MODELS = ["text_model", "transformer_model"]


@pytest.fixture(scope="module", params=MODELS)
def folder(request, once):
    model = request.getfixturevalue(request.param)
    return model, once(f"{request.param}_onnx", lambda path: export_onnx(model, path, BEAM))


def same(model, runner, sources, settings):
    runner.description["search"] = _search_options(model, settings)
    expected = model.search(sources, settings)
    for row, source in enumerate(sources):
        texts, outputs = runner.generate(source)
        assert texts == model.texts(expected)[row]
        for name, values in outputs.items():
            right = {"length": "lengths"}.get(name, name)
            right = getattr(expected, right)[row]
            np.testing.assert_allclose(values[0], right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("search", SEARCHES)
def test_every_search_is_that_of_the_model(folder, search, pairs):
    model, path = folder
    same(model, OnnxRunner(path), pairs.sources[:12], SEARCHES[search])


def test_targets_begin_with_what_the_tokenizer_begins_with(folder):
    model, path = folder
    runner = OnnxRunner(path)
    tokenizer = model.preprocessor.target_tokenizer
    runner.description["search"]["prefix"] = tokenizer.tokenize("CC AA").numpy().tolist()
    expected = model.search(["cab"], BEAM, prefixes=["CC AA"])
    texts, outputs = runner.generate("cab")
    assert texts == model.texts(expected)[0] and texts[0].startswith("CC AA")
    np.testing.assert_allclose(outputs["log_probs"][0], expected.log_probs[0], atol=1e-4)


def test_the_example_of_the_page_runs(folder, tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "artefacts.md").read_text("utf-8")
    (block,) = re.findall(
        r"```python\n(.*?)```", page.split("\n## ONNX")[1].split("\n## ")[0], re.S
    )
    (tmp_path / "exports" / "demo").mkdir(parents=True)
    (tmp_path / "exports" / "demo" / "onnx").symlink_to(folder[1])
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "artefacts.md", "exec"), {})
    assert capsys.readouterr().out.startswith("['")


def test_the_folder_is_a_program_without_this_package(folder):
    model, path = folder
    done = subprocess.run(
        [sys.executable, "onnx_runner.py", "cab"],
        cwd=path,
        env={"PYTHONSAFEPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[2] for line in lines] == model.texts(model.search(["cab"], BEAM))[0]


def test_parity_opens_it_and_weights_alone(text_model, once, tmp_path):
    pytest.importorskip("safetensors")
    path = once("text_model_onnx", lambda path: export_onnx(text_model, path, BEAM))
    export_formats(text_model, tmp_path, ["safetensors"], BEAM, Console(quiet=True))
    rows = compare(text_model, [path, tmp_path / "safetensors"], ["cab", "fee"], memory=False)
    assert [row.engine for row in rows] == ["Keras model", "text_model_onnx", "safetensors"]
    assert all(row.passes and row.agreement == 1 for row in rows)
    with pytest.raises(InputError, match="cannot be served"):
        open_predictor(path)


def test_parity_opens_a_folder_for_ctranslate2(transformer_model, tmp_path):
    formats = ["ctranslate2"]
    export_formats(transformer_model, tmp_path, formats, GREEDY, Console(quiet=True))
    path = tmp_path / "ctranslate2"
    if importlib.util.find_spec("ctranslate2") is None:
        with pytest.raises(InputError, match="pip install ctranslate2"):
            compare(transformer_model, [path], ["cab"])
        return
    _, row = compare(transformer_model, [path], ["cab", "fee", "d"])
    assert (row.engine, row.threads, row.passes) == ("ctranslate2", 1, True)
    # What it means otherwise is refused, and not left out.
    shutil.rmtree(path)
    export_formats(transformer_model, tmp_path, formats, BEAM, Console(quiet=True))
    with pytest.raises(InputError, match="exported with: length_penalty"):
        compare(transformer_model, [path], ["cab"])


def test_what_the_runner_lacks_and_damage_are_one_line(text_model, folder, tmp_path):
    with pytest.raises(InputError, match="has no --beam-groups"):
        export_onnx(text_model, tmp_path / "x", GenerationSettings(4, num_beam_groups=2))
    with pytest.raises(InputError, match="has no --sample"):
        export_onnx(text_model, tmp_path / "x", GenerationSettings(sample=True))
    assert not list(tmp_path.iterdir())
    _, path = folder
    shutil.copytree(path, tmp_path / "copy")
    content = (path / "encode.onnx").read_bytes()
    (tmp_path / "copy" / "encode.onnx").write_bytes(content[:-9])
    with pytest.raises(ValueError, match="encode.onnx is not as it was exported"):
        OnnxRunner(tmp_path / "copy")
    (tmp_path / "copy" / "decode_step.onnx").unlink()
    with pytest.raises(FileNotFoundError, match="has no decode_step.onnx"):
        OnnxRunner(tmp_path / "copy")
    description = json.loads((path / "signatures.json").read_text("utf-8"))
    assert description["signatures"] == ["encode", "decode_step"]
