"""What trackers are told, and what is said where they are not installed."""

import importlib.util

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_seq2seq.cli import main
from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError
from training.run.trackers import CELL, Samples, attention_image, tracked
from training.run_directory import RunDirectory
from training.settings import TrainingConfig


def logged(folder):
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return {tag: events.Tensors(tag) for tag in events.Tags()["tensors"]}


def test_samples_show_texts_and_where_the_model_looked(text_model, tmp_path):
    pairs = Pairs(["cab", "a|<b"], ["CC AA BB", "AA *BB*"])
    samples = Samples(tmp_path / "logs", pairs)
    samples.set_model(text_model)
    for epoch in range(2):
        samples.on_epoch_end(epoch)
    tensors = logged(tmp_path / "logs")
    outputs = text_model.generate(pairs.sources)
    assert all(outputs)
    assert set(tensors) == {"samples", "attention/1", "attention/2"}
    assert [event.step for event in tensors["samples"]] == [0, 1]
    (text,) = tensors["samples"][1].tensor_proto.string_val
    lines = text.decode().splitlines()
    assert lines[2] == f"cab | CC AA BB | {outputs[0]}"
    assert lines[3].startswith("a&#124;&#60;b | AA &#42;BB&#42; | ")
    width, height, *_ = tensors["attention/1"][1].tensor_proto.string_val
    weights = text_model.align(["cab"], outputs[:1])[0]
    assert (int(height), int(width)) == tuple(CELL * size for size in weights.shape)


def test_a_picture_is_darker_for_more_weight():
    (picture,) = attention_image(np.array([[1.0, 0.0, 0.5]]))
    assert picture.shape == (CELL, 3 * CELL, 1)
    assert picture[0, ::CELL, 0].tolist() == [0, 255, 127]


@pytest.mark.parametrize("tracker", ["mlflow", "wandb"])
def test_a_tracker_that_is_not_installed_is_one_line_before_any_work(
    tracker, tmp_path, monkeypatch
):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == tracker else find_spec(name)
    )
    # The file of pairs is not even looked for.
    arguments = ["train", "no.tsv", "--run-dir", str(tmp_path / "run"), "--tracker", tracker]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert f"--tracker {tracker} needs {tracker}. Run `pip install {tracker}`" in result.stderr
    assert not (tmp_path / "run").exists()


def test_no_tracker_and_samples_without_tensorboard(tmp_path):
    run = RunDirectory(tmp_path / "run")
    with tracked(TrainingConfig(tracker="none"), run, Pairs([], [])) as callbacks:
        assert callbacks == []
    with pytest.raises(InputError, match="--tracker-samples does not apply to --tracker none"):
        TrainingConfig(tracker="none", tracker_samples=2)


@pytest.mark.parametrize("tracker", ["mlflow", "wandb"])
def test_a_tracker_that_is_installed_takes_the_epochs(tracker, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    module = pytest.importorskip(tracker)
    (tmp_path / "run").mkdir()
    run = RunDirectory(tmp_path / "run")
    with tracked(TrainingConfig(tracker=tracker), run, Pairs([], [])) as (callback,):
        model = keras.Sequential([keras.layers.Dense(1, kernel_initializer="zeros")])
        model.compile(keras.optimizers.SGD(0.0), "mse")
        model.fit(np.ones((4, 1)), np.full((4, 1), 0.5), callbacks=[callback], verbose=0)
    if tracker == "mlflow":
        (found,) = module.search_runs(output_format="list")
        assert found.data.metrics["loss"] == 0.25
        assert found.data.params["epochs"] == str(TrainingConfig().optimization.epochs)
    else:
        assert list(run.path.rglob("*.wandb"))
