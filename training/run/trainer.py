"""One training run: data to best model, resumable at every epoch."""

import shutil
import time
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
from rich.console import Console

from keras_seq2seq.data import Pairs, Splits, validation_data
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import write_atomically
from keras_seq2seq.models import Seq2Seq, backend_generates
from keras_seq2seq.models.compilation import keep_compiled
from keras_seq2seq.models.trained_parts import ordinary, trained_parameters

from ..evaluation import evaluate
from ..evaluation.elsewhere import Elsewhere
from ..run_directory import RunDirectory
from ..run_records import epochs_of, fingerprint
from ..settings import TrainingConfig
from ..settings.measured import unmeasured
from ..settings.monitors import cost, epochs_without_better, mode_of
from .averaging import average_models, epochs_to_average
from .building import build_loss
from .callbacks import (
    AveragedWeights,
    DecodedErrorRates,
    RunState,
    SeedEveryEpoch,
    StopOnInvalidLoss,
)
from .checks import check_backend, fitting_metric, without_effect
from .continuation import go_on
from .distribution import Processes, join
from .machine import describe_machine, set_threads
from .messages import say_what_began, say_what_came_out, validation_of
from .optimization import plateau_callbacks
from .own_parts import OwnParts
from .periods import Periods
from .preparation import Prepared, prepare
from .progress import ProgressBar
from .run_copy import copy_run
from .sizing import as_measured, seconds_of_measuring, sized
from .starting import describe_base, hold_parts
from .steps import batches, compiled
from .time_budget import SECONDS, TimeBudget
from .trackers import check_tracker, tracked


def train(
    config: TrainingConfig,
    splits: Splits,
    run: RunDirectory,
    console: Console,
    own: OwnParts | None = None,
) -> dict[str, Any]:
    """Trains, or resumes, or goes on with more epochs, minutes or patience, or reports a run
    that is finished.

    Args:
        config: Settings.
        splits: Pairs; validation pairs choose the best epoch.
        run: Where everything is written.
        console: Where progress is printed.
        own: Parts of the user's own, optional.

    Returns:
        The summary that `metrics.json` holds.

    Raises:
        InputError: If data, settings and folder do not fit, another process trains there, or
            the loss is not a number.
    """
    check_backend()
    keep_compiled()
    check_tracker(config.run.tracker)
    # What is refused at the beginning does not stop a run that began before it was.
    notes = fitting_metric(config, splits.validation, run.has_begun)
    notes += without_effect(config)
    processes = join(config)
    if processes.count > 1:
        data = str(fingerprint(splits.train, splits.validation))
        processes.check_same(settings=config.to_dict(), data=data)
    own = own or OwnParts()
    if not processes.is_first:
        console = Console(quiet=True)
        config = config.replace(tracker="none", tracker_samples=0)
    with ExitStack() as stack, processes.ending_together():

        def begin() -> tuple[RunDirectory, bool]:
            if not processes.is_first:
                return copy_run(run, stack.enter_context(TemporaryDirectory())), False
            stack.enter_context(run.held())
            return run, _begin(config, splits, run, console, own)

        mine, is_new = processes.in_order(begin)
        return _train(config, splits, mine, console, own, notes, processes, is_new)


def _begin(
    config: TrainingConfig, splits: Splits, run: RunDirectory, console: Console, own: OwnParts
) -> bool:
    """Creates the run, or makes it ready to resume or to go on; whether it is new."""
    is_new = not run.config_file.exists()
    if not is_new:
        config = as_measured(config, run)
    base = describe_base(config, run, own)
    lines = run.begin(config, splits.train, splits.validation, own.modules, base)
    for line in lines + go_on(run, config):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    return is_new


def _train(
    config: TrainingConfig,
    splits: Splits,
    run: RunDirectory,
    console: Console,
    own: OwnParts,
    notes: list[str],
    processes: Processes,
    is_new: bool,
) -> dict[str, Any]:
    if not is_new:
        config = as_measured(config, run)
    if run.is_finished:
        if not config.run.keep_checkpoint:
            run.remove_checkpoint()  # A kill can fall between the end and this.
        console.print(
            f"{run.path} is finished; nothing to do. Give more --epochs, --minutes or "
            "--patience to go on.",
            highlight=False,
            soft_wrap=True,
        )
        return run.metrics()
    for note in notes:
        console.print(f"warning: {note}", highlight=False, soft_wrap=True, markup=False)
    set_threads(config.run.intra_op_threads, console)
    keras.utils.set_random_seed(config.run.seed)
    try:
        prepared = prepare(config, splits, run, console, own)
        if unmeasured(config):
            config = sized(config, run, prepared.preprocessor, prepared.train, own, console)
            keras.utils.set_random_seed(config.run.seed)
        training = _Training(config, run, prepared, console, own, processes)
    except InputError:
        if is_new:  # Else the corrected command would meet a run of another configuration.
            run.withdraw()
        raise
    with training.elsewhere or nullcontext():
        seconds = training.fit()
        summary = training.summary(seconds)
        if config.selection.average:
            summary |= training.average_epochs()
    run.write_json(run.metrics_file, summary)
    if not config.run.keep_checkpoint:
        run.remove_checkpoint()
    best = training.state.history[training.state.best_epoch]
    idle = epochs_without_better(training.monitor, training.state.history)
    say_what_came_out(config, best, summary, run.model_file, console, idle)
    return summary


class _Training:
    """Model, batches and callbacks of a run, where its last checkpoint left them."""

    def __init__(
        self,
        config: TrainingConfig,
        run: RunDirectory,
        prepared: Prepared,
        console: Console,
        own: OwnParts,
        processes: Processes,
    ):
        self.config, self.run, self.prepared, self.console = config, run, prepared, console
        self.own, self.processes = own, processes
        self.monitor = f"val_{config.selection.monitor}"
        self.averaged_weights = AveragedWeights() if config.optimization.ema else None
        self.state = RunState(
            run, self.monitor, self.averaged_weights, self.epochs_to_average, self._save
        )
        self.initial_epoch = len(self.state.history)
        self.periods = Periods(
            config.selection.evaluate_steps, config.optimization.epochs, self.state.history
        )
        self.data = batches(
            config,
            prepared.preprocessor,
            prepared.train,
            **self.periods.start,
            processes=processes,
            swaps=prepared.swaps,
        )
        self.periods.steps_an_epoch = self.data.steps
        # What is saved where a part of the model is trained.
        self.whole = hold_parts(config, prepared.model, console) if prepared.model else None
        self.model = compiled(
            config, prepared.preprocessor, self.data.steps, own, prepared.model
        )
        say_what_began(
            config,
            self.whole or self.model,
            trained_parameters(self.model),
            len(prepared.train),
            len(prepared.validation),
            self.data.steps,
            self.state.history,
            console,
        )
        validation = prepared.validation
        self.decoded = _head(validation, config.selection.validation_decoded)
        selection = config.selection
        self.scoring = selection.metric, selection.references, selection.bleu_tokenizer
        self.elsewhere = self._decodes_elsewhere()
        self.held_out = processes.rows_of(
            validation_data(prepared.preprocessor, validation.sources, validation.targets)
        )

    def _decodes_elsewhere(self) -> Elsewhere | None:
        """What decodes where JAX trains; `None` where this process does, or nothing asks."""
        selection = self.config.selection
        if backend_generates() or (selection.monitor == "loss" and selection.metric == "none"):
            return None
        return Elsewhere(self.decoded, (None, *self.scoring), self.own.modules)

    def _decoded_values(self, model: Seq2Seq) -> dict[str, float]:
        """Error rates and scores of the held-out pairs; none where nothing decodes."""
        if self.elsewhere is not None:
            with TemporaryDirectory() as folder:
                path = Path(folder) / "model.keras"
                model.save(path)  # The work of all processes.
                return self.processes.of_first(partial(self.elsewhere.ask, path))
        if not backend_generates():
            return {}
        return evaluate(model, self.decoded, None, *self.scoring).values

    def _ordinary(self) -> Seq2Seq:
        """The model as it is now, without adapters and with nothing frozen; where there was
        something, without the optimizer, which knows the trained part alone."""
        return self.model if self.whole is None else ordinary(self.model, self.whole)

    def _save(self, path: Path) -> None:
        self._ordinary().save(path)

    def epochs_to_average(self, history: list[dict[str, float]]) -> list[int]:
        """Numbers of the epochs whose models are kept for `--average`."""
        selection = self.config.selection
        return epochs_to_average(history, selection.average, selection.average_of, self.monitor)

    def fit(self) -> float:
        """Trains until the last epoch, or until a callback stops; seconds."""
        budget = _time_budget(self.config, self.state.history, seconds_of_measuring(self.run))
        stopping = self._early_stopping_and_plateau()
        stopped = _replay(stopping, self.model, self.state.history)
        stopped |= budget is not None and budget.is_over
        # After the replay, which lowers the learning rate of a plateau by what it is now.
        for line in self.state.restore(self.model):
            self.console.print(line, highlight=False, soft_wrap=True, markup=False)
        begin = time.perf_counter()
        if self.initial_epoch < self.periods.last and not stopped:
            self._run_epochs(stopping, budget)
        return time.perf_counter() - begin

    def _early_stopping_and_plateau(self) -> list[keras.callbacks.Callback]:
        early_stopping = keras.callbacks.EarlyStopping(
            self.monitor, patience=self.config.selection.patience, mode=mode_of(self.monitor)
        )
        return [early_stopping, *plateau_callbacks(self.config, self.monitor)]

    def _run_epochs(
        self, stopping: list[keras.callbacks.Callback], budget: TimeBudget | None
    ) -> None:
        run = self.config.run
        labels = run.token_name, run.sequence_name
        progress = ProgressBar(self.console, labels, budget, self.periods)
        error_rates = DecodedErrorRates(
            self.decoded, model=self._ordinary, measure=self._decoded_values
        )
        callbacks = [
            *([self.averaged_weights] if self.averaged_weights else []),
            SeedEveryEpoch(run.seed),
            StopOnInvalidLoss(),
            error_rates,
            self.periods,
            *self.own.callbacks(self.config, self.run.path),
            *stopping,
            *([budget] if budget else []),
        ]
        try:
            with tracked(self.config, self.run, self.prepared.validation) as trackers:
                self.model.fit(
                    self.data.dataset,
                    steps_per_epoch=self.periods.length,
                    epochs=self.periods.last,
                    initial_epoch=self.initial_epoch,
                    validation_data=self.held_out,
                    callbacks=[*callbacks, *trackers, progress, self.state],
                    shuffle=False,
                    verbose=0,
                )
        finally:
            progress.on_train_end()

    def summary(self, seconds: float) -> dict[str, Any]:
        """What `metrics.json` says of the run."""
        history, num_pairs = self.state.history, len(self.prepared.train)
        best = history[self.state.best_epoch]
        begun = epochs_of(history[self.initial_epoch - 1]) if self.initial_epoch else 0
        epochs_run = epochs_of(history[-1]) - begun
        return {
            "best_epoch": best["epoch"],
            "epochs": len(history),
            **self.periods.summary(best),
            **validation_of(best),
            "parameters": (self.whole or self.model).count_params(),
            "training_pairs": num_pairs,
            "dropped_pairs": self.prepared.num_dropped,
            "seconds": round(seconds, 1),
            "pairs_per_second": round(epochs_run * num_pairs / seconds, 1),
            "resumed_from_epoch": self.initial_epoch,
            "machine": describe_machine(),
        }

    def average_epochs(self) -> dict[str, Any]:
        """Measures the mean of the epochs' weights, and keeps it if it is better than the
        best; what the summary says of it."""
        epochs = self.epochs_to_average(self.state.history)
        models = [self.run.epoch_file(epoch) for epoch in epochs]
        model = self.whole or self.model
        if self.whole is not None:
            self.whole.compile(
                loss=build_loss(self.config), jit_compile=not backend_generates()
            )
        model.set_weights(average_models(models).get_weights())
        averaged = self._measure(model)
        best = self.state.history[self.state.best_epoch]
        kept = cost(self.monitor, averaged[self.monitor]) < cost(
            self.monitor, best[self.monitor]
        )
        if kept:
            self._keep_best_epoch()
            write_atomically(self.run.model_file, model.save)
        measured = {"average": {"epochs": epochs, **averaged, "kept": kept}}
        return {**validation_of(averaged), **measured} if kept else measured

    def _keep_best_epoch(self) -> None:
        """Its model, in the place of which the average comes, is needed to go on."""
        file = self.run.epoch_file(self.state.best_epoch + 1)
        if not file.exists():
            write_atomically(file, lambda new: shutil.copyfile(self.run.model_file, new))

    def _measure(self, model: Seq2Seq) -> dict[str, float]:
        """The validation metrics that an epoch has."""
        loss = model.evaluate(self.held_out, verbose=0, return_dict=True)["loss"]
        found = self._decoded_values(model)
        return {"val_loss": loss, **{f"val_{name}": value for name, value in found.items()}}


def _head(pairs: Pairs, num_sources: int) -> Pairs:
    """All pairs of the first `num_sources` different sources; of all for 0."""
    if not num_sources:
        return pairs
    kept = set(list(pairs.references())[:num_sources])
    return pairs.take([row for row, source in enumerate(pairs.sources) if source in kept])


def _time_budget(
    config: TrainingConfig, history: list[dict[str, float]], measuring: float
) -> TimeBudget | None:
    if not config.optimization.minutes:
        return None
    warmup = config.optimization.warmup_steps * config.optimization.gradient_accumulation
    spent = history[-1][SECONDS] if history else measuring
    return TimeBudget(
        60 * config.optimization.minutes, config.optimization.learning_rate, warmup, spent
    )


def _replay(
    callbacks: list[keras.callbacks.Callback],
    model: keras.Model,
    history: list[dict[str, float]],
) -> bool:
    """Brings callbacks to where they were when the run was killed; whether one stops it."""
    model.stop_training = False
    for callback in callbacks:
        callback.set_model(model)
        callback.on_train_begin()
        for metrics in history:
            callback.on_epoch_end(int(metrics["epoch"]) - 1, dict(metrics))
        # `fit` calls `on_train_begin` once more, which would forget all of it.
        callback.on_train_begin = lambda logs=None: None
    return model.stop_training
