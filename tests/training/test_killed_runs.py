"""The real `train`, killed at each change that it makes to its folder, then given again.

What takes long is stood for: the steps of an epoch add a number to the weights.
"""

import io
import json
import shutil
import zipfile
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest
from rich.console import Console

from keras_seq2seq.data import Splits
from keras_seq2seq.models import Seq2Seq
from tests.conftest import spelled_pairs
from tests.kills import count_changes, kill_after
from training.run.trainer import train
from training.run_directory import RunDirectory
from training.settings import TrainingConfig

CONFIG = TrainingConfig(
    architecture="lstm",
    embedding_dim=2,
    hidden_dim=2,
    epochs=3,
    average=2,
    dropout=0.0,
    patience=5,
    keep_checkpoint=False,
)
ERRORS = [0.5, 0.25, 0.75]
# Seconds differ, and where a resume began.
VARYING = {"seconds", "pairs_per_second", "resumed_from_epoch"}


def fit(model, *arguments, epochs, initial_epoch, callbacks, **others):
    """What `fit` calls, without its steps."""
    callbacks = [c for c in callbacks if not isinstance(c, keras.callbacks.TensorBoard)]
    for callback in callbacks:
        callback.set_model(model)
        callback.set_params({"epochs": epochs, "steps": 1})
        callback.on_train_begin()
    for epoch in range(initial_epoch, epochs):
        for callback in callbacks:
            callback.on_epoch_begin(epoch)
        for weight in model.trainable_weights:
            weight.assign(weight + epoch + 1)
        logs = {"loss": 3.0 - epoch, "val_loss": 4.0 - epoch}
        for callback in callbacks:
            callback.on_epoch_end(epoch, logs)


@pytest.fixture
def quick(monkeypatch):
    """Stands for the steps and the decoding."""

    def evaluated(model, *arguments):
        epoch = round(float(np.ravel(model.trainable_weights[-1].numpy())[0])) % 3
        rate = ERRORS[epoch]
        return SimpleNamespace(values={"token_error_rate": rate, "sequence_error_rate": rate})

    monkeypatch.setattr(Seq2Seq, "fit", fit)
    monkeypatch.setattr(Seq2Seq, "evaluate", lambda self, *a, **k: {"loss": 1.0})
    monkeypatch.setattr("training.run.callbacks.evaluate", evaluated)
    monkeypatch.setattr("training.run.trainer.evaluate", evaluated)


def weights_of(path):
    """The arrays of a saved model; the file itself holds the time of its writing."""
    found = {}
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as file:
        h5py.File(file, "r").visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def state_of(path):
    run = RunDirectory(path)
    summary = {k: v for k, v in run.metrics().items() if k not in VARYING}
    texts = {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in path.rglob("*.t*")
        if "logs" not in file.parts
    }
    return summary, run.history, run.config, texts


def assert_same(path, other):
    assert state_of(path) == state_of(other)
    names = sorted(file.relative_to(path) for file in path.rglob("*.keras"))
    assert names == sorted(file.relative_to(other) for file in other.rglob("*.keras"))
    for name in names:
        first, second = weights_of(path / name), weights_of(other / name)
        assert first.keys() == second.keys()
        for key in first:
            np.testing.assert_array_equal(first[key], second[key])
    assert not list(path.rglob(".unfinished-*")) and not (path / "train.lock").exists()
    kept = [run.settings.run.keep_checkpoint for run in map(RunDirectory, (path, other))]
    assert [(path / "checkpoint").exists(), (other / "checkpoint").exists()] == kept


SPLITS = Splits(spelled_pairs(12), spelled_pairs(6, seed=1), spelled_pairs(4, seed=2))


def work(path, config=CONFIG):
    keras.backend.clear_session()  # Names of layers begin anew, as in a new process.
    output = io.StringIO()
    train(config, SPLITS, RunDirectory(path), Console(file=output, width=400))
    return output.getvalue()


# The rest are as good, and take two minutes.
@pytest.mark.parametrize(
    "every",
    [31, pytest.param(1, marks=[pytest.mark.large, pytest.mark.soak])],
    ids=["some", "all"],
)
def test_a_run_killed_at_any_change_is_finished_by_the_same_command(
    quick, tmp_path, monkeypatch, every
):
    whole = tmp_path / "whole"
    changes = count_changes(whole, lambda: work(whole))
    assert changes > 60
    for number in range(0, changes, every):
        path = tmp_path / f"killed_{number}"
        kill_after(path, number, lambda path=path: work(path), monkeypatch)
        record = path / "checkpoint" / "record.json"
        before = json.loads(record.read_text())["history"] if record.exists() else []
        work(path)
        assert RunDirectory(path).history[: len(before)] == before, number
        assert_same(path, whole)


def test_what_a_kill_left_behind_the_last_record_is_removed(quick, tmp_path):
    config = CONFIG.replace(keep_checkpoint=True)
    whole, path = tmp_path / "whole", tmp_path / "killed"
    work(whole, config)
    shutil.copytree(whole, path)
    (path / "metrics.json").unlink()
    for folder, ending in (("epochs", "keras"), ("checkpoint", "weights.h5")):
        there = sorted((path / folder).glob(f"*.{ending}"))
        every = {path / folder / f"epoch_000{number}.{ending}" for number in (1, 2, 3)}
        for stale in every - set(there):
            shutil.copy(there[0], stale)
    work(path, config)
    assert_same(path, whole)
    assert [len(list((path / name).iterdir())) for name in ("checkpoint", "epochs")] == [2, 2]


STALE = ["report.html", "evaluation.json", "outputs.jsonl"]


# The first changes make it a run to resume; all of them take minutes.
@pytest.mark.parametrize(
    ("keep", "numbers"),
    [
        (False, (3, 9, 14)),
        pytest.param(True, None, marks=[pytest.mark.large, pytest.mark.soak]),
        pytest.param(False, None, marks=[pytest.mark.large, pytest.mark.soak]),
    ],
    ids=["some", "all, exactly", "all, from the best model"],
)
def test_a_run_killed_at_any_change_as_it_goes_on_ends_alike(
    quick, tmp_path, monkeypatch, keep, numbers
):
    config = CONFIG.replace(keep_checkpoint=keep)
    more = config.replace(epochs=5, patience=7)
    ended = tmp_path / "ended"
    work(ended, config)
    for name in STALE:
        (ended / name).write_text("of the model so far", "utf-8")

    def copy(name):
        return shutil.copytree(ended, tmp_path / name)

    whole = copy("whole")
    output = work(whole, more)
    line = "Going on after epoch 3: --epochs was 3 and is now 5; --patience was 5 and is now 7"
    assert line in output and ("start as they were after the best epoch" in output) != keep
    assert "so far: report.html, evaluation.json, outputs.jsonl." in output
    assert "a cosine laid out for fewer epochs until here, is from here on that of 5." in output
    record = RunDirectory(whole).config
    assert (
        record["settings"] == json.loads(json.dumps(more.to_dict()))
        and len(RunDirectory(whole).history) == 5
    )
    assert record["changes"] == [{"after_epoch": 3, "before": {"epochs": 3, "patience": 5}}]
    assert "is finished; nothing to do" in work(whole, more)
    counted = copy("counted")
    changes = count_changes(counted, lambda: work(counted, more))
    for number in numbers or range(changes):
        path = copy(f"killed_{number}")
        kill_after(path, number, lambda path=path: work(path, more), monkeypatch)
        work(path, more)
        assert_same(path, whole)
        assert not any((path / name).exists() for name in STALE)
