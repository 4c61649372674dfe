"""What every exporter does with a target it cannot write and a model it cannot use."""

import errno
import multiprocessing
import os
import time
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from export import export_saved_model, export_serving, export_tflite, export_web
from export.serving import _write_version
from export.signatures import TextSignatures
from export.trained import warn_if_untrained
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import write_new
from keras_seq2seq.models import Seq2Seq, load_model
from keras_seq2seq.settings import GenerationSettings
from tests.zoo import MODELS

EXPORTERS = [export_saved_model, export_tflite, export_web]


def tree(path):
    return {file: file.stat().st_mtime_ns for file in path.rglob("*")}


@pytest.mark.parametrize("export", EXPORTERS)
def test_a_target_that_exists_is_left_as_it_is(quick, export, text_model, tmp_path):
    export(text_model, tmp_path / "model")
    before = tree(tmp_path)
    with pytest.raises(InputError, match="model exists. Choose another path, or delete it"):
        export(text_model, tmp_path / "model")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("export", EXPORTERS)
def test_a_folder_that_cannot_be_written_is_told(quick, export, text_model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        InputError, match="file/deep/model cannot be written: .*Not a directory"
    ):
        export(text_model, tmp_path / "file" / "deep" / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("export", EXPORTERS)
def test_a_disk_that_is_full_half_way_leaves_nothing(
    quick, export, text_model, tmp_path, monkeypatch
):
    def write_bytes(path, content):
        with open(path, "wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(InputError, match="new/model cannot be written: .*No space left"):
        export(text_model, tmp_path / "new" / "model")
    assert not list(tmp_path.iterdir())


def test_the_message_has_the_name_that_was_given(quick, text_model, tmp_path, monkeypatch):
    def fail(archive, path, verbose):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr("export.saved_model.write_graph", fail)
    with pytest.raises(InputError) as raised:
        export_serving(text_model, tmp_path / "serving", model_name="speller")
    where = tmp_path / "serving" / "speller" / "version"
    assert str(raised.value) == f"{where} cannot be written: No space left on device"


@pytest.mark.parametrize("export", EXPORTERS)
def test_a_model_that_was_never_trained_is_warned_of(
    quick, export, transformer_model, tmp_path
):
    with pytest.warns(UserWarning, match="The model has never been trained"):
        export(transformer_model, tmp_path / "model")


@pytest.mark.parametrize(
    "name", ["gru", "transformer, relative positions", "location-sensitive"]
)
def test_one_step_of_training_is_enough(name):
    model = Seq2Seq(*MODELS[name]())
    with pytest.warns(UserWarning, match="never been trained"):
        warn_if_untrained(model)
    for weight in model.trainable_weights:
        weight.assign(weight + 1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_untrained(model)


class Inverse(keras.layers.Layer):
    """An operation that TFLite does not have."""

    def call(self, x):
        size = x.shape[-1]
        return x + tf.linalg.diag_part(tf.linalg.inv(tf.eye(size) + 0 * x[..., None]))


def test_an_operation_that_tflite_lacks_is_told_with_its_layer(text_model, tmp_path):
    layer = text_model.get_layer("decoder_logits")
    original, inverse = layer.call, Inverse(name="my_layer")
    layer.call = lambda x, training=None: inverse(original(x))
    try:
        with pytest.raises(InputError, match=r"MatrixInverse \(at .*my_layer"):
            export_tflite(text_model, tmp_path / "device")
    finally:
        layer.call = original
    assert not list(tmp_path.iterdir())


def export_beside_another(folder, number, sender):
    """The work of one of two processes."""

    def write(path):
        path.mkdir(parents=True)
        (path / "first").write_text(number)
        # Both are half way at the same time.
        (folder / f"{path.name.split('-')[-1]}-{number}").touch()
        while len(list(folder.glob(f"{path.name.split('-')[-1]}-*"))) < 2:
            time.sleep(0.01)
        (path / "second").write_text(number)

    version = _write_version(folder / "m", None, write).name
    try:
        write_new(folder / "one", write)
        sender.send([version, "written"])
    except InputError as error:
        sender.send([version, str(error)])


def test_two_processes_that_export_at_the_same_time(tmp_path):
    """Of a model folder both versions are whole; of one path one is, the other is told."""
    context = multiprocessing.get_context("fork")  # Neither runs TensorFlow.
    processes, lines = [], []
    for number in "ab":
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=export_beside_another, args=(tmp_path, number, sender))
        process.start()
        processes.append((process, receiver))
    for process, receiver in processes:
        assert receiver.poll(60)
        lines.append(receiver.recv())
        process.join(60)
        assert process.exitcode == 0
    assert sorted(line[0] for line in lines) == ["1", "2"]

    def content(path):
        return {file.name: file.read_text() for file in path.iterdir()}

    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["1", "2"]
    for (version, _), number in zip(lines, "ab", strict=True):
        assert content(tmp_path / "m" / version) == {"first": number, "second": number}
    told = {line[1]: number for line, number in zip(lines, "ab", strict=True)}
    winner = told.pop("written")
    assert content(tmp_path / "one") == {"first": winner, "second": winner}
    (message,) = told
    assert "one appeared meanwhile" in message or "one cannot be written" in message
    assert not list(tmp_path.rglob(".unfinished-*"))


@pytest.mark.parametrize("num_beams", [1, 2])
def test_a_probability_that_is_no_number_is_an_error(text_model, tmp_path, num_beams):
    text_model.save(tmp_path / "model.keras")
    model = load_model(tmp_path / "model.keras")
    for weight in model.weights:
        weight.assign(weight * float("nan"))
    settings = GenerationSettings(num_beams=num_beams)
    text = tf.constant(["cab", ""])
    signatures = TextSignatures(model, settings)
    for received in (
        signatures.generate_text(text=text),
        signatures.request_signature()(text),
        signatures.score(source=text, target=tf.constant(["CC", "CC"])),
    ):
        error = received["error"].numpy()
        assert b"NaN" in error[0] and error[1] == b"the source is empty; give it text"
        np.testing.assert_array_equal(received["log_probs"].numpy().ravel(), -1e9)


def test_rules_that_leave_nothing_are_an_error(text_model):
    settings = GenerationSettings(allowed=["AA"], suppress=["AA"])
    received = TextSignatures(text_model, settings).generate_text(text=tf.constant(["cab"]))
    assert b"the rules leave none that ends" in received["error"].numpy()[0]
