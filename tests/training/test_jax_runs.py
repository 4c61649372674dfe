"""Runs on the JAX backend: trained and chosen by loss there, evaluated under TensorFlow."""

import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.data import read_pairs, validation_data
from keras_seq2seq.errors import InputError
from tests.conftest import QUICK_XLA, spelled_pairs
from training.run.building import build_loss
from training.run.checks import check_backend
from training.run.machine import describe_machine
from training.run_directory import RunDirectory
from training.settings import TrainingConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "only --monitor loss is known. Received: --monitor sequence_error_rate"),
        ({"monitor": "loss", "schedule": "plateau"}, "--schedule plateau changes the"),
        ({"monitor": "loss", "minutes": 1.0}, "--minutes changes the learning rate"),
    ],
)
def test_what_another_backend_cannot_follow_is_refused(monkeypatch, settings, message):
    config = TrainingConfig(**settings)
    check_backend(config)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match=message):
        check_backend(config)
    check_backend(TrainingConfig(monitor="loss"))
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(InputError, match="must be tensorflow or jax. Received: torch"):
        check_backend(TrainingConfig(monitor="loss"))


@pytest.mark.large
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_a_run_on_jax_is_evaluated_under_tensorflow(tmp_path, monkeypatch):
    pairs = spelled_pairs(120)
    rows = zip(pairs.sources, pairs.targets, strict=True)
    file, path = tmp_path / "pairs.tsv", tmp_path / "run"
    file.write_text("".join(f"{source}\t{target}\n" for source, target in rows), "utf-8")
    settings = (
        "--architecture transformer --hidden-dim 16 --num-layers 1 --num-heads 2 --epochs 3 "
        "--monitor loss --ema 0.9 --average 2 --num-buckets 1 --warmup-steps 2"
    )
    command = ["train", str(file), "--run-dir", str(path), *settings.split()]

    with monkeypatch.context() as context:
        context.setattr(keras.backend, "backend", lambda: "jax")
        refused = CliRunner().invoke(main, [*command, "--monitor", "token_error_rate"])
    assert refused.exit_code == 2 and "Received: --monitor token_error_rate" in refused.stderr
    assert not path.exists()

    done = subprocess.run(
        [sys.executable, "-m", "keras_seq2seq", *command],
        env={**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": QUICK_XLA},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "give `keras-seq2seq evaluate" in done.stdout
    run = RunDirectory(path)
    losses = [epoch["val_loss"] for epoch in run.history]
    assert losses[2] < losses[0]
    assert set(run.history[0]) == {"epoch", "accuracy", "loss", "val_accuracy", "val_loss"}
    summary = json.loads(run.metrics_file.read_text("utf-8"))
    assert summary["average"]["epochs"] == [2, 3]
    assert not any(name.startswith("validation_") for name in summary)

    # What JAX measured is what TensorFlow measures.
    model, held_out = run.load_model(), read_pairs(run.validation_file)
    data = validation_data(model.preprocessor, held_out.sources, held_out.targets)
    average = summary["average"]
    kept = average["val_loss"] if average["kept"] else min(losses)
    model.compile(loss=build_loss(TrainingConfig()), jit_compile=False)
    loss = model.evaluate(data, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(loss, kept, rtol=1e-4)

    for command in ("evaluate", "report"):
        result = CliRunner().invoke(main, [command, str(path)])
        assert result.exit_code == 0, result.output
    rates = json.loads(run.evaluation_file.read_text("utf-8"))
    assert rates["sequences"] == len(held_out.references())
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
