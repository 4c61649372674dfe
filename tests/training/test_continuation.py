"""A finished run goes on: as one long run, or refused with what would help."""

import io
import json
import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from rich.console import Console

from keras_seq2seq.data import split_by_source
from keras_seq2seq.errors import InputError
from tests.conftest import spelled_pairs
from tests.training.test_trainer import SMALL, assert_same_weights, interrupt_before, run_to
from training.run.messages import say_what_came_out
from training.run_directory import RunDirectory
from training.settings.growth import may_change
from training.settings.monitors import epochs_without_better

CONFIG = SMALL.replace(epochs=2, schedule="constant", monitor="loss", patience=3)
LONGER = CONFIG.replace(epochs=4)
SPLITS = split_by_source(spelled_pairs(150), validation_sources=15)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "ended"
    run_to(path, CONFIG, SPLITS)
    return path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_epochs_and_two_more_are_four_bit_by_bit(ended, tmp_path, monkeypatch):
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    shutil.copytree(ended, parts)
    with monkeypatch.context() as context:
        interrupt_before(context, 3)
        with pytest.raises(KeyboardInterrupt):
            run_to(parts, LONGER, SPLITS)
    assert len(RunDirectory(parts).history) == 3 and not (parts / "metrics.json").exists()
    summary, output = run_to(parts, LONGER, SPLITS)
    assert "Resuming after epoch 3." in output and "Going on" not in output
    run_to(whole, LONGER, SPLITS)
    assert RunDirectory(parts).history == RunDirectory(whole).history
    assert summary["epochs"] == 4
    assert_same_weights(whole, parts)


@pytest.mark.large
@pytest.mark.soak
def test_a_kept_average_of_a_moving_average_in_mixed_precision_goes_on_alike(tmp_path):
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    # The average of both epochs is the model; training goes on from the raw weights.
    kept = {"average": 2, "ema": 0.9, "precision": "mixed_bfloat16", "learning_rate": 0.05}
    config, longer = CONFIG.replace(**kept), LONGER.replace(**kept)
    summary, _ = run_to(parts, config, SPLITS)
    assert summary["average"]["epochs"] == [1, 2]
    _, output = run_to(parts, longer, SPLITS)
    assert "Going on after epoch 2" in output and "anew" not in output
    run_to(whole, longer, SPLITS)
    assert RunDirectory(parts).history == RunDirectory(whole).history
    assert_same_weights(whole, parts)


def test_more_minutes_go_on_where_the_first_ended(tmp_path):
    config = CONFIG.replace(schedule="cosine", minutes=0.02, epochs=1000, patience=1000)
    run_to(tmp_path / "run", config, SPLITS)
    run = RunDirectory(tmp_path / "run")
    first = run.history
    _, output = run_to(
        run.path, config.replace(minutes=first[-1]["seconds"] / 60 + 0.03), SPLITS
    )
    assert f"Going on after epoch {len(first)}: --minutes was 0.02 and is now" in output
    assert run.history[: len(first)] == first and len(run.history) > len(first)
    assert run.history[-1]["seconds"] > first[-1]["seconds"]
    assert "optimizer" not in output


def test_an_optimizer_that_does_not_fit_is_said_to_start_anew(ended, tmp_path):
    path = shutil.copytree(ended, tmp_path / "run")
    weights = next((path / "checkpoint").glob("*.weights.h5"))
    with h5py.File(weights, "a") as file:
        variables = file["optimizer/vars"]
        del variables[max(variables, key=int)]
    _, output = run_to(path, CONFIG.replace(epochs=3), SPLITS)
    assert f"The optimizer in {weights} does not fit: it starts anew." in output


@pytest.mark.parametrize(
    ("changes", "wait", "message"),
    [
        ({"epochs": 9}, 3, "3 epochs brought nothing better .--patience 3..*ience 4 or more"),
        ({"patience": 4}, 0, "has all of its 2 epochs. To go on, give more --epochs"),
        ({"epochs": 1}, 0, "--epochs was 2 and is now 1.*Choose another --run-dir"),
        ({"minutes": 2.0, "schedule": "cosine"}, 0, "--minutes was 0.0 and is now 2.0"),
        ({"epochs": 4, "hidden_dim": 13}, 0, "another configuration: --hidden-dim was 12"),
    ],
)
def test_what_would_change_nothing_is_refused_and_the_run_untouched(
    ended, tmp_path, changes, wait, message
):
    path = shutil.copytree(ended, tmp_path / "run")
    run = RunDirectory(path)
    if wait:
        run.write_history([{**run.history[0], "epoch": n} for n in range(1, wait + 2)])
    before = contents(path)
    with pytest.raises(InputError, match=message):
        run_to(path, CONFIG.replace(**changes), SPLITS)
    assert contents(path) == before


def test_a_damaged_checkpoint_costs_a_finished_run_nothing(ended, tmp_path):
    path = shutil.copytree(ended, tmp_path / "run")
    weights = next((path / "checkpoint").glob("*.weights.h5"))
    weights.write_bytes(weights.read_bytes()[:1000])
    before = contents(path)
    with pytest.raises(InputError, match="so the run cannot go on: .*nothing was changed"):
        run_to(path, LONGER, SPLITS)
    assert contents(path) == before


def test_a_checkpoint_that_is_not_wanted_later_is_removed(ended, tmp_path):
    path = shutil.copytree(ended, tmp_path / "run")
    assert json.loads((path / "checkpoint" / "record.json").read_text())["history"]
    run_to(path, CONFIG.replace(keep_checkpoint=False), SPLITS)
    assert not (path / "checkpoint").exists()
    assert not RunDirectory(path).settings.run.keep_checkpoint


@pytest.mark.parametrize(
    ("best", "idle", "more"),
    [(3, 0, True), (2, 1, False), (3, CONFIG.selection.patience, False)],
)
def test_a_line_says_why_a_run_ended_early(best, idle, more):
    output = io.StringIO()
    console = Console(file=output, width=200)
    config = CONFIG.replace(minutes=1.0, schedule="cosine")
    summary = {"epochs": 3, "seconds": 60.0}
    epoch = {"epoch": best, "val_loss": 0.5}
    say_what_came_out(config, epoch, summary, Path("model.keras"), console, idle)
    assert ("more --minutes would still help" in output.getvalue()) == more
    patient = f"It ended as {idle} epochs brought nothing better (--patience {idle})."
    assert (patient in output.getvalue()) == (idle == CONFIG.selection.patience)


@pytest.mark.parametrize(
    ("monitor", "said"),
    [
        ("loss", "loss 0.500, sequence error rate 40.00 %"),
        ("token_error_rate", "token error rate 12.50 %"),
        ("sequence_error_rate", "sequence error rate 40.00 %"),
    ],
)
def test_what_chose_the_best_epoch_is_said(monitor, said):
    console = Console(file=(output := io.StringIO()))
    best = {"epoch": 2, "val_loss": 0.5}
    best |= {"val_token_error_rate": 0.125, "val_sequence_error_rate": 0.4}
    summary = {"epochs": 3, "seconds": 60.0}
    config = CONFIG.replace(monitor=monitor)
    say_what_came_out(config, best, summary, Path("model.keras"), console, 0)
    assert output.getvalue().startswith(f"Best epoch 2 of 3: {said} on validation. ")


def test_what_may_change():
    assert may_change("epochs", 2, 3) and not may_change("epochs", 3, 2)
    assert may_change("minutes", 1.0, 1.5) and not may_change("minutes", 0.0, 1.0)
    assert may_change("keep_checkpoint", True, False) and not may_change("seed", 1, 2)


@pytest.mark.parametrize("monitor", ["val_loss", "val_bleu"])
@pytest.mark.parametrize("seed", range(5))
def test_waiting_is_counted_as_early_stopping_counts_it(monitor, seed):
    values = np.random.default_rng(seed).integers(0, 4, size=12).astype(float)
    history = [{monitor: value} for value in values]
    mode = "max" if monitor == "val_bleu" else "min"
    stopping = keras.callbacks.EarlyStopping(monitor, patience=99, mode=mode)
    stopping.set_model(keras.Sequential())
    stopping.on_train_begin()
    for epoch, logs in enumerate(history):
        stopping.on_epoch_end(epoch, logs)
    assert epochs_without_better(monitor, history) == stopping.wait
