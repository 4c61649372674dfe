"""A time budget: the rate by the clock, the end in time, and resuming with what is left."""

import json
import math

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError
from tests.conftest import spelled_pairs
from training.run.time_budget import TimeBudget
from training.settings import TrainingConfig
from training.settings.suggestions import Suggestions


class Clock:
    """Each training step and each check takes a time of its own."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Takes(keras.callbacks.Callback):
    def __init__(self, clock, step, check):
        super().__init__()
        self.clock, self.step, self.check = clock, step, check
        self.rates = []

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))
        self.clock.now += self.step

    def on_epoch_end(self, epoch, logs=None):
        self.clock.now += self.check


def fit(budget, clock, step=1.0, check=2.0, steps=5, epochs=100, initial_epoch=0):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    takes = Takes(clock, step, check)
    # Before the budget at the end of an epoch, as decoding is; after it in a step.
    order = [budget, takes]
    check_first = keras.callbacks.LambdaCallback(on_epoch_end=takes.on_epoch_end)
    takes.on_epoch_end = lambda epoch, logs=None: None
    history = model.fit(
        np.ones((steps, 1)),
        np.ones((steps, 1)),
        batch_size=1,
        epochs=epochs,
        initial_epoch=initial_epoch,
        callbacks=[check_first, *order],
        verbose=0,
    )
    return takes.rates, history


def test_training_and_its_checks_end_in_time():
    clock = Clock()
    budget = TimeBudget(30.0, 0.1, clock=clock)
    rates, history = fit(budget, clock)
    # Four epochs of 5 steps and a check of 2 s take 28 s: no step more fits with its check.
    assert len(rates) == 20 and budget.spent == pytest.approx(28.0)
    assert history.history["seconds"] == [7.0, 14.0, 21.0, 28.0]


def test_it_stops_in_the_middle_of_an_epoch():
    clock = Clock()
    budget = TimeBudget(25.0, 0.1, clock=clock)
    rates, _ = fit(budget, clock)
    assert len(rates) == 17  # Two steps of the fourth epoch, and its check.
    assert budget.spent == pytest.approx(25.0)


def test_the_rate_is_a_cosine_of_the_time_spent_after_a_warm_up():
    clock = Clock()
    budget = TimeBudget(30.0, 0.1, warmup_steps=4, clock=clock)
    rates, _ = fit(budget, clock)
    times = [epoch * 7.0 + step for epoch in range(4) for step in range(5)]
    expected = [
        0.1 * min(1, (i + 1) / 4) * (0.01 + 0.99 * (1 + math.cos(math.pi * t / 30)) / 2)
        for i, t in enumerate(times)
    ]
    assert rates == pytest.approx(expected, rel=1e-5)


def test_a_resumed_run_has_what_is_left():
    clock = Clock()
    whole, _ = fit(TimeBudget(30.0, 0.1, clock=clock), clock)
    first_clock = Clock()
    begun, history = fit(TimeBudget(30.0, 0.1, clock=first_clock), first_clock, epochs=2)
    spent = history.history["seconds"][-1]
    later = Clock()
    later.now = 5000.0
    rest, _ = fit(TimeBudget(30.0, 0.1, spent=spent, clock=later), later, initial_epoch=2)
    assert begun + rest == pytest.approx(whole)


def test_a_budget_of_nearly_nothing_makes_one_step():
    clock = Clock()
    rates, _ = fit(TimeBudget(0.5, 0.1, clock=clock), clock)
    assert len(rates) == 1


def test_a_schedule_beside_it_is_refused():
    with pytest.raises(InputError, match="--minutes has a schedule of its own.*'plateau'"):
        TrainingConfig(minutes=1.0, schedule="plateau")
    with pytest.raises(InputError, match="--minutes must be at least 0. Received: -1"):
        TrainingConfig(minutes=-1.0)


def suggested(pairs, **settings):
    found = Suggestions(TrainingConfig(**settings), pairs)
    return found.settings, found.reasons


def test_settings_are_chosen_from_the_data():
    spelling = spelled_pairs(2000)
    settings, reasons = suggested(spelling, minutes=10)
    assert settings["source_tokenizer"] == "characters"
    assert settings["target_tokenizer"] == "symbols"
    assert "hidden_dim" not in settings and settings["dropout"] == 0.3
    assert any("6 different words" in reason for reason in reasons)
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghij"), 6)) for _ in range(3000)]
    sentences = [" ".join(rng.choice(words, 9)) for _ in range(6000)]
    settings, _ = suggested(Pairs(sentences, sentences), minutes=10)
    assert settings["source_tokenizer"] == settings["target_tokenizer"] == "bpe"
    assert settings["vocabulary_size"] == 1500 and settings["batch_size"] == 64
    assert "max_source_length" not in settings
    # Every choice is a setting that exists.
    TrainingConfig(**settings)


def test_without_a_time_only_tokenizers_are_chosen():
    spelling = spelled_pairs(2000)
    settings, reasons = suggested(spelling)
    assert settings == {"source_tokenizer": "characters", "target_tokenizer": "symbols"}
    assert len(reasons) == 2
    settings, _ = suggested(spelling, source="features")
    assert settings == {"target_tokenizer": "symbols"}
    settings, _ = suggested(spelling, target_tokenizer="words")
    assert settings == {"source_tokenizer": "characters"}


def test_one_vocabulary_has_one_tokenizer():
    spelling = spelled_pairs(500)
    settings, _ = suggested(spelling, joint_vocabulary=True)
    assert settings["source_tokenizer"] == settings["target_tokenizer"]
    settings, reasons = suggested(spelling, joint_vocabulary=True, target_tokenizer="words")
    assert settings == {"source_tokenizer": "words"} and "one vocabulary" in reasons[0]


def test_what_is_chosen_applies_to_the_architecture():
    settings, reasons = suggested(spelled_pairs(500), minutes=3, architecture="transformer")
    assert settings["batch_size"] == 32 and "embedding_dim" not in settings
    assert not any("embedding_dim" in reason for reason in reasons)
    TrainingConfig(architecture="transformer", **settings)


def test_outliers_do_not_set_the_greatest_length():
    pairs = spelled_pairs(500)
    pairs.sources[7] = "a" * 900
    settings, reasons = suggested(pairs, minutes=10)
    assert settings["max_source_length"] == 4 * 7
    assert any("the longest 900" in reason for reason in reasons)
    assert "max_target_length" not in settings


@pytest.mark.large
def test_one_command_from_pairs_to_a_report(tmp_path):
    pairs = spelled_pairs(300)
    rows = zip(pairs.sources, pairs.targets, strict=True)
    (tmp_path / "pairs.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in rows))
    arguments = ["train", str(tmp_path / "pairs.tsv"), "--run-dir", str(tmp_path / "run")]
    arguments += ["--minutes", "0.05", "--hidden-dim", "8"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "target_tokenizer symbols: 6 different words" in result.output
    settings = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    assert settings["model"]["hidden_dim"] == 8  # What was given stays.
    assert settings["optimization"]["batch_size"] == 32
    assert (tmp_path / "run" / "report.html").exists()
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 0
    assert "is finished; nothing to do" in " ".join(again.output.split())
