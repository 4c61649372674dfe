"""Several devices and processes: their rows, what each must have, and runs that are as one."""

import importlib.util
import json
import os
import socket
import stat
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.cli import supervision
from keras_seq2seq.errors import InputError
from keras_seq2seq.training.run import distribution
from keras_seq2seq.training.run.distribution import LAYOUT, Processes, join
from keras_seq2seq.training.run.run_copy import copy_run
from keras_seq2seq.training.run_directory import RunDirectory
from keras_seq2seq.training.settings import TrainingConfig
from keras_seq2seq.training.settings.run import ADDRESSES, COUNT, INDEX
from tests.conftest import QUICK_XLA, spelled_pairs

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed"
)


def batch_of(rows):
    ids = tf.reshape(tf.range(2 * rows), (rows, 2)) + 1
    return tf.data.Dataset.from_tensors(({"ids": ids}, ids, tf.ones((rows, 2))))


def test_the_rows_of_all_processes_are_the_batch_and_rows_of_no_weight():
    """5 rows on 4 devices of 2 processes: 8 rows, 4 for each."""
    first, second = (
        next(iter(Processes(index, 2, 4).rows_of(batch_of(5)))) for index in (0, 1)
    )
    np.testing.assert_array_equal(first[0]["ids"], [[1, 2], [3, 4], [5, 6], [7, 8]])
    np.testing.assert_array_equal(second[0]["ids"], [[9, 10], [0, 0], [0, 0], [0, 0]])
    np.testing.assert_array_equal(second[2][:, 0], [1, 0, 0, 0])
    alone = next(iter(Processes().rows_of(batch_of(5))))
    np.testing.assert_array_equal(alone[1], np.arange(1, 11).reshape(5, 2))


def test_each_half_of_a_batch_that_holds_its_rows_twice_is_filled_up():
    data = distribution.TrainingData(batch_of(3), 1, None)
    parts = [
        next(iter(Processes(index, 2, 2).shared(data, twice=True).dataset)) for index in (0, 1)
    ]
    np.testing.assert_array_equal(parts[0][1], parts[1][1])
    np.testing.assert_array_equal(parts[0][1][:, 0], [1, 3, 5, 0])


def test_one_process_agrees_with_itself():
    assert Processes().in_order(lambda: 7) == 7
    Processes().check_same(settings={"a": (1, 2)})
    with pytest.raises(InputError, match="^no$"):
        Processes().in_order(lambda: (_ for _ in ()).throw(InputError("no")))


def test_another_process_with_other_settings_is_named(monkeypatch):
    monkeypatch.setattr(Processes, "_told", lambda self, text: [text, "other"])
    with pytest.raises(InputError, match="same settings: those of process 1 are not"):
        Processes(0, 2, 2).check_same(settings={"seed": 1})


def test_what_the_first_process_measures_is_told_to_all(monkeypatch):
    assert Processes().of_first(lambda: {"rate": 0.1}) == {"rate": 0.1}
    told = iter([["", ""], ['{"rate": 0.3}', "{}"], ["no model", ""]])
    monkeypatch.setattr(Processes, "_told", lambda self, text: next(told))
    second = Processes(1, 2, 2)
    assert second.of_first(lambda: pytest.fail("it measures")) == {"rate": 0.3}
    with pytest.raises(InputError, match="^Process 0: no model$"):
        second.of_first(lambda: pytest.fail("it measures"))


TRANSFORMER = {"architecture": "transformer", "distribute": True}


@pytest.mark.parametrize(
    ("settings", "counts", "line"),
    [
        ({}, (1, 1, 1), "found one device and one process"),
        ({"minutes": 1.0}, (1, 2, 2), "--minutes goes by the clock of one process"),
        ({"model_devices": 2}, (2, 4, 2), "is for the devices of one process"),
        ({"model_devices": 3}, (1, 4, 4), "does not divide 4 devices"),
        ({"model_devices": 2, "num_heads": 3}, (1, 2, 2), "--num-heads must be a multiple"),
        ({"architecture": "lstm", "model_devices": 2}, (1, 2, 2), "Received: lstm"),
    ],
)
def test_devices_that_cannot_be_shared_as_asked(settings, counts, line):
    config = TrainingConfig(**{**TRANSFORMER, **settings})
    with pytest.raises(InputError, match=line):
        distribution._check_devices(config, *counts)


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({ADDRESSES: "here:1", COUNT: "x", INDEX: "0"}, f"{COUNT} must be a whole number"),
        ({ADDRESSES: "here:1", COUNT: "2"}, f"{INDEX} must be .* Received: nothing"),
        ({ADDRESSES: "here:1", COUNT: "2", INDEX: "2"}, "Received: 2 of 2 processes"),
        ({ADDRESSES: "here", COUNT: "2", INDEX: "1"}, "a host and a port"),
    ],
)
@needs_jax
def test_variables_that_name_no_process(monkeypatch, variables, line):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=line):
        join(TrainingConfig(distribute=True))


@needs_jax
def test_a_port_that_another_program_has(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        for name, value in ((ADDRESSES, f"127.0.0.1:{port}"), (COUNT, "2"), (INDEX, "0")):
            monkeypatch.setenv(name, value)
        with pytest.raises(InputError, match=f"Port {port} .* cannot be used here"):
            join(TrainingConfig(distribute=True))


def test_on_tensorflow_it_is_refused_and_without_it_nothing_is_joined():
    assert join(TrainingConfig()) == Processes()
    with pytest.raises(InputError, match="needs the JAX backend"):
        join(TrainingConfig(distribute=True))
    with pytest.raises(InputError, match="--model-devices needs --distribute"):
        TrainingConfig(model_devices=2)


def test_a_run_that_a_process_does_not_see(tmp_path):
    with pytest.raises(InputError, match="give one on a shared disk"):
        copy_run(RunDirectory(tmp_path / "run"), tmp_path / "copy")


@pytest.mark.parametrize(
    ("script", "status", "line"),
    [
        ("exit 0", 0, None),
        ("echo 'error: no' >&2; exit 2", 2, None),
        ("echo 'F1130 10:00:00 1 a.h:1] gone' >&2; kill -ABRT $$", None, "ended by SIGABRT"),
        ("echo 'error: no' >&2; echo 'F1130 gone' >&2; kill -ABRT $$", 2, None),
        ("kill -KILL $$", None, "ended by SIGKILL"),
    ],
)
def test_a_process_that_is_ended_from_below_gets_one_line(
    tmp_path, monkeypatch, capsys, script, status, line
):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))
    if line is None:
        assert supervision.run_supervised(["train"]) == status
    else:
        with pytest.raises(InputError, match=line):
            supervision.run_supervised(["train"])
    assert "gone" not in capsys.readouterr().err


JAX = {"KERAS_BACKEND": "jax", "XLA_FLAGS": QUICK_XLA}
SETTINGS = (
    "--architecture transformer --hidden-dim 8 --num-heads 2 --num-layers 1 --monitor loss "
    "--num-buckets 1 --batch-size 25 --dropout 0 --warmup-steps 2 --ema 0.9 "
    "--gradient-accumulation 2 --schedule constant"
)


def started(file, folder, epochs, *options, variables=None):
    command = ["train", str(file), "--run-dir", str(folder), "--epochs", str(epochs)]
    return subprocess.Popen(
        [sys.executable, "-m", "keras_seq2seq", *command, *SETTINGS.split(), *options],
        env={
            **os.environ,
            **JAX,
            "JAX_PLATFORMS": "cpu",
            "XDG_CACHE_HOME": str(folder.parent / "cache"),
            **(variables or {}),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port():
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]


def ended(*processes):
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors


@pytest.mark.large
@needs_jax
def test_a_process_that_never_comes_is_waited_for_and_said(tmp_path):
    file = tmp_path / "pairs.tsv"
    file.write_text("ab\tA B\nba\tB A\n" * 9, "utf-8")
    variables = {
        ADDRESSES: f"127.0.0.1:{free_port()}",
        COUNT: "2",
        INDEX: "0",
        distribution.WAIT_VARIABLE: "1",
    }
    alone = started(file, tmp_path / "run", 1, "--distribute", variables=variables)
    _, errors = alone.communicate(timeout=120)
    assert alone.returncode == 2
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert "could not meet the others" in line or "did not come in time" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.large
@needs_jax
def test_two_processes_learn_as_one_and_one_goes_on_with_their_run(tmp_path):
    pairs = spelled_pairs(60)
    file = tmp_path / "pairs.tsv"
    rows = zip(pairs.sources, pairs.targets, strict=True)
    file.write_text("".join(f"{source}\t{target}\n" for source, target in rows), "utf-8")
    address = f"127.0.0.1:{free_port()}"

    def together(index):
        variables = {ADDRESSES: address, COUNT: "2", INDEX: str(index)}
        return started(file, tmp_path / "two", 2, "--distribute", variables=variables)

    ended(together(0), together(1))
    two = RunDirectory(tmp_path / "two")
    assert two.is_finished and len(two.history) == 2
    ended(
        started(file, tmp_path / "two", 3),
        started(file, tmp_path / "one", 3, variables={"XLA_FLAGS": TWO_DEVICES}),
    )
    one = RunDirectory(tmp_path / "one")
    assert len(two.history) == len(one.history) == 3
    for name in ("loss", "val_loss"):
        both = [[epoch[name] for epoch in run.history] for run in (two, one)]
        # Keras counts rows of weight 0 when it takes the mean over the batches of an epoch.
        np.testing.assert_allclose(*both, rtol=2e-3)
        # With the same weights one process measures the same.
        np.testing.assert_allclose(both[0][2], both[1][2], rtol=1e-5)
    assert json.loads(two.config_file.read_text())["settings"]["run"]["distribute"] is False


TWO_DEVICES = f"{QUICK_XLA} --xla_force_host_platform_device_count=2"


@pytest.mark.large
@needs_jax
def test_a_model_that_two_devices_hold_parts_of_is_the_same(tmp_path):
    """A step in one process: weights are split, and loss and gradient are those of one."""
    program = """
import keras, numpy as np, jax
from keras_seq2seq.training.run import distribution
from keras_seq2seq.training.run.building import build_loss, build_preprocessor
from keras_seq2seq.training.run.steps import batches, compiled
from keras_seq2seq.training.run.own_parts import OwnParts
from keras_seq2seq.training.settings import TrainingConfig
from tests.conftest import spelled_pairs
pairs = spelled_pairs(9)
def losses(**settings):
    config = TrainingConfig(architecture="transformer", hidden_dim=8, num_heads=2, dropout=0.0,
                            batch_size=9, num_buckets=1, warmup_steps=0, **settings)
    processes = distribution.join(config)
    keras.utils.set_random_seed(1)
    preprocessor = build_preprocessor(config, pairs)
    model = compiled(config, preprocessor, 1, OwnParts())
    data = batches(config, preprocessor, pairs, processes=processes)
    fit = model.fit(data.dataset, steps_per_epoch=1, epochs=3, verbose=0, shuffle=False)
    split = [v.path for v in model.trainable_variables
             if not v.value.sharding.is_fully_replicated]
    return fit.history["loss"], split
alone, none = losses()
shared, split = losses(distribute=True, model_devices=2)
assert not none and len(split) == SPLIT, split
np.testing.assert_allclose(alone, shared, atol=1e-5)
"""
    done = subprocess.run(
        [sys.executable, "-c", program.replace("SPLIT", "28")],
        env={**os.environ, **JAX, "XLA_FLAGS": TWO_DEVICES},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert LAYOUT
