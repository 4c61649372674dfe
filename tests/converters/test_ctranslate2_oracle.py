"""Models of the families give what CTranslate2 gives.

Needs a Python with ctranslate2, transformers and torch: this one, or that of the variable
KERAS_SEQ2SEQ_ORACLE_PYTHON. Elsewhere these tests are skipped.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export.weight_folders import export_ctranslate2
from keras_seq2seq.converters import from_ctranslate2, to_ctranslate2
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.special_tokens import END_ID
from tests.converters.test_ctranslate2 import (
    KINDS,
    LONGEST,
    SOURCES,
    TARGETS,
    WORDS,
    build,
    rewritten,
)

PYTHON = os.environ.get("KERAS_SEQ2SEQ_ORACLE_PYTHON", sys.executable)
ORACLE = Path(__file__).with_name("ctranslate2_oracle.py")
FAMILIES = (
    *("marian", "bart", "mbart", "m2m100", "pegasus"),
    *("t5", "t5_gated", "umt5", "t5gemma"),
)
SPECIFICATIONS = ("vectors", "one_key", "rotary", "rotary_halves")
CASES = [
    *((family, end) for family in FAMILIES for end in ("", "_int8", "_float16", "_bfloat16")),
    *((name, "") for name in SPECIFICATIONS),
]


def run(*arguments):
    done = subprocess.run(
        [PYTHON, str(ORACLE), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def _oracle():
    names = "ctranslate2, transformers, torch"
    if subprocess.run([PYTHON, "-c", f"import {names}"], capture_output=True).returncode:
        pytest.skip(f"needs a Python with {names} (KERAS_SEQ2SEQ_ORACLE_PYTHON)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("oracle")
    run(path)
    return path


def text(tokens):
    return " ".join(tokens).replace("<unk>", "[UNK]")


@pytest.mark.parametrize(("family", "quantization"), CASES)
def test_log_probabilities_and_tokens(folder, family, quantization):
    path = folder / f"{family}{quantization}"
    answers = json.loads(path.with_suffix(".json").read_text("utf-8"))
    model = from_ctranslate2(path, max_source_length=30, max_target_length=20)
    sources, targets = (
        [" ".join(tokens) for tokens in answers[name]] for name in ("sources", "targets")
    )
    tolerance = 2e-3 if quantization else 1e-4
    if "float16" in quantization and model.decoder.positions == "sinusoidal":
        # CTranslate2 adds the table as it was rounded, ours its formula.
        tolerance = 0.1
    for found, expected in zip(
        model.token_log_probs(sources, targets), answers["log_probs"], strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=tolerance)
    if quantization:
        return
    # A random T5 may write its padding, which begins targets; ours never does.
    rows = [i for i in range(len(sources)) if "<pad>" not in answers["greedy"][i]]
    assert len(rows) > 80
    generated = model.generate(sources)
    assert [generated[i] for i in rows] == [text(answers["greedy"][i]) for i in rows]
    # At the greatest length ours ends every hypothesis, CTranslate2 cuts it.
    rows = [
        i
        for i in range(len(sources))
        if len(answers["beam"][i]) < 20 and "<pad>" not in answers["beam"][i]
    ]
    beam = model.search(sources, num_beams=4)
    texts = model.texts(beam)
    assert [texts[i][0] for i in rows] == [text(answers["beam"][i]) for i in rows]
    np.testing.assert_allclose(
        beam.log_probs[rows, 0], np.array(answers["beam_scores"])[rows], atol=1e-4
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_out_is_what_ctranslate2_reads(tmp_path, kind):
    model = build(**KINDS[kind])
    to_ctranslate2(model, tmp_path / "model")
    source, target = (one.begin for one in model.preprocessor.tokenizers.values())
    request = {
        "sources": [[*source, *text.split()] for text in SOURCES],
        "targets": [[*target, *text.split()] for text in TARGETS],
        "max_length": LONGEST["max_target_length"],
    }
    (tmp_path / "request.json").write_text(json.dumps(request), "utf-8")
    answers = json.loads(run(tmp_path / "model", tmp_path / "request.json"))
    for found, expected in zip(
        model.token_log_probs(SOURCES, TARGETS), answers["log_probs"], strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    if not target:
        assert model.generate(SOURCES) == [text(tokens) for tokens in answers["greedy"]]


def test_positions_that_are_not_in_the_file_are_those_that_ctranslate2_computes(tmp_path):
    to_ctranslate2(build(), tmp_path / "whole")

    def without_tables(variables):
        for side in ("encoder", "decoder"):
            del variables[f"{side}/position_encodings/encodings"]

    path = rewritten(tmp_path / "whole", tmp_path / "model", without_tables)
    request = {
        "sources": [text.split() for text in SOURCES],
        "targets": [text.split() for text in TARGETS],
        "max_length": 10,
    }
    (tmp_path / "request.json").write_text(json.dumps(request), "utf-8")
    answers = json.loads(run(path, tmp_path / "request.json"))
    model = from_ctranslate2(path, **LONGEST)
    assert model.decoder.style.first_position == 1
    for found, expected in zip(
        model.token_log_probs(SOURCES, TARGETS), answers["log_probs"], strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["gated, relative", "waves, logits of their own"])
def test_the_runner_of_an_exported_folder_gives_the_texts_of_the_model(tmp_path, kind):
    model = build(**{**KINDS[kind], "begin": ((), ())})
    for weight in model.weights:
        weight.assign(0.3 * weight)
    # Less sure of itself, and often at an end.
    layers = {layer.name: layer for layer in model.layers}
    bias = (layers.get("decoder_output_bias") or layers["decoder_logits"]).weights[-1]
    bias.assign(bias + 3 * np.eye(len(WORDS))[END_ID])
    for search in (GenerationSettings(), GenerationSettings(3, min_length=2)):
        path = tmp_path / search.description.replace(" ", "_")
        export_ctranslate2(model, path, search)
        done = subprocess.run(
            [PYTHON, "ctranslate2_runner.py", *SOURCES],
            cwd=path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        expected = model.search(SOURCES, search)
        # At the greatest length CTranslate2 cuts a target, which ours ends.
        ends = expected.lengths.max(1) < LONGEST["max_target_length"]
        assert ends.all() or search.num_beams == 1
        assert [text for _, _, text in lines] == [row[0] for row in model.texts(expected)]
        log_probs = [float(one) for _, one, _ in lines]
        np.testing.assert_allclose(log_probs, expected.log_probs[:, 0], atol=2e-4)
