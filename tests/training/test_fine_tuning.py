"""Runs that go on from another: what they take of it, what is refused, and their resume."""

import json
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.data import Pairs, split_by_source
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import load_model
from keras_seq2seq.tokenizers import SentencePieceTokenizer
from tests.conftest import spelled_pairs
from tests.training.test_trainer import SMALL, assert_same_weights, interrupt_before, run_to
from training.run_directory import RunDirectory
from training.settings import TrainingConfig, base_layers, resolve
from training.settings.base import check_base

BASE = SMALL.replace(epochs=1, label_smoothing=0.1)
# One more letter than the base has seen.
OTHER = spelled_pairs(90, seed=5)
WITH_NEW = Pairs(
    [source.replace("f", "é") for source in OTHER.sources],
    [target.replace("FF", "ÉÉ") for target in OTHER.targets],
)
SPLITS = split_by_source(WITH_NEW, validation_sources=15)
HELD = {
    "extend_vocabulary": True,
    "freeze": ["encoder"],
    "lora_rank": 2,
    "monitor": "loss",
    "schedule": "constant",
    "average": 2,
    "patience": 9,
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "base"
    run_to(path, BASE, split_by_source(spelled_pairs(120), validation_sources=15))
    return path


def tuned(base, run_dir=None, **settings):
    layers = [("given", {"base": str(base), **settings})]
    return resolve(base_layers(layers, run_dir))[0]


def test_settings_come_of_the_base_and_say_so(base):
    config = tuned(base, batch_tokens=200)
    assert config.model == BASE.model and config.data == BASE.data
    assert config.optimization.label_smoothing == 0.1
    assert config.optimization.batch_tokens == 200
    assert config.optimization.epochs == TrainingConfig().optimization.epochs
    assert config.optimization.learning_rate == pytest.approx(0.2 * 1e-2)
    assert config.origin_of("learning_rate") == "fine-tuning"
    assert config.origin_of("hidden_dim") == "base"
    assert config.origin_of("batch_tokens") == "given"
    for anew in ({"lora_rank": 2}, {"extend_vocabulary": True}):
        assert tuned(base, **anew).optimization.learning_rate == pytest.approx(1e-2)
    check_base(config, BASE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_dim": 13}, "--hidden-dim cannot be changed .* where it is 12. Received: 13"),
        ({"architecture": "transformer"}, "--architecture cannot be changed"),
        ({"target_tokenizer": "characters"}, "--target-tokenizer cannot be changed"),
        ({"vocabulary_size": 9}, "--vocabulary-size .*With --extend-vocabulary it is about"),
    ],
)
def test_what_would_be_another_model_is_refused(base, settings, message):
    with pytest.raises(InputError, match=message):
        check_base(tuned(base, **settings), BASE)


def test_what_changes_the_sounds_of_training_may_differ():
    sound = TrainingConfig(source="waveform", speed_perturbation=0.1)
    check_base(sound.replace(speed_perturbation=0.0, added_noise=0.3), sound)


def test_new_tokens_may_have_a_bound(base):
    settings = {"extend_vocabulary": True, "min_count": 2, "vocabulary_size": 99}
    check_base(tuned(base, dropout=0.4, max_source_length=5, **settings), BASE)


def test_held_parts_resume_bit_by_bit_without_the_base(base, tmp_path, monkeypatch):
    here = shutil.copytree(base, tmp_path / "base")
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    _, output = run_to(whole, tuned(here, epochs=3, **HELD), SPLITS)
    assert "1 new source token: 'é'. Each begins as the mean of the 6 old ones." in output
    assert "Frozen, 2 layers: encoder_embedding, encoder_lstm_0." in output
    assert "Without one, and not trained: decoder_lstm_0/decoder_lstm_0_cell." in output
    with monkeypatch.context() as context:
        interrupt_before(context, 1)
        with pytest.raises(KeyboardInterrupt):
            run_to(parts, tuned(here, epochs=2, **HELD), SPLITS)
    shutil.rmtree(here)
    summary, output = run_to(parts, tuned(here, parts, epochs=3, **HELD), SPLITS)
    assert "Going on after epoch 1" in output and "Resuming after epoch 1" in output
    assert RunDirectory(parts).history == RunDirectory(whole).history
    assert_same_weights(whole, parts)
    assert len(summary["average"]["epochs"]) == 2

    # An ordinary model, in which nothing but matrices of the decoder has changed.
    model, before = load_model(whole / "model.keras"), load_model(base / "model.keras")
    assert summary["parameters"] == model.count_params()
    assert len(model.trainable_variables) == len(before.weights)
    for old, new in zip(before.weights, model.weights, strict=True):
        rows = tuple(map(slice, old.shape))
        same = np.array_equal(old, keras.ops.convert_to_numpy(new)[rows])
        changed = ("decoder_embedding/embeddings", "decoder_logits/kernel")
        assert same == (old.path not in changed), old.path
    record = json.loads((whole / "config.json").read_text())["base"]
    assert record["path"] == str(here) and len(record["model"]) == 64


def test_all_weights_go_on_with_unknown_tokens_counted(base, tmp_path):
    run = tmp_path / "run"
    config = tuned(base, epochs=1, learning_rate=1e-9, warmup_steps=0)
    _, output = run_to(run, config, SPLITS)
    assert "Unknown in training sources: " in output and "'é' (" in output
    assert "--extend-vocabulary makes them known" in output
    before, after = (load_model(path / "model.keras") for path in (base, run))
    for old, new in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_allclose(old, new, atol=1e-5)
    # Trained whole, it keeps its optimizer.
    assert after.optimizer is not None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"freeze": ["encodr"]}, "no part 'encodr' to freeze. The parts are decoder"),
        ({"lora_rank": 60}, "No matrix of this model has more than 60"),
    ],
)
def test_a_refused_start_leaves_the_folder_to_the_corrected_command(
    base, tmp_path, settings, message
):
    run = tmp_path / "run"
    with pytest.raises(InputError, match=message):
        run_to(run, tuned(base, **settings), SPLITS)
    assert not (run / "config.json").exists()


def test_a_base_that_changed_before_the_first_epoch_is_refused(base, tmp_path, monkeypatch):
    here, run = shutil.copytree(base, tmp_path / "base"), tmp_path / "run"
    config = tuned(here, epochs=1)
    interrupt_before(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt):
        run_to(run, config, SPLITS)
    with (here / "model.keras").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(InputError, match="is another model than when"):
        run_to(run, config, SPLITS)


def test_a_tokenizer_of_pieces_cannot_grow():
    pieces = SentencePieceTokenizer.from_lines(WITH_NEW.sources, vocabulary_size=20)
    with pytest.raises(InputError, match="SentencePieceTokenizer is made as a whole"):
        pieces.extended([["x"]])


def invoke(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    return result.stderr


def test_the_command_refuses_before_it_reads_anything(base, tmp_path):
    missing = tmp_path / "missing.tsv"
    train = "train", missing, "--run-dir", tmp_path / "run"
    assert "--hidden-dim cannot be" in invoke(*train, "--from", base, "--hidden-dim", 13)
    assert "no such file; a run has one" in invoke(*train, "--from", tmp_path / "nothing")
    assert "--freeze is about the model of --from" in invoke(*train, "--freeze", "encoder")
    file = tmp_path / "run.toml"
    file.write_text(
        f'[fine_tuning]\nbase = "{base}"\nfreeze = ["encoder"]\n[model]\nhidden_dim = 1'
    )
    assert "where it is 12. Received: 1." in invoke(*train, "--config", file)
