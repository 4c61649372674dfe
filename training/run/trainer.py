"""One training run: data to best model, resumable at every epoch."""

import time
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console

from keras_seq2seq.data import Pairs, Splits, training_data, validation_data
from keras_seq2seq.files import write_atomically
from keras_seq2seq.models import Seq2Seq, backend_generates

from ..durations import format_seconds
from ..evaluation import SCORE_NAMES, evaluate
from ..run_directory import RunDirectory
from ..settings import TrainingConfig
from ..settings.monitors import SCORES, SEQUENCE_ERROR_RATE, TOKEN_ERROR_RATE, cost, mode_of
from .averaging import average_models, epochs_to_average
from .building import build_loss, build_model, build_preprocessor
from .callbacks import (
    AveragedWeights,
    DecodedErrorRates,
    RunState,
    SeedEveryEpoch,
    StopOnInvalidLoss,
)
from .checks import check_backend, fitting, report_overlap, report_unknown
from .machine import describe_machine, set_threads
from .optimization import build_optimizer, plateau_callbacks, precision
from .progress import ProgressBar
from .time_budget import SECONDS, TimeBudget


def train(
    config: TrainingConfig, splits: Splits, run: RunDirectory, console: Console
) -> dict[str, Any]:
    """Trains, or resumes, or reports a run that is finished.

    Args:
        config: Settings.
        splits: Pairs; validation pairs choose the best epoch.
        run: Where everything is written.
        console: Where progress is printed.

    Returns:
        The summary that `metrics.json` holds.

    Raises:
        InputError: If data, settings and folder do not fit, another process trains there, or
            the loss is not a number.
    """
    check_backend(config)
    with run.held():
        return _train(config, splits, run, console)


def _train(
    config: TrainingConfig, splits: Splits, run: RunDirectory, console: Console
) -> dict[str, Any]:
    for line in run.begin(config, splits.train, splits.validation):
        console.print(line, highlight=False, soft_wrap=True)
    if run.is_finished:
        console.print(f"{run.path} is finished; nothing to do. Delete it to train again.")
        return run.metrics()
    set_threads(config.intra_op_threads, console)
    keras.utils.set_random_seed(config.seed)
    preprocessor = build_preprocessor(config, splits.train)
    train_pairs = fitting(preprocessor, splits.train, "training", console)
    validation = fitting(preprocessor, splits.validation, "validation", console)
    report_unknown(preprocessor, validation, console)
    report_overlap(splits, console)
    run.write_vocabulary(preprocessor)
    run.write_pairs(run.validation_file, validation)
    if splits.test is not None:
        run.write_pairs(run.test_file, splits.test)

    with precision(config.precision):
        model = build_model(config, preprocessor)
    monitor = f"val_{config.monitor}"
    average = AveragedWeights() if config.ema else None

    def to_average(history: list[dict[str, float]]) -> list[int]:
        return epochs_to_average(history, config.average, config.average_of, monitor)

    state = RunState(run, monitor, average, to_average)
    initial_epoch = len(state.history)
    data = training_data(
        preprocessor,
        train_pairs.sources,
        train_pairs.targets,
        batch_size=config.batch_size,
        batch_tokens=config.batch_tokens or None,
        num_buckets=config.num_buckets,
        seed=config.seed,
        initial_epoch=initial_epoch,
    )
    if config.r_drop:
        data = data.twice()
    # Compiling the whole step for every bucket's shape costs more than it saves on a CPU;
    # JAX has no other way to run more than an operation at a time.
    model.compile(
        build_optimizer(config, config.epochs * data.steps),
        build_loss(config),
        jit_compile=not backend_generates(),
    )
    model.optimizer.build(model.trainable_variables)
    _say_what_begins(config, model, train_pairs, validation, data.steps, initial_epoch, console)

    decoded = _head(validation, config.validation_decoded)
    error_rates = DecodedErrorRates(decoded, None, config.metric, config.references)
    held_out = validation_data(preprocessor, validation.sources, validation.targets)
    early_stopping = keras.callbacks.EarlyStopping(
        monitor, patience=config.patience, mode=mode_of(monitor)
    )
    plateau = plateau_callbacks(config, monitor)
    budget = _time_budget(config, state.history)
    progress = ProgressBar(console, (config.token_name, config.sequence_name), budget)
    callbacks = [
        *([average] if average else []),
        SeedEveryEpoch(config.seed),
        StopOnInvalidLoss(),
        *([error_rates] if backend_generates() else []),
        early_stopping,
        *plateau,
        *([budget] if budget else []),
        keras.callbacks.TensorBoard(run.logs, update_freq="epoch"),
        progress,
        state,
    ]
    stopped = _replay([early_stopping, *plateau], model, state.history)
    stopped |= budget is not None and budget.is_over
    # After the replay, which lowers the learning rate of a plateau by what it is now.
    state.restore(model)
    begin = time.perf_counter()
    if initial_epoch < config.epochs and not stopped:
        try:
            model.fit(
                data.dataset,
                steps_per_epoch=data.steps,
                epochs=config.epochs,
                initial_epoch=initial_epoch,
                validation_data=held_out,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )
        finally:
            progress.on_train_end()
    seconds = time.perf_counter() - begin
    best = state.history[state.best_epoch]
    epochs_run = len(state.history) - initial_epoch
    summary = {
        "best_epoch": best["epoch"],
        "epochs": len(state.history),
        **_validation(best),
        "parameters": model.count_params(),
        "training_pairs": len(train_pairs),
        "dropped_pairs": len(splits.train) - len(train_pairs),
        "seconds": round(seconds, 1),
        "pairs_per_second": round(epochs_run * len(train_pairs) / seconds, 1),
        "resumed_from_epoch": initial_epoch,
        "machine": describe_machine(),
    }
    if config.average:
        epochs = to_average(state.history)
        model.set_weights(average_models([*map(run.epoch_file, epochs)]).get_weights())
        averaged = _measure(config, model, decoded, held_out)
        kept = cost(monitor, averaged[monitor]) < cost(monitor, best[monitor])
        if kept:
            write_atomically(run.model_file, model.save)
            summary |= _validation(averaged)
        summary["average"] = {"epochs": epochs, **averaged, "kept": kept}
    run.write_json(run.metrics_file, summary)
    state.finish()
    console.print(
        f"Best epoch {best['epoch']} of {len(state.history)}: {_describe(config, best)} on "
        f"validation. {_describe_average(config, summary)}"
        f"{format_seconds(seconds)}. Model: {run.model_file}",
        highlight=False,
        soft_wrap=True,
    )
    return summary


def _head(pairs: Pairs, num_sources: int) -> Pairs:
    """All pairs of the first `num_sources` different sources; of all for 0."""
    if not num_sources:
        return pairs
    kept = set(list(pairs.references())[:num_sources])
    rows = [row for row in zip(pairs.sources, pairs.targets, strict=True) if row[0] in kept]
    return Pairs([source for source, _ in rows], [target for _, target in rows])


def _time_budget(config: TrainingConfig, history: list[dict[str, float]]) -> TimeBudget | None:
    if not config.minutes:
        return None
    warmup = config.warmup_steps * config.gradient_accumulation
    spent = history[-1][SECONDS] if history else 0.0
    return TimeBudget(60 * config.minutes, config.learning_rate, warmup, spent)


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


def _measure(
    config: TrainingConfig, model: Seq2Seq, decoded: Pairs, held_out: tf.data.Dataset
) -> dict[str, float]:
    """The validation metrics that an epoch has."""
    loss = {"val_loss": model.evaluate(held_out, verbose=0, return_dict=True)["loss"]}
    if not backend_generates():
        return loss
    values = evaluate(model, decoded, None, config.metric, config.references).values
    return {**loss, **{f"val_{name}": value for name, value in values.items()}}


def _validation(metrics: dict[str, float]) -> dict[str, float]:
    """What was decoded in an epoch, by the names of a summary."""
    names = [TOKEN_ERROR_RATE, SEQUENCE_ERROR_RATE, *map("val_{}".format, SCORE_NAMES)]
    return {
        name.replace("val_", "validation_"): metrics[name] for name in names if name in metrics
    }


def _describe(config: TrainingConfig, metrics: dict[str, float]) -> str:
    """The score that is monitored, else the error rate of whole targets, if they were
    decoded."""
    if config.monitor in SCORES:
        return f"{config.monitor.replace('_', ' ')} {metrics[f'val_{config.monitor}']:.2f}"
    if SEQUENCE_ERROR_RATE not in metrics:
        return f"loss {metrics['val_loss']:.3f}"
    return f"{config.sequence_name} error rate {100 * metrics[SEQUENCE_ERROR_RATE]:.2f} %"


def _describe_average(config: TrainingConfig, summary: dict[str, Any]) -> str:
    if "average" not in summary:
        return ""
    averaged = summary["average"]
    return (
        f"Average of {len(averaged['epochs'])} epochs: {_describe(config, averaged)}, "
        f"{'kept' if averaged['kept'] else 'not better'}. "
    )


def _sizes(preprocessor: Any) -> str:
    name, size = preprocessor.source_size
    target = preprocessor.target_tokenizer.vocabulary_size()
    if preprocessor.kind == "text":
        return f"vocabularies {size} and {target}"
    return f"{name.replace('_', ' ')} {size}, target vocabulary {target}"


def _end(config: TrainingConfig) -> str:
    if config.minutes:
        return format_seconds(60 * config.minutes)
    return f"{config.epochs} epochs"


def _say_what_begins(
    config: TrainingConfig,
    model: Seq2Seq,
    train_pairs: Pairs,
    validation: Pairs,
    steps: int,
    initial_epoch: int,
    console: Console,
) -> None:
    preprocessor = model.preprocessor
    console.print(
        f"{config.architecture}: {model.count_params():,} parameters; "
        f"{len(train_pairs):,} training and {len(validation):,} validation pairs; "
        f"{_sizes(preprocessor)}; "
        f"{steps} steps an epoch, {_end(config)} at most.",
        highlight=False,
        soft_wrap=True,
    )
    if initial_epoch:
        console.print(f"Resuming after epoch {initial_epoch}.", highlight=False, soft_wrap=True)
