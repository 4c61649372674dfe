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

from export import OnnxLoopRunner, OnnxRunner, compare, export_formats
from export.onnx_export import _search_options, export_onnx, export_onnx_loop
from export.predictors import open_predictor
from keras_seq2seq.converters import from_ctranslate2
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from tests.converters.whisper_files import weights, write_whisper
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


def run_example(number, folder, tmp_path, monkeypatch, capsys):
    """What an example of the page prints, with this folder in the place of its own."""
    page = (Path(__file__).parents[2] / "docs" / "artefacts.md").read_text("utf-8")
    section = page.split("\n## ONNX")[1].split("\n## ")[0]
    block = re.findall(r"```python\n(.*?)```", section, re.S)[number]
    (tmp_path / "exports" / "demo").mkdir(parents=True)
    name = ("onnx", "onnx_loop")[number]
    (tmp_path / "exports" / "demo" / name).symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "artefacts.md", "exec"), {})
    return capsys.readouterr().out


def test_the_example_of_the_page_runs(folder, tmp_path, monkeypatch, capsys):
    assert run_example(0, folder[1], tmp_path, monkeypatch, capsys).startswith("['")


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


def test_the_whole_loop_is_in_one_file(transformer_model, tmp_path, pairs, monkeypatch, capsys):
    path = tmp_path / "onnx_loop"
    settings = GenerationSettings(4, 2, num_beam_groups=2, diversity_penalty=0.3)
    export_onnx_loop(transformer_model, path, settings)
    sources = pairs.sources[:6]
    runner, expected = OnnxLoopRunner(path), transformer_model.search(sources, settings)
    # Of several sources at once, as the batch is free.
    ids = transformer_model.preprocessor.encoder_inputs(sources)["encoder_token_ids"].numpy()
    outputs = runner._generate(encoder_token_ids=ids)
    np.testing.assert_allclose(outputs["log_probs"], expected.log_probs, atol=1e-4)
    np.testing.assert_array_equal(
        outputs["token_ids"][..., : expected.token_ids.shape[2]], expected.token_ids
    )
    _, row = compare(transformer_model, [path], sources)
    assert row.passes and row.engine == "onnx_loop" and row.threads == 1
    done = subprocess.run(
        [sys.executable, "onnx_runner.py", sources[0]],
        cwd=path,
        env={"PYTHONSAFEPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    texts = [line.split("\t")[2] for line in done.stdout.splitlines()]
    assert texts == transformer_model.texts(expected)[0]
    assert run_example(1, path, tmp_path, monkeypatch, capsys).startswith("['")
    with pytest.raises(InputError, match="Sampling cannot be exported to ONNX"):
        export_onnx_loop(transformer_model, tmp_path / "x", GenerationSettings(sample=True))


def test_a_whisper_hears_its_language_there_too(tmp_path):
    folder = write_whisper(tmp_path / "whisper", weights(6))
    model = from_ctranslate2(folder, max_target_length=12)
    assert len(model.preprocessor.target_tokenizer.begin_choices[0]) == 2
    export_onnx(model, tmp_path / "onnx", GREEDY)
    random = np.random.default_rng(5)
    sounds = [random.normal(0, 0.1, length).astype(np.float32) for length in (9000, 400)]
    same(model, OnnxRunner(tmp_path / "onnx"), sounds, BEAM)
    timed = from_ctranslate2(folder, max_target_length=12, timestamps=True)
    with pytest.raises(InputError, match="no rules for marks of time: export onnx_loop"):
        export_onnx(timed, tmp_path / "x", GREEDY)
    assert not (tmp_path / "x").exists()


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
