"""Whole runs: they learn, they repeat, they survive a kill, they stop when they must."""

import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from rich.console import Console

from keras_seq2seq.data import Pairs, read_pairs, split_by_source
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import load_model
from tests.conftest import spelled_pairs
from training.config import TrainingConfig
from training.evaluation import evaluate_run
from training.run_directory import RunDirectory
from training.trainer import fitting, report_unknown, train

CONFIG = TrainingConfig(
    embedding_dim=16,
    hidden_dim=48,
    dropout=0.1,
    epochs=3,
    batch_size=16,
    learning_rate=2e-2,
    warmup_steps=5,
)


@pytest.fixture(scope="module")
def splits():
    return split_by_source(spelled_pairs(900), validation_sources=60, test_sources=60)


def run_to(path, config, splits):
    output = io.StringIO()
    summary = train(config, splits, RunDirectory(path), Console(file=output, width=200))
    return summary, output.getvalue()


@pytest.fixture(scope="module")
def finished(splits, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "first"
    return path, *run_to(path, CONFIG, splits)


@pytest.mark.large
def test_a_run_learns_and_leaves_what_it_promises(finished):
    path, summary, output = finished
    run = RunDirectory(path)
    assert summary["validation_sequence_error_rate"] < 0.5
    assert "epoch 3/3" in output and "left at most" in output
    assert json.loads((path / "metrics.json").read_text()) == summary
    assert [epoch["epoch"] for epoch in run.history] == [1, 2, 3]
    assert run.config["settings"] == CONFIG.to_dict()
    assert (path / "vocabulary" / "source.txt").read_text().split()[:4] == [
        "[PAD]",
        "[UNK]",
        "[START]",
        "[END]",
    ]
    assert list((path / "logs").rglob("events.out.tfevents*"))
    assert not (path / "checkpoint").exists()


@pytest.mark.large
def test_the_saved_model_is_the_best_epoch(finished):
    path, summary, _ = finished
    history = RunDirectory(path).history
    rates = [epoch["val_sequence_error_rate"] for epoch in history]
    assert summary["best_epoch"] == 1 + int(np.argmin(rates))
    result = evaluate_run(RunDirectory(path), RunDirectory(path).test_pairs())
    assert result["sequence_error_rate"] < 0.5
    validation = RunDirectory(path).validation_file
    on_validation = evaluate_run(RunDirectory(path), read_pairs(validation))
    assert on_validation["sequence_error_rate"] == pytest.approx(min(rates))


@pytest.mark.large
def test_the_same_seed_gives_the_same_numbers(finished, splits, tmp_path):
    path, _, _ = finished
    run_to(tmp_path / "second", CONFIG, splits)
    assert RunDirectory(tmp_path / "second").history == RunDirectory(path).history
    first = load_model(path / "model.keras").get_weights()
    second = load_model(tmp_path / "second" / "model.keras").get_weights()
    for weight, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.mark.large
def test_a_finished_run_is_not_trained_again(finished, splits):
    path, summary, _ = finished
    again, output = run_to(path, CONFIG, splits)
    assert again == summary
    assert "is finished; nothing to do" in output


def test_another_configuration_is_refused_and_the_run_untouched(finished, splits):
    path, _, _ = finished
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    with pytest.raises(InputError, match="--hidden-dim was 48 and is now 32"):
        run_to(path, CONFIG.replace(hidden_dim=32), splits)
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


KILLED = """
import sys
sys.path.insert(0, {root!r})
from tests.conftest import spelled_pairs
from tests.training.test_trainer import CONFIG, run_to, split_by_source
splits = split_by_source(spelled_pairs(900), validation_sources=60, test_sources=60)
run_to({path!r}, CONFIG, splits)
"""


@pytest.mark.large
def test_a_run_killed_in_the_middle_resumes_and_ends_alike(finished, splits, tmp_path, request):
    path = tmp_path / "killed"
    code = KILLED.format(root=str(request.config.rootpath), path=str(path))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(request.config.rootpath)},
    )
    record = path / "checkpoint" / "record.json"
    deadline = time.monotonic() + 180
    while not record.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(json.loads(record.read_text())["history"])
    assert 1 <= done < CONFIG.epochs
    load_model(path / "model.keras")

    summary, output = run_to(path, CONFIG, splits)
    assert f"Resuming after epoch {done}" in output
    assert summary["resumed_from_epoch"] == done
    history, uninterrupted = RunDirectory(path).history, RunDirectory(finished[0]).history
    assert history[:done] == uninterrupted[:done]
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3]
    assert history[-1]["val_sequence_error_rate"] < 0.5
    assert not list(path.rglob(".unfinished-*"))


@pytest.mark.large
def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_good_model(
    splits, tmp_path, monkeypatch
):
    import training.trainer as trainer

    class Poison(trainer.StopOnInvalidLoss):
        """Makes a weight invalid in the second epoch."""

        def on_train_batch_begin(self, batch, logs=None):
            if self.epoch == 1 and batch == 3:
                weight = self.model.trainable_weights[0]
                weight.assign(weight * float("nan"))

    monkeypatch.setattr(trainer, "StopOnInvalidLoss", Poison)
    path = tmp_path / "run"
    with pytest.raises(InputError, match="loss is nan at epoch 2, step 4. What earlier epochs"):
        run_to(path, CONFIG, splits)
    assert len(RunDirectory(path).history) == 1
    model = load_model(path / "model.keras")
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    monkeypatch.undo()
    summary, output = run_to(path, CONFIG, splits)
    assert "Resuming after epoch 1" in output and summary["epochs"] == 3


@pytest.mark.large
def test_early_stopping_counts_on_over_a_resume(splits, tmp_path, monkeypatch):
    import training.trainer as trainer

    config = CONFIG.replace(epochs=6, patience=2, learning_rate=1e-9, dropout=0.0)
    path = tmp_path / "run"

    class Stop(trainer.StopOnInvalidLoss):
        def on_epoch_begin(self, epoch, logs=None):
            super().on_epoch_begin(epoch, logs)
            if epoch == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "StopOnInvalidLoss", Stop)
    with pytest.raises(KeyboardInterrupt):
        run_to(path, config, splits)
    monkeypatch.undo()
    summary, _ = run_to(path, config, splits)
    # Nothing is learned, so the first epoch is the best and two more are allowed.
    assert (summary["best_epoch"], summary["epochs"]) == (1, 3)


def test_pairs_that_are_too_long_are_counted(preprocessor):
    output = io.StringIO()
    pairs = Pairs(["a", "a" * 20, "b"], ["AA", "AA", " ".join(["BB"] * 30)])
    kept = fitting(preprocessor, pairs, "training", Console(file=output, width=200))
    assert kept == Pairs(["a"], ["AA"])
    assert "2 of 3 training pairs are left out: longer than 7 source or 12" in output.getvalue()


def test_no_fitting_pair_is_an_error(preprocessor):
    with pytest.raises(InputError, match="No training pair is within --max-source-length 7"):
        fitting(preprocessor, Pairs(["a" * 20], ["AA"]), "training", Console(quiet=True))


def test_unknown_characters_are_shown(preprocessor):
    output = io.StringIO()
    pairs = Pairs(["abz", "cde"], ["AA", "AA"])
    report_unknown(preprocessor, pairs, Console(file=output, width=200))
    assert "Unknown in validation sources: 1 of 6 tokens: 'z' (1)." in output.getvalue()


def test_a_vocabulary_that_misses_most_characters_is_an_error(preprocessor):
    with pytest.raises(InputError, match="misses 5 of 6 tokens.*'x' \\(3\\)"):
        report_unknown(preprocessor, Pairs(["xyx", "axz"], ["", ""]), Console(quiet=True))


def test_a_test_source_that_is_too_long_counts_as_wrong(text_model, tmp_path):
    run = RunDirectory(tmp_path / "run")
    pairs = Pairs(["cab", "a" * 20], [text_model.generate("cab"), "AA"])
    run.begin(CONFIG, pairs, pairs)
    text_model.save(run.model_file)
    result = evaluate_run(run, pairs)
    assert (result["sequence_error_rate"], result["too_long"]) == (0.5, 1)
