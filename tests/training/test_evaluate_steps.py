"""Validation and checkpoints every so many steps."""

import json

import pytest

from keras_seq2seq.data import split_by_source
from tests.conftest import spelled_pairs
from tests.training.test_trainer import (
    assert_same_weights,
    interrupt_before,
    run_to,
)
from training.report.charts import curves
from training.run_directory import RunDirectory
from training.settings import TrainingConfig

# 9 steps an epoch, 18 in all: validated after 7, 14 and 18.
CONFIG = TrainingConfig(
    embedding_dim=4,
    hidden_dim=8,
    dropout=0.1,
    epochs=2,
    batch_size=32,
    num_buckets=1,
    evaluate_steps=7,
    validation_decoded=5,
    schedule="constant",
)


@pytest.fixture(scope="module")
def splits():
    return split_by_source(spelled_pairs(300), validation_sources=20)


@pytest.mark.large
def test_a_run_validates_every_so_many_steps_and_resumes_in_the_middle_of_an_epoch(
    splits, tmp_path, monkeypatch
):
    steps = -(-len(splits.train) // 32)
    total = 2 * steps
    expected = [*range(7, total, 7), total]
    summary, output = run_to(tmp_path / "whole", CONFIG, splits)
    history = RunDirectory(tmp_path / "whole").history
    assert [row["step"] for row in history] == expected
    assert [row["epochs"] for row in history] == [step / steps for step in expected]
    assert f"step 7/{total}" in output and f"step {total}/{total}" in output
    best = history[summary["best_epoch"] - 1]
    assert summary["best_step"] == best["step"] and summary["steps"] == total
    assert (
        f"Best step {best['step']:.0f} (epoch {best['epochs']:.2f}) of {total} steps" in output
    )
    page = curves(history, summary, RunDirectory(tmp_path / "whole").settings.values)
    assert "data:image" in page or "<svg" in page

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt_before(patched, 1)
        run_to(tmp_path / "resumed", CONFIG, splits)
    _, output = run_to(tmp_path / "resumed", CONFIG, splits)
    assert f"Resuming after step 7 (epoch {7 / steps:.2f})." in output
    assert RunDirectory(tmp_path / "resumed").history == history
    assert_same_weights(tmp_path / "whole", tmp_path / "resumed")

    more, output = run_to(tmp_path / "whole", CONFIG.replace(epochs=3), splits)
    assert f"Going on after step {total} (epoch 2.00)" in output
    assert more["steps"] == 3 * steps
    assert json.loads((tmp_path / "whole" / "metrics.json").read_text()) == more
