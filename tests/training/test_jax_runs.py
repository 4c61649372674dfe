"""Runs on the JAX backend: trained there, decoded and evaluated under TensorFlow."""

import base64
import importlib.util
import json
import os
import re
import stat
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.data import Pairs, read_pairs, validation_data
from keras_seq2seq.errors import InputError
from keras_seq2seq.models.compilation import compiled_quickly, keep_compiled
from tests.conftest import QUICK_XLA, spelled_pairs
from training.evaluation.elsewhere import Elsewhere
from training.run.building import build_loss
from training.run.checks import check_backend
from training.run.machine import describe_machine
from training.run.running import next_step
from training.run_directory import RunDirectory
from training.settings import TrainingConfig


def test_a_backend_that_cannot_train_is_refused(monkeypatch):
    check_backend()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    check_backend()
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(InputError, match="must be tensorflow or jax. Received: torch"):
        check_backend()


def test_what_a_callback_sets_on_jax_holds_from_the_next_step_on():
    """The state of an epoch is given back before the step is read."""
    optimizer = SimpleNamespace(iterations=3)
    model = SimpleNamespace(optimizer=optimizer)
    model.jax_state_sync = lambda: setattr(optimizer, "iterations", 7)
    assert next_step(model) == 7
    assert next_step(SimpleNamespace(optimizer=SimpleNamespace(iterations=3))) == 3


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("read path; echo 'keras_seq2seq: {\"a\": 0.5}'", None),
        ('read path; echo \'keras_seq2seq: {"error": "no"}\'', "^no$"),
        ("echo gone >&2; exit 3", "ended with status 3: gone. --monitor loss does without"),
    ],
)
def test_what_another_process_decodes_and_that_it_may_end(tmp_path, monkeypatch, script, line):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))
    with Elsewhere(Pairs(["a"], ["A"]), ()) as elsewhere:
        if line is None:
            assert elsewhere.ask(tmp_path / "model.keras") == {"a": 0.5}
            return
        with pytest.raises(InputError, match=line):
            elsewhere.ask(tmp_path / "model.keras")


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_what_is_compiled_is_kept_in_the_users_cache_unless_jax_was_told_otherwise(
    tmp_path, monkeypatch
):
    import jax

    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert keep_compiled() is None
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    try:
        assert keep_compiled() == tmp_path / "keras_seq2seq" / "jax"
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
        assert keep_compiled() == tmp_path / "own"
        with compiled_quickly():
            assert jax.config.read("jax_disable_most_optimizations")
        assert not jax.config.read("jax_disable_most_optimizations")
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


@pytest.mark.large
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_a_run_on_jax_decodes_and_is_evaluated_under_tensorflow(tmp_path):
    pairs = spelled_pairs(120)
    rows = zip(pairs.sources, pairs.targets, strict=True)
    file, path = tmp_path / "pairs.tsv", tmp_path / "run"
    file.write_text("".join(f"{source}\t{target}\n" for source, target in rows), "utf-8")
    settings = (
        "--architecture transformer --hidden-dim 16 --num-layers 1 --num-heads 2 --epochs 3 "
        "--monitor token_error_rate --schedule plateau --ema 0.9 --average 2 --num-buckets 1 "
        "--warmup-steps 2"
    )
    command = ["train", str(file), "--run-dir", str(path), *settings.split()]
    done = subprocess.run(
        [sys.executable, "-m", "keras_seq2seq", *command],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "XLA_FLAGS": QUICK_XLA,
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert any((tmp_path / "cache" / "keras_seq2seq" / "jax").iterdir())
    assert "give `keras-seq2seq evaluate" in done.stdout
    run = RunDirectory(path)
    losses = [epoch["val_loss"] for epoch in run.history]
    assert losses[2] < losses[0]
    # The warm-up ended with its peak.
    assert run.history[0]["learning_rate"] == pytest.approx(1e-3)
    summary = json.loads(run.metrics_file.read_text("utf-8"))
    assert summary["average"]["epochs"] == [2, 3]

    # What JAX measured is what TensorFlow measures.
    model, held_out = run.load_model(), read_pairs(run.validation_file)
    data = validation_data(model.preprocessor, held_out.sources, held_out.targets)
    average = summary["average"]
    best = run.history[summary["best_epoch"] - 1]
    kept = average if average["kept"] else best
    model.compile(loss=build_loss(TrainingConfig()), jit_compile=False)
    loss = model.evaluate(data, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(loss, kept["val_loss"], rtol=1e-4)

    for command in ("evaluate", "report"):
        result = CliRunner().invoke(main, [command, str(path)])
        assert result.exit_code == 0, result.output
    rates = json.loads(run.evaluation_file.read_text("utf-8"))
    assert rates["sequences"] == len(held_out.references())
    assert rates["token_error_rate"] == pytest.approx(kept["val_token_error_rate"])
    assert "validation loss" in base64_text(run.report_file)


def base64_text(report):
    """The drawings of a report as text."""
    pictures = re.findall('svg.xml;base64,([^"]+)', report.read_text("utf-8"))
    return " ".join(base64.b64decode(picture).decode() for picture in pictures)


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
@pytest.mark.parametrize(
    ("platform", "name"), [("cpu", ""), ("gpu", "NVIDIA H200, JAX ")], ids=["cpu", "gpu"]
)
def test_the_accelerator_of_a_run_is_named(monkeypatch, platform, name):
    import jax

    device = SimpleNamespace(platform=platform, device_kind="NVIDIA H200")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(jax, "devices", lambda: [device])
    version = jax.__version__ if name else ""
    assert describe_machine()["accelerator"] == name + version


@pytest.mark.large
@pytest.mark.soak
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_a_run_on_jax_goes_on(tmp_path):
    pairs = spelled_pairs(80)
    rows = zip(pairs.sources, pairs.targets, strict=True)
    file, path = tmp_path / "pairs.tsv", tmp_path / "run"
    file.write_text("".join(f"{source}\t{target}\n" for source, target in rows), "utf-8")
    settings = (
        "--architecture transformer --hidden-dim 16 --num-heads 2 --monitor loss --ema 0.9 "
        "--average 2 --num-buckets 1 --schedule constant"
    )
    command = [sys.executable, "-m", "keras_seq2seq", "train", str(file), *settings.split()]

    def train(path, epochs):
        done = subprocess.run(
            [*command, "--run-dir", str(path), "--epochs", str(epochs)],
            env={**os.environ, "KERAS_BACKEND": "jax"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    train(path, 2)
    output = train(path, 3)
    assert "Going on after epoch 2: --epochs was 2 and is now 3" in output
    assert "anew" not in output
    train(tmp_path / "whole", 3)
    histories = (RunDirectory(p).history for p in (path, tmp_path / "whole"))
    for epoch, same in zip(*histories, strict=True):
        assert epoch == pytest.approx(same, rel=1e-5)


@pytest.mark.large
@pytest.mark.soak
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_a_run_on_jax_begins_with_a_trained_model(tmp_path):
    for name, pairs in (("base", spelled_pairs(80)), ("new", spelled_pairs(60, seed=5))):
        both = zip(pairs.sources, pairs.targets, strict=True)
        rows = [f"{source}\t{target}\n" for source, target in both]
        if name == "new":
            rows = [row.replace("f", "é").replace("FF", "ÉÉ") for row in rows]
        (tmp_path / f"{name}.tsv").write_text("".join(rows), "utf-8")

    def train(name, backend, settings):
        command = ["train", str(tmp_path / f"{name}.tsv"), "--run-dir", str(tmp_path / name)]
        command += ["--num-buckets", "1", "--warmup-steps", "2", *settings.split()]
        done = subprocess.run(
            [sys.executable, "-m", "keras_seq2seq", *command],
            env={**os.environ, "KERAS_BACKEND": backend, "XLA_FLAGS": QUICK_XLA},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    small = "--architecture transformer --positions relative_vectors --hidden-dim 16"
    train("base", "tensorflow", f"{small} --num-layers 1 --num-heads 2 --epochs 1")
    tuning = f"--from {tmp_path / 'base'} --extend-vocabulary --freeze encoder --lora-rank 2"
    assert "1 new source token" in train("new", "jax", f"{tuning} --epochs 1")
    assert "Resuming after epoch 1" in train("new", "jax", f"{tuning} --epochs 2")
    base, new = (RunDirectory(tmp_path / name).load_model() for name in ("base", "new"))
    own, frozen = ({w.path: w.numpy() for w in model.weights} for model in (base, new))
    assert own.keys() == frozen.keys()
    for path, weight in own.items():
        is_encoder = path.startswith("encoder")
        rows = slice(len(weight)) if "encoder_embedding" in path else slice(None)
        assert np.array_equal(frozen[path][rows], weight) or not is_encoder, path
    changed = "decoder_0_self_query/kernel"
    assert not np.array_equal(own[changed], frozen[changed])
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
