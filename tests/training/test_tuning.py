"""The search over settings: what is tried, in which order, and what a kill leaves."""

import json

import optuna
import pytest
from click.testing import CliRunner
from rich.console import Console

from keras_seq2seq.cli import main
from keras_seq2seq.data import Pairs, Splits
from keras_seq2seq.errors import InputError
from keras_seq2seq.training import tuning
from keras_seq2seq.training.settings import TrainingConfig, training_settings
from keras_seq2seq.training.settings.files import read_settings
from keras_seq2seq.training.settings.measured import MEASURED, UNMEASURED
from keras_seq2seq.training.settings.searched import searched_values
from keras_seq2seq.training.tuning import Tuning, trial_minutes

PAIRS = Pairs(["ab", "cd"], ["ba", "dc"])
SPLITS = Splits(PAIRS, PAIRS, None)
DECLARED = {n: one for section in training_settings().values() for n, one in section.items()}


def build(tried):
    return TrainingConfig(**{"minutes": 1.0, **tried})


class Trained:
    """In place of `train`: an error rate that is known of the settings, in no time."""

    def __init__(self, rate, killed_at=None, seconds=60.0):
        self.rate, self.killed_at, self.seconds, self.configs = rate, killed_at, seconds, []

    def __call__(self, config, splits, run, console, own):
        self.configs.append(config)
        if len(self.configs) == self.killed_at:
            run.path.mkdir(parents=True)
            raise KeyboardInterrupt
        (callback,) = own.callbacks(config, run.path)
        run.path.mkdir(parents=True, exist_ok=True)
        rate = self.rate(config)
        rows = []
        for epoch in range(3):
            callback.begin -= self.seconds / 3
            logs = {"val_sequence_error_rate": rate + 0.1 * (2 - epoch)}
            rows.append({"epoch": epoch + 1, "seconds": self.seconds * (epoch + 1) / 3, **logs})
            run.write_history(rows)
            callback.on_epoch_end(epoch, dict(logs))


@pytest.fixture
def trained(monkeypatch):
    def use(*arguments, **options):
        fake = Trained(*arguments, **options)
        monkeypatch.setattr(tuning, "train", fake)
        monkeypatch.setattr(tuning.keras.utils, "clear_session", lambda **_: None)
        return fake

    return use


def a_search(folder, values, console=None):
    return Tuning(folder, build, values, SPLITS, console or Console(quiet=True))


SIZES = {"hidden_dim": [128, 256, 384, 512], "dropout": [0.0, 0.1, 0.2, 0.3]}


def bowl(config):
    """Best at 384 units and a dropout of 0.2."""
    return abs(config.model.hidden_dim - 384) / 1000 + abs(config.model.dropout - 0.2)


def test_every_value_that_is_tried_is_one_of_its_setting():
    searched = {name: one.tuned for name, one in DECLARED.items() if one.tuned}
    assert {"architecture", "hidden_dim", "learning_rate"} <= set(searched)
    for name, values in searched.items():
        for value in values:
            assert DECLARED[name].checked(value) == value


def test_what_is_given_is_not_searched_and_the_default_is_tried_too():
    values = searched_values(build({"hidden_dim": 200}), ["dropout", "seed"], {})
    assert "dropout" not in values
    assert values["hidden_dim"] == [128, 200, 256, 384, 512]
    assert "num_heads" in values and "lstm_attention" in values["architecture"]
    recurrent = searched_values(build({"architecture": "recurrent"}), ["architecture"], {})
    assert "architecture" not in recurrent and "num_heads" not in recurrent


def test_with_values_nothing_else_is_searched():
    assert searched_values(
        build({}), [], {"clipnorm": "0.5,2", "tie_output": "true,false"}
    ) == {
        "clipnorm": [0.5, 1.0, 2.0],
        "tie_output": [False, True],
    }


@pytest.mark.parametrize(
    ("fixed", "asked", "line"),
    [
        ([], {"hiden_dim": "1"}, "there is no such setting"),
        (["dropout"], {"dropout": "0.1"}, "contradict each other"),
        ([], {"dropout": "0.1,2"}, r"must be in \[0, 1\)"),
        ([], {"hidden_dim": "8,many"}, "whole number"),
    ],
)
def test_values_that_cannot_be(fixed, asked, line):
    with pytest.raises(InputError, match=line):
        searched_values(build({}), fixed, asked)


def test_the_first_trial_is_what_train_does_and_the_best_is_found(tmp_path, trained):
    fake = trained(bowl)
    best = a_search(tmp_path / "s", SIZES).search(minutes=10)
    assert fake.configs[0] == build({})
    assert len(fake.configs) >= 10  # A trial that is stopped leaves its time to others.
    settings = read_settings(tmp_path / "s" / "best.toml")
    rates = [bowl(config) for config in fake.configs]
    assert bowl(TrainingConfig(**settings)) == min(rates)
    assert min(rates) < rates[0] - 0.1
    assert best.history[-1]["val_sequence_error_rate"] == min(rates)


def test_what_the_first_trial_has_measured_all_have(tmp_path, trained):
    def unmeasured(tried):
        origins = {"minutes": "option", "hidden_dim": UNMEASURED}
        return build({"hidden_dim": 256, **tried}).with_origins(origins)

    class Measuring(Trained):
        def __call__(self, config, splits, run, console, own):
            if not self.configs:
                settings = config.replace(hidden_dim=96)
                record = {"settings": settings.to_dict(), "data": "0"}
                run.path.mkdir(parents=True)
                run.write_json(run.config_file, record | {"origins": {"hidden_dim": MEASURED}})
            super().__call__(config, splits, run, console, own)

    trained(bowl)
    tuning.train = fake = Measuring(bowl)
    search = Tuning(
        tmp_path / "s", unmeasured, {"dropout": [0.1, 0.3]}, SPLITS, Console(quiet=True)
    )
    search.search(minutes=3)
    assert [config.model.hidden_dim for config in fake.configs] == [256, 96]
    assert read_settings(tmp_path / "s" / "best.toml")["hidden_dim"] == 96


def test_a_score_that_is_better_when_it_is_higher(tmp_path, trained, monkeypatch):
    def scored(config):
        return TrainingConfig(minutes=1.0, metric="bleu", monitor="bleu", **config)

    class Scored(Trained):
        def __call__(self, config, splits, run, console, own):
            self.configs.append(config)
            run.path.mkdir(parents=True)
            row = {"epoch": 1, "seconds": 60.0, "val_bleu": 100 * config.model.dropout}
            run.write_history([row])

    monkeypatch.setattr(tuning, "train", Scored(None))
    search = Tuning(
        tmp_path / "s", scored, {"dropout": [0.1, 0.3]}, SPLITS, Console(quiet=True)
    )
    search.search(minutes=4)
    assert read_settings(tmp_path / "s" / "best.toml")["dropout"] == 0.3


def test_a_hopeless_trial_is_stopped_and_the_next_begins(tmp_path, trained):
    class Once(Trained):
        def __call__(self, config, splits, run, console, own):
            self.rate = lambda config: 0.5 if len(self.configs) < 6 else 5.0
            super().__call__(config, splits, run, console, own)

    fake = Once(None)
    tuning.train, before = fake, tuning.train
    try:
        a_search(tmp_path / "s", SIZES).search(minutes=8, most_trials=8)
    finally:
        tuning.train = before
    study = optuna.create_study(
        study_name="tune",
        storage=tuning.JournalStorage(
            tuning.JournalFileBackend(str(tmp_path / "s" / "trials.log"))
        ),
        load_if_exists=True,
    )
    states = [trial.state.name for trial in study.trials]
    assert states[:5] == ["COMPLETE"] * 5
    assert "PRUNED" in states[5:]


def test_a_search_that_was_killed_goes_on_with_the_trial_it_was_at(tmp_path, trained):
    folder = tmp_path / "s"
    fake = trained(bowl, killed_at=3)
    with pytest.raises(KeyboardInterrupt):
        a_search(folder, SIZES).search(minutes=6)
    interrupted = fake.configs[2]
    again = trained(bowl)
    a_search(folder, SIZES).search(minutes=6)
    # Those that were in the queue come first; none is trained twice.
    assert interrupted in again.configs
    configs = [*fake.configs[:2], *again.configs]
    assert len(configs) == len(list((folder / "trials").iterdir())) >= 6
    assert all(config not in configs[:place] for place, config in enumerate(configs))
    more = trained(bowl)
    a_search(folder, SIZES).search(minutes=8)
    assert more.configs  # How many depends on how many were stopped early.
    assert trial_minutes(folder) == 1.0 and trial_minutes(tmp_path) is None


def test_a_search_ends_when_all_was_tried(tmp_path, trained):
    fake = trained(bowl)
    a_search(tmp_path / "s", {"dropout": [0.1, 0.3], "hidden_dim": [256, 384]}).search(99)
    assert len(fake.configs) == 4


def test_a_trial_that_cannot_be_trained_does_not_end_the_search(tmp_path, trained):
    def rate(config):
        if config.model.hidden_dim == 512:
            raise InputError("too large")
        return bowl(config)

    trained(rate)
    lines = Console(record=True, quiet=False, file=open("/dev/null", "w"))
    a_search(tmp_path / "s", {"hidden_dim": [256, 512]}, lines).search(4, most_trials=3)
    assert "not trained: too large" in lines.export_text()


def test_another_search_in_the_folder_is_refused(tmp_path, trained):
    trained(bowl)
    a_search(tmp_path / "s", SIZES).search(minutes=1)
    with pytest.raises(InputError, match="holds a search with other values"):
        a_search(tmp_path / "s", {"dropout": [0.1, 0.2]}).search(minutes=2)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not a search of this program"):
        a_search(tmp_path, SIZES).search(minutes=1)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["mine.txt"]
    with pytest.raises(InputError, match="Nothing is left to search"):
        a_search(tmp_path / "t", {})


def test_the_first_trial_must_be_trained(tmp_path, trained):
    def rate(config):
        raise InputError("no such data")

    trained(rate)
    with pytest.raises(InputError, match="no such data"):
        a_search(tmp_path / "s", SIZES).search(minutes=2)
    corrected = trained(bowl)
    a_search(tmp_path / "s", SIZES).search(minutes=2)
    assert build({}) in corrected.configs
    assert "settings" in json.loads((tmp_path / "s" / "tune.json").read_text())


def test_the_command_searches_and_train_takes_what_it_found(tmp_path):
    """For real, with a model as small as can be."""
    file = tmp_path / "pairs.tsv"
    file.write_text("".join(f"{w}\t{w[::-1]}\n" for w in map("{:04b}".format, range(64))))
    folder = tmp_path / "tuned"
    sizes = ["--hidden-dim", 4, "--embedding-dim", 4, "--architecture", "lstm"]
    command = [
        *("tune", file, "--run-dir", folder, "--minutes", 1, "--trial-minutes", 0.02),
        *("--values", "learning-rate=0.001,0.1", *sizes),
    ]
    result = invoke(*command, "--trials", 1)
    assert result.exit_code == 0, result.output
    assert read_settings(folder / "best.toml")["hidden_dim"] == 4
    (folder / "best.toml").rename(tmp_path / "before.toml")
    again = invoke(*command, "--trials", 1)
    assert (folder / "best.toml").read_text() == (tmp_path / "before.toml").read_text()
    assert again.exit_code == 0 and "Trial 0001" not in again.output, again.output
    printed = invoke("train", file, "--config", folder / "best.toml", "--print-config")
    assert "hidden_dim = 4" in printed.output and "minutes = 0.02" in printed.output
    line = invoke("tune", file, "--run-dir", folder, "--minutes", 1, "--values", "dropout")
    assert line.exit_code == 2 and "--values takes a setting and values" in line.stderr


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])
