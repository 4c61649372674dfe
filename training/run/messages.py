"""What is said of a run: of its model and data when it begins, of its best epoch at the end."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.wording import counted

from ..durations import format_seconds
from ..evaluation import SCORE_NAMES
from ..run_records import place_of
from ..settings import TrainingConfig
from ..settings.monitors import SCORES, SEQUENCE_ERROR_RATE, TOKEN_ERROR_RATE
from .periods import ending


def say_what_came_out(
    config: TrainingConfig,
    best: dict[str, float],
    summary: dict[str, Any],
    model_file: Path,
    console: Console,
    idle: int,
) -> None:
    """One line: the best epoch, the average, the time, the file; and one more where patience
    ended the run, after `idle` validations without a better one, or the clock one that still
    got better."""
    console.print(
        f"Best {ending(summary, best)}: {_describe(config, best)} on "
        f"validation. {_describe_average(config, summary)}"
        f"{format_seconds(summary['seconds'])}. Model: {model_file}",
        highlight=False,
        soft_wrap=True,
    )
    if idle >= config.selection.patience:
        console.print(
            f"It ended as {counted(idle, _period(summary))} brought nothing better "
            f"(--patience {config.selection.patience}).",
            highlight=False,
            soft_wrap=True,
        )
    elif config.optimization.minutes and best["epoch"] == summary["epochs"]:
        console.print(
            f"The last {_period(summary)} was the best: more --minutes would still help; the "
            "same command with more goes on from here.",
            highlight=False,
            soft_wrap=True,
        )


def _period(summary: dict[str, Any]) -> str:
    """What lies between two validations, of a run that `ending` describes."""
    return "validation" if "steps" in summary else "epoch"


def validation_of(metrics: dict[str, float]) -> dict[str, float]:
    """What was decoded in an epoch, by the names of a summary."""
    names = [TOKEN_ERROR_RATE, SEQUENCE_ERROR_RATE, *map("val_{}".format, SCORE_NAMES)]
    return {
        name.replace("val_", "validation_"): metrics[name] for name in names if name in metrics
    }


def _describe(config: TrainingConfig, metrics: dict[str, float]) -> str:
    """What is monitored, first, and the error rate of whole targets, if they were decoded and
    no score or other error rate is."""
    monitor = config.selection.monitor
    if monitor in SCORES:
        return f"{monitor.replace('_', ' ')} {metrics[f'val_{monitor}']:.2f}"
    if monitor == "token_error_rate" and TOKEN_ERROR_RATE in metrics:
        return f"{config.run.token_name} error rate {100 * metrics[TOKEN_ERROR_RATE]:.2f} %"
    loss = f"loss {metrics['val_loss']:.3f}"
    if SEQUENCE_ERROR_RATE not in metrics:
        return loss
    rate = 100 * metrics[SEQUENCE_ERROR_RATE]
    errors = f"{config.run.sequence_name} error rate {rate:.2f} %"
    return f"{loss}, {errors}" if monitor == "loss" else errors


def _describe_average(config: TrainingConfig, summary: dict[str, Any]) -> str:
    if "average" not in summary:
        return ""
    averaged = summary["average"]
    return (
        f"Average of {counted(len(averaged['epochs']), _period(summary))}: "
        f"{_describe(config, averaged)}, {'kept' if averaged['kept'] else 'not better'}. "
    )


def _sizes(preprocessor: Any) -> str:
    name, size = preprocessor.source_size
    target = preprocessor.target_tokenizer.vocabulary_size()
    if preprocessor.kind == "text":
        return f"vocabularies {size} and {target}"
    return f"{name.replace('_', ' ')} {size}, target vocabulary {target}"


def _end(config: TrainingConfig) -> str:
    if config.optimization.minutes:
        return format_seconds(60 * config.optimization.minutes)
    return counted(config.optimization.epochs, "epoch")


def _evaluated(config: TrainingConfig) -> str:
    every = config.selection.evaluate_steps
    return f", validated every {counted(every, 'step')}" if every else ""


def say_what_began(
    config: TrainingConfig,
    model: Seq2Seq,
    num_trained: int,
    num_train: int,
    num_validation: int,
    steps: int,
    history: Sequence[dict[str, float]],
    console: Console,
) -> None:
    preprocessor = model.preprocessor
    is_part = config.fine_tuning.freeze or config.fine_tuning.lora_rank
    trained = f", {num_trained:,} trained" if is_part else ""
    console.print(
        f"{config.model.architecture}: {model.count_params():,} parameters{trained}; "
        f"{num_train:,} training and {counted(num_validation, 'validation pair')}; "
        f"{_sizes(preprocessor)}; "
        f"{counted(steps, 'step')} an epoch, {_end(config)} at most"
        f"{_evaluated(config)}.",
        highlight=False,
        soft_wrap=True,
    )
    if history:
        console.print(
            f"Resuming after {place_of(history[-1])}.", highlight=False, soft_wrap=True
        )
