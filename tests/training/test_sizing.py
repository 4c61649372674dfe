"""The size that measured speed allows: chosen, recorded, kept, and never over what is given."""

import json

import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.data import split_by_source
from tests.conftest import spelled_pairs
from tests.training.test_trainer import run_to
from training.run import sizing
from training.run_directory import RunDirectory
from training.settings import TrainingConfig, resolve
from training.settings.files import read_settings, written
from training.settings.measured import MEASURED, UNMEASURED, unmeasured
from training.settings.suggestions import LADDER, Suggestions

SPLITS = split_by_source(spelled_pairs(150), validation_sources=15)


@pytest.mark.parametrize(
    ("measured", "most", "size"),
    [
        # 10 ms and 1 ms a 1,000 units ** 2: 14.1, 26.4 and 75.5 ms with 64, 128 and 256.
        ({64: 14.096, 256: 75.536}, 75.6, 256),
        ({64: 14.096, 256: 75.536}, 75.5, 192),
        ({64: 14.096, 256: 75.536}, 26.4, 128),
        ({64: 14.096, 256: 75.536}, 26.3, 96),
        ({64: 14.096, 256: 75.536}, 1.0, 64),
        # The large one is not slower, as on a GPU, or by chance even faster.
        ({64: 5.0, 512: 4.0}, 6.0, 512),
        # One alone: all of its time for products.
        ({64: 10.0}, 40.0, 128),
        ({64: 10.0}, 39.9, 96),
    ],
)
def test_the_largest_size_is_chosen_that_fits(measured, most, size):
    assert sizing.fitting_size(list(LADDER), measured, most) == size


def test_the_sizes_end_with_what_the_data_bears_and_heads_divide_them():
    assert sizing.sizes(TrainingConfig(hidden_dim=128)) == [64, 96, 128]
    transformer = TrainingConfig(architecture="transformer", hidden_dim=128, num_heads=5)
    assert sizing.sizes(transformer) == [70, 100, 130]


def config_of(pairs=SPLITS.train, **given):
    """As the command makes it."""
    given = {"minutes": 1.0, "epochs": 2, **given}
    found = Suggestions(TrainingConfig(**given), pairs)
    layers = [("option", given), ("data", found.settings), (UNMEASURED, found.unmeasured)]
    return resolve(layers)[0], found


def test_what_is_given_is_not_measured():
    config, found = config_of()
    assert unmeasured(config) == ["hidden_dim", "embedding_dim"]
    assert config.model.hidden_dim == 128 and "not known yet" in found.later[0]
    config, _ = config_of(hidden_dim=20)
    assert not unmeasured(config) and config.model.embedding_dim == 10
    config, _ = config_of(embedding_dim=20)
    assert unmeasured(config) == ["hidden_dim"]
    # Too short for a measurement.
    config, _ = config_of(minutes=0.5)
    assert not unmeasured(config) and config.model.hidden_dim == 64
    config, _ = config_of(architecture="transformer")
    assert unmeasured(config) == ["hidden_dim"]


def test_a_file_of_settings_says_what_is_not_known_yet(tmp_path):
    text = written(config_of()[0])
    assert "# hidden_dim =\n" in text and "# embedding_dim =\n" in text
    unwrapped = text.replace("\n# ", " ")
    assert unwrapped.count("chosen by the measured speed when a run begins") == 2
    (tmp_path / "run.toml").write_text(text)
    assert not {"hidden_dim", "embedding_dim"} & read_settings(tmp_path / "run.toml").keys()


def test_a_run_measures_once_and_keeps_what_it_chose(tmp_path, monkeypatch):
    monkeypatch.setattr(sizing, "LADDER", (4, 6))
    monkeypatch.setattr(sizing, "STEPS", 3)
    # However slow the machine is.
    monkeypatch.setattr(sizing, "SHARE", 1.0)
    config, _ = config_of(monitor="loss")
    _, output = run_to(tmp_path / "run", config, SPLITS)
    run = RunDirectory(tmp_path / "run")
    assert "Chosen: 6 units" in output and run.settings.model.hidden_dim == 6
    assert run.settings.model.embedding_dim == 3
    assert run.settings.origin_of("hidden_dim") == MEASURED
    measured = run.config["measured"]
    assert measured["seconds_a_step"].keys() == {"4", "6"}
    assert measured["updates"] == sizing.EPOCHS * measured["steps_an_epoch"]
    # The measurement is a part of the time.
    assert run.history[0]["seconds"] > measured["seconds"] > 0
    (run.metrics_file).unlink()
    monkeypatch.setattr(sizing, "sized", None)
    _, output = run_to(tmp_path / "run", config, SPLITS)
    assert "Measured" not in output and run.settings.model.hidden_dim == 6
    shown = CliRunner().invoke(main, ["inspect", str(run.path)])
    assert "measured" in shown.output and "steps a second" in " ".join(shown.output.split())


def test_a_run_of_an_older_version_keeps_its_size(tmp_path):
    run = RunDirectory(tmp_path / "run")
    old = TrainingConfig(minutes=1.0, epochs=2, hidden_dim=9).with_origins(
        {"minutes": "option", "hidden_dim": "data"}
    )
    record = {"settings": old.to_dict(), "origins": dict(old.origins), "data": "0"}
    run.path.mkdir()
    run.config_file.write_text(json.dumps(record))
    config = sizing.as_measured(config_of()[0], run)
    assert config.model.hidden_dim == 9 and config.origin_of("hidden_dim") == "data"
    assert not unmeasured(config)
