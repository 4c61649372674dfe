"""Whole runs: they learn, they repeat, they survive a kill, they stop when they must."""

import dataclasses
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

from keras_seq2seq.data import Pairs, read_pairs, split_by_source, validation_data
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import load_model
from tests.conftest import spelled_pairs
from training.evaluation import evaluate_run
from training.run.callbacks import RunState
from training.run.checks import (
    fitting,
    report_unknown,
    report_unknown_targets,
    token_swaps,
)
from training.run.trainer import train
from training.run_directory import RunDirectory
from training.settings import TrainingConfig

pytestmark = pytest.mark.usefixtures("loaded_once")
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


def assert_same_weights(path, other):
    first, second = (load_model(run / "model.keras").get_weights() for run in (path, other))
    for weight, same in zip(first, second, strict=True):
        np.testing.assert_array_equal(weight, same)


def interrupt_before(monkeypatch, stop):
    """Ends a run as Ctrl-C does, when the epoch `stop` (from 0) begins."""
    import training.run.trainer as trainer

    class Stop(trainer.StopOnInvalidLoss):
        def on_epoch_begin(self, epoch, logs=None):
            super().on_epoch_begin(epoch, logs)
            if epoch == stop:
                raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "StopOnInvalidLoss", Stop)


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
    assert run.config["settings"] == json.loads(json.dumps(CONFIG.to_dict()))
    assert (path / "vocabulary" / "source.txt").read_text().split()[:4] == [
        "[PAD]",
        "[UNK]",
        "[START]",
        "[END]",
    ]
    assert list((path / "logs").rglob("events.out.tfevents*"))
    assert (path / "checkpoint" / "epoch_0003.weights.h5").exists()


@pytest.mark.large
def test_the_saved_model_is_the_best_epoch(finished):
    path, summary, _ = finished
    history = RunDirectory(path).history
    rates = [epoch["val_sequence_error_rate"] for epoch in history]
    ranks = [(epoch["val_sequence_error_rate"], epoch["val_loss"]) for epoch in history]
    assert summary["best_epoch"] == 1 + ranks.index(min(ranks))
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
    assert_same_weights(path, tmp_path / "second")


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
    assert 1 <= done < CONFIG.optimization.epochs
    load_model(path / "model.keras")

    summary, output = run_to(path, CONFIG, splits)
    assert f"Resuming after epoch {done}" in output
    assert summary["resumed_from_epoch"] == done
    history, uninterrupted = RunDirectory(path).history, RunDirectory(finished[0]).history
    assert history == uninterrupted
    assert_same_weights(path, finished[0])
    assert not list(path.rglob(".unfinished-*"))


@pytest.mark.large
def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_good_model(
    small_splits, tmp_path, monkeypatch
):
    import training.run.trainer as trainer

    class Poison(trainer.StopOnInvalidLoss):
        """Makes a weight invalid in the second epoch."""

        def on_train_batch_begin(self, batch, logs=None):
            if self.epoch == 1 and batch == 3:
                weight = self.model.trainable_weights[0]
                weight.assign(weight * float("nan"))

    monkeypatch.setattr(trainer, "StopOnInvalidLoss", Poison)
    path = tmp_path / "run"
    with pytest.raises(InputError, match="loss is nan at epoch 2, step 4. What earlier epochs"):
        run_to(path, SMALL, small_splits)
    assert len(RunDirectory(path).history) == 1
    model = load_model(path / "model.keras")
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    monkeypatch.undo()
    summary, output = run_to(path, SMALL, small_splits)
    assert "Resuming after epoch 1" in output and summary["epochs"] == 4


@pytest.mark.large
def test_early_stopping_counts_on_over_a_resume(small_splits, tmp_path, monkeypatch):
    config = SMALL.replace(epochs=6, patience=2, learning_rate=1e-9, dropout=0.0)
    path = tmp_path / "run"
    interrupt_before(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        run_to(path, config, small_splits)
    monkeypatch.undo()
    summary, _ = run_to(path, config, small_splits)
    # Nothing is learned, so no epoch is better than the first and two more are allowed.
    assert summary["epochs"] == 3


def test_of_epochs_without_an_error_the_surest_is_kept(text_model, tmp_path):
    run = RunDirectory(tmp_path)
    state = RunState(run, "val_sequence_error_rate")
    state.set_model(text_model)
    kept = []
    for epoch, (rate, loss) in enumerate([(0.5, 0.9), (0.0, 2.5), (0.0, 0.7), (0.0, 0.8)]):
        state.on_epoch_end(epoch, {"val_sequence_error_rate": rate, "val_loss": loss})
        kept.append(run.model_file.stat().st_mtime_ns)
    assert state.best_epoch == 2
    assert kept[0] < kept[1] < kept[2] == kept[3]


SMALL = TrainingConfig(
    architecture="lstm",
    embedding_dim=8,
    hidden_dim=12,
    dropout=0.2,
    epochs=4,
    batch_tokens=300,
    num_buckets=2,
    learning_rate=1e-2,
    warmup_steps=3,
)
FEATURES = {
    "average of best, accumulated, two views": {
        "monitor": "loss",
        "ema": 0.9,
        "gradient_accumulation": 3,
        "average": 2,
        "global_clipnorm": 1.0,
        "r_drop": 0.5,
    },
    # At this rate no epoch is better than the one before, so the rate falls every time.
    "mixed precision, plateau": {
        "precision": "mixed_float16",
        "schedule": "plateau",
        "plateau_patience": 1,
        "monitor": "sequence_error_rate",
        "average": 3,
        "average_of": "last",
        "swap_aligned": 0.5,
    },
}


@pytest.fixture(scope="module")
def small_splits():
    return split_by_source(spelled_pairs(200), validation_sources=20)


@pytest.mark.large
@pytest.mark.parametrize("name", FEATURES)
def test_an_interrupted_run_of_every_feature_ends_bit_by_bit_alike(
    name, small_splits, tmp_path, monkeypatch
):
    config = SMALL.replace(**FEATURES[name])
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    expected, _ = run_to(whole, config, small_splits)
    with monkeypatch.context() as context:
        interrupt_before(context, 2)
        with pytest.raises(KeyboardInterrupt):
            run_to(halves, config, small_splits)
    summary, _ = run_to(halves, config, small_splits)
    assert summary["resumed_from_epoch"] == 2
    assert RunDirectory(halves).history == RunDirectory(whole).history
    assert summary.get("average") == expected.get("average")
    assert_same_weights(whole, halves)
    rates = [epoch.get("learning_rate") for epoch in RunDirectory(whole).history]
    if config.optimization.schedule == "plateau":
        assert rates[-1] < rates[0]
    if config.selection.average:
        epochs = expected["average"]["epochs"]
        names = sorted(path.name for path in (whole / "epochs").iterdir())
        assert names == [f"epoch_{epoch:04d}.keras" for epoch in epochs]
        best = RunDirectory(whole).history[expected["best_epoch"] - 1]
        monitor = f"val_{config.selection.monitor}"
        assert expected["average"]["kept"] == (expected["average"][monitor] < best[monitor])


@pytest.mark.large
def test_the_model_of_a_run_with_ema_is_the_average_that_was_measured(small_splits, tmp_path):
    config = SMALL.replace(ema=0.9, monitor="loss", epochs=2)
    path = tmp_path / "run"
    summary, _ = run_to(path, config, small_splits)
    run = RunDirectory(path)
    model = load_model(run.model_file)
    model.compile(jit_compile=False)
    data = validation_data(
        model.preprocessor, small_splits.validation.sources, small_splits.validation.targets
    )
    loss = model.evaluate(data, verbose=0, return_dict=True)["loss"]
    best = run.history[summary["best_epoch"] - 1]
    assert loss == pytest.approx(best["val_loss"], rel=1e-6)
    run_to(tmp_path / "raw", config.replace(ema=0.0), small_splits)
    # Training is not touched: the losses of the epochs are those of a run without.
    raw = RunDirectory(tmp_path / "raw").history
    assert [epoch["loss"] for epoch in run.history] == [epoch["loss"] for epoch in raw]
    assert all(a["val_loss"] != b["val_loss"] for a, b in zip(run.history, raw, strict=True))


def test_pairs_that_are_too_long_are_counted(preprocessor):
    output = io.StringIO()
    pairs = Pairs(["a", "a" * 20, "b"], ["AA", "AA", " ".join(["BB"] * 30)])
    kept = fitting(preprocessor, pairs, "training", Console(file=output, width=200))
    assert kept == Pairs(["a"], ["AA"])
    assert (
        "2 of 3 training pairs are left out: longer than 7 source tokens or 12"
        in output.getvalue()
    )


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
    # A run that began so, with an older version, goes on.
    output = io.StringIO()
    console = Console(file=output, width=200)
    report_unknown(preprocessor, Pairs(["xyx", "axz"], ["", ""]), console, began=True)
    assert "Unknown in validation sources: 5 of 6 tokens" in output.getvalue()


def test_a_run_that_cannot_begin_leaves_its_folder_to_the_corrected_command(splits, tmp_path):
    others = dataclasses.replace(splits, validation=Pairs(["xyx"], ["AA"]))
    for _ in range(2):
        with pytest.raises(InputError, match="misses 3 of 3 tokens"):
            train(CONFIG, others, RunDirectory(tmp_path / "run"), Console(quiet=True))
        assert not (tmp_path / "run").exists()


def test_unknown_target_tokens_are_shown(preprocessor):
    output = io.StringIO()
    console = Console(file=output, width=200)
    pairs = Pairs(["a", "b", "c"], ["AA ZZ BB", "CC DD", "ZZ [x] EE AA BB"])
    report_unknown_targets(preprocessor, pairs, console)
    assert output.getvalue() == (
        "Unknown in validation targets: 3 of 10 tokens: 'ZZ' (2), '[x]' (1). 2 of 3 targets "
        "can never be generated.\n"
    )
    report_unknown_targets(preprocessor, Pairs(["a"], ["AA"]), console)
    assert output.getvalue().count("\n") == 1


def test_a_target_vocabulary_that_misses_most_tokens_is_an_error(preprocessor):
    pairs = Pairs(["a"], ["ZZ YY AA"])
    with pytest.raises(InputError, match="training targets misses 2 of 3 tokens"):
        report_unknown_targets(preprocessor, pairs, Console(quiet=True))
    # A pointer-generator copies what the vocabulary lacks.
    report_unknown_targets(preprocessor, pairs, Console(quiet=True), copies=True)
    output = io.StringIO()
    report_unknown_targets(preprocessor, pairs, Console(file=output, width=200), began=True)
    assert "2 of 3 tokens" in output.getvalue() and "never be generated" in output.getvalue()


def test_swaps_that_a_recipe_asks_for_in_vain_are_left_out(preprocessor):
    output = io.StringIO()
    config = TrainingConfig(swap_aligned=0.5)
    ask = preprocessor, Pairs(["ab", "bcc"], ["AA BB", "BB CC CC"])
    with pytest.raises(InputError, match="No aligned tokens can be swapped"):
        token_swaps(config, *ask, Console(quiet=True))
    lent = config.with_origins({"swap_aligned": "recipe"})
    assert token_swaps(lent, *ask, Console(file=output, width=200)) is None
    assert output.getvalue().startswith("No aligned tokens can be swapped: 3 tokens")
    both = Pairs(["a", "b"], ["AA", "BB"])
    assert token_swaps(lent, preprocessor, both, Console(file=output, width=200)) is not None
    assert "Swapped in 50% of the training pairs: b -> BB and a -> AA." in output.getvalue()


def test_a_test_source_that_is_too_long_counts_as_wrong(text_model, tmp_path):
    run = RunDirectory(tmp_path / "run")
    pairs = Pairs(["cab", "a" * 20], [text_model.generate("cab"), "AA"])
    run.begin(CONFIG, pairs, pairs)
    text_model.save(run.model_file)
    result = evaluate_run(run, pairs)
    assert (result["sequence_error_rate"], result["too_long"]) == (0.5, 1)
