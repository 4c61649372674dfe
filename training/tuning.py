"""A search over settings: many short runs, each with settings that the ones before suggest.

```
tune.json      what is searched: the settings that all trials share, values, data, minutes
trials.log     the search as Optuna's journal, from which the same command goes on
trials/0000/   the run of a trial, as `train` writes it; 0000 has the settings of `train`
best.toml      the settings of the best trial, for `train --config`
```
"""

import gc
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import optuna
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from rich.console import Console

from keras_seq2seq.data import Splits
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import check_folder, lock, write_text
from keras_seq2seq.settings.declarations import option_name

from .run.own_parts import OwnParts
from .run.sizing import as_measured
from .run.time_budget import SECONDS
from .run.trainer import train
from .run_directory import RunDirectory
from .run_records import fingerprint, read_record
from .settings import TrainingConfig
from .settings.files import written
from .settings.monitors import cost

RECORD_FILE = "tune.json"
RECORD = {"settings": dict, "values": dict, "data": str}
# Optuna counts whole steps: hundredths of a trial's time.
STEPS = 100
# The name of the run of the first trial.
FIRST = "0000"
# Trials before one may be stopped early, and what every trial gets.
FEWEST_TRIALS, FIRST_STEP = 4, 30
# What is tried next, as changes of the settings of the first trial: models unlike it, which a
# search of a dozen trials is too short to come upon by itself.
STARTS: tuple[dict[str, Any], ...] = (
    {
        "architecture": "recurrent",
        "attention": "location",
        "num_layers": 2,
        "dropout": 0.3,
        "label_smoothing": 0.1,
    },
    {"architecture": "transformer", "positions": "relative", "num_layers": 2},
    {"hidden_dim": 256, "learning_rate": 1e-3, "ema": 0.99},
)
# Settings that cannot be trained with, such as a width that the heads do not divide.
MOST_FAILURES = 100
# Proposals in a row that were tried before, after which there is taken to be no other.
MOST_REPETITIONS = 100

Build = Callable[[Mapping[str, Any]], TrainingConfig]


def trial_minutes(folder: Path) -> float | None:
    """The time of a trial of the search in a folder; `None` if there is none."""
    file = folder / RECORD_FILE
    if not file.exists():
        return None
    record = read_record(file, RECORD, "Choose another --run-dir.")
    return TrainingConfig.from_dict(record["settings"]).optimization.minutes


class Tuning:
    """A search in a folder; the same one goes on where it was.

    Each trial trains for the same time. The first has the settings that `train` would take;
    the others are proposed by the tree-structured Parzen estimator (Bergstra et al. 2011,
    "Algorithms for Hyper-Parameter Optimization") of Optuna. One that is worse than the
    median of the others at the same share of its time is stopped.

    Args:
        folder: Where everything is written.
        build: Makes the configuration of a trial from the settings that are tried.
        values: Setting -> the values to try (`searched_values`).
        splits: Pairs; the validation pairs choose the best trial.
        console: Where progress is printed.
        own: Parts of the user's own, optional.

    Raises:
        InputError: If the folder holds another search or something else.
    """

    def __init__(
        self,
        folder: str | Path,
        build: Build,
        values: Mapping[str, Sequence[Any]],
        splits: Splits,
        console: Console,
        own: OwnParts | None = None,
    ):
        self.folder, self.build, self.values = Path(folder), build, values
        self.splits, self.console, self.own = splits, console, own or OwnParts()
        self.base = build({})
        self.failures = 0
        self.record_file = self.folder / RECORD_FILE
        self.best_file = self.folder / "best.toml"
        if not values:
            raise InputError(
                "Nothing is left to search: every setting is given. Leave one out, or give "
                "--values."
            )

    def search(self, minutes: float, most_trials: int | None = None) -> RunDirectory:
        """Trains trials until the minutes, those of earlier calls among them, are used up.

        Args:
            minutes: In all.
            most_trials: In all, optional.

        Returns:
            The best run.

        Raises:
            InputError: If the first trial cannot be trained, or none could be.
        """
        check_folder(self.folder)
        self._check_own()
        self.folder.mkdir(parents=True, exist_ok=True)
        with lock(self.folder / "tune.lock", self.folder):
            self._begin()
            study = self._study()
            self._take_up(study)
            each = self.base.optimization.minutes
            while minutes - _minutes_of(study) > 0.9 * each:
                if most_trials is not None and len(_ended(study)) >= most_trials:
                    break
                trial = self._next(study)
                if trial is None:
                    self._say("Nothing new is found: all values were tried.")
                    break
                self._train(study, trial)
            return self._conclude(study)

    def _check_own(self) -> None:
        if self.folder.exists() and not self.record_file.exists():
            if not self.folder.is_dir() or any(
                path.name != "tune.lock" for path in self.folder.iterdir()
            ):
                raise InputError(
                    f"{self.folder} exists and is not a search of this program; choose another "
                    "--run-dir."
                )

    def _begin(self) -> None:
        """Writes what is searched, or checks that it is what the folder has."""
        splits = self.splits
        record = {
            "settings": self.base.to_dict(),
            "values": {name: list(tried) for name, tried in self.values.items()},
            "data": str(fingerprint(splits.train, splits.validation)),
            "modules": self.own.modules,
        }
        if not self.record_file.exists():
            write_text(self.record_file, json.dumps(record, indent=2) + "\n")
            return
        there = read_record(self.record_file, RECORD, "Choose another --run-dir.")
        # As JSON has it: a tuple is a list there.
        now = json.loads(json.dumps(record))
        if different := [name for name in now if there.get(name) != now[name]]:
            raise InputError(
                f"{self.folder} holds a search with other {' and '.join(different)}. Give what "
                "it began with, or choose another --run-dir."
            )

    def _study(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # Each trial traces functions of its own, of which TensorFlow would warn.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        return optuna.create_study(
            study_name="tune",
            storage=JournalStorage(JournalFileBackend(str(self.folder / "trials.log"))),
            sampler=TPESampler(n_startup_trials=1 + len(STARTS), seed=self.base.run.seed),
            pruner=optuna.pruners.MedianPruner(FEWEST_TRIALS, n_warmup_steps=FIRST_STEP),
            load_if_exists=True,
        )

    def _take_up(self, study: optuna.Study) -> None:
        """The first trials, and those that a kill interrupted, come next."""
        if not study.trials:
            study.enqueue_trial({}, {"run": FIRST})
            for start in STARTS:
                if start.items() <= (tried := self._started(start)).items():
                    study.enqueue_trial(self._indices(tried), skip_if_exists=True)
        for old in study.get_trials(states=[TrialState.RUNNING]):
            study.tell(old.number, state=TrialState.FAIL)
            name = old.user_attrs.get("run", f"{old.number:04d}")
            study.enqueue_trial(old.params, {"run": name})

    def _started(self, start: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the first trial with changes, as far as those are searched."""
        changes = {n: v for n, v in start.items() if v in self.values.get(n, ())}
        return (
            self.build(changes).values
            if "architecture" in changes
            else (self.base.values | changes)
        )

    def _indices(self, settings: Mapping[str, Any]) -> dict[str, int]:
        """The places of values among those that are searched."""
        return {
            name: list(tried).index(settings[name])
            for name, tried in self.values.items()
            if settings.get(name) in tried
        }

    def _proposed(self, trial: optuna.Trial) -> dict[str, Any]:
        """The settings of a trial. The architecture first: it says which others there are."""
        names = sorted(self.values, key=lambda name: name != "architecture")
        settings: dict[str, Any] = {}
        having = None
        for name in names:
            if name != "architecture":
                if having is None:
                    chosen = {n: settings[n] for n in ("architecture",) if n in settings}
                    having = self.build(chosen).values
                if name not in having:
                    continue
            tried = self.values[name]
            # By its place: the estimator then knows which values are neighbours.
            settings[name] = tried[trial.suggest_int(name, 0, len(tried) - 1)]
        return settings

    def _next(self, study: optuna.Study) -> optuna.Trial | None:
        """The first trial, or one that is not like one before, whose result would be the
        same."""
        estimator = study.sampler
        try:
            for _ in range(MOST_REPETITIONS):
                trial = study.ask()
                if trial.user_attrs.get("run") == FIRST:
                    return trial
                config = self._config(self._proposed(trial))
                tried = any(old.params == trial.params for old in _ended(study))
                if not tried and config != self._config({}):
                    return trial
                study.tell(trial, state=TrialState.FAIL)
                # The estimator would propose it again, having learned nothing.
                study.sampler = RandomSampler(seed=trial.number)
        finally:
            study.sampler = estimator
        return None

    def _config(self, settings: Mapping[str, Any]) -> TrainingConfig:
        """The configuration of a trial. What is to be measured the first has measured, so
        that all have the same."""
        config, first = self.build(settings), RunDirectory(self.folder / "trials" / FIRST)
        return as_measured(config, first) if first.config_file.exists() else config

    def _train(self, study: optuna.Study, trial: optuna.Trial) -> None:
        if "run" not in trial.user_attrs:
            trial.set_user_attr("run", f"{trial.number:04d}")
        name = trial.user_attrs["run"]
        run = RunDirectory(self.folder / "trials" / name)
        settings = {} if name == FIRST else self._proposed(trial)
        shown = ", ".join(f"{option_name(n)} {v}" for n, v in settings.items())
        self._say(f"Trial {name}: {shown or 'the settings of `train`'}")
        begin = time.perf_counter()
        state, result = TrialState.COMPLETE, ""
        try:
            config = self._config(settings)
            # What is odd about the data is said once.
            console = self.console if name == FIRST else Console(quiet=True)
            train(config, self.splits, run, console, _StoppedEarly(self.own, trial))
        except optuna.TrialPruned:
            state, result = TrialState.PRUNED, "stopped: worse than the median"
        except InputError as error:
            if name == FIRST:  # It stays open, for the corrected command.
                raise
            state, result = TrialState.FAIL, f"not trained: {error}"
        history = run.history
        seconds = max([time.perf_counter() - begin, *(row[SECONDS] for row in history[-1:])])
        trial.set_user_attr(SECONDS, seconds)
        run.remove_checkpoint()
        monitor = f"val_{self.base.selection.monitor}"
        best = min((row[monitor] for row in history), key=lambda v: cost(monitor, v), default=0)
        if state == TrialState.COMPLETE:
            study.tell(trial, cost(monitor, best))
            result = f"{monitor.removeprefix('val_').replace('_', ' ')} {best:.4f}"
            if study.best_trial.number == trial.number:
                self._write_best(study)
                result += ", the best so far"
        else:
            study.tell(trial, state=state)
        self._say(f"  {result}")
        self.failures += state == TrialState.FAIL
        if self.failures > MOST_FAILURES:
            raise InputError(
                f"{MOST_FAILURES} trials could not be trained; the last: {result}. Give other "
                "--values."
            )
        # Else the graphs of every trial stay in memory.
        keras.utils.clear_session(free_memory=True)
        gc.collect()

    def _conclude(self, study: optuna.Study) -> RunDirectory:
        if not study.get_trials(states=[TrialState.COMPLETE]):
            raise InputError(
                "No trial came to its end. Give more --minutes, or fewer --trial-minutes."
            )
        self._write_best(study)  # A kill may have come before it.
        return RunDirectory(self.folder / "trials" / study.best_trial.user_attrs["run"])

    def _write_best(self, study: optuna.Study) -> None:
        best = {n: self.values[n][place] for n, place in study.best_trial.params.items()}
        write_text(self.best_file, written(self._config(best)))

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


class _StoppedEarly(OwnParts):
    """The parts of a run, with a callback that stops a trial without a prospect."""

    def __init__(self, own: OwnParts, trial: optuna.Trial):
        super().__init__()
        self.modules, self._functions, self.trial = own.modules, own._functions, trial

    def callbacks(self, config: TrainingConfig, folder: Path) -> list[Any]:
        return [*super().callbacks(config, folder), _Report(self.trial, config, folder)]


class _Report(keras.callbacks.Callback):
    """Tells Optuna the best value so far at the end of an epoch."""

    def __init__(self, trial: optuna.Trial, config: TrainingConfig, folder: Path):
        super().__init__()
        self.trial = trial
        self.monitor = f"val_{config.selection.monitor}"
        self.seconds = 60 * config.optimization.minutes
        history = RunDirectory(folder).history
        self.costs = [cost(self.monitor, row[self.monitor]) for row in history]
        self.begin = time.perf_counter() - (history[-1][SECONDS] if history else 0.0)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.costs.append(cost(self.monitor, (logs or {})[self.monitor]))
        share = (time.perf_counter() - self.begin) / self.seconds
        self.trial.report(min(self.costs), min(STEPS, round(STEPS * share)))
        if self.trial.should_prune():
            raise optuna.TrialPruned


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials that came to an end, whatever that was; not those like one before."""
    return [trial for trial in study.trials if SECONDS in trial.user_attrs]


def _minutes_of(study: optuna.Study) -> float:
    return sum(trial.user_attrs[SECONDS] for trial in _ended(study)) / 60
