"""Optimizer, precision and learning rate of a configuration."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_seq2seq.optimizers import FusedAdam
from keras_seq2seq.schedules import InverseSquareRoot, LinearWarmup

from ..settings import TrainingConfig
from ..settings.monitors import mode_of
from .callbacks import Warmup


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Layers made inside it have this Keras dtype policy; afterwards it is as before."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def build_optimizer(config: TrainingConfig, total_steps: int) -> keras.optimizers.Optimizer:
    """The optimizer with clipping, weight decay, accumulation and moving average.

    Args:
        config: Settings.
        total_steps: int. Batches of the whole run.
    """
    settings = config.optimization
    accumulated = settings.gradient_accumulation
    arguments: dict[str, Any] = {
        "learning_rate": build_learning_rate(config, total_steps),
        "clipnorm": (settings.clipnorm or None) if not settings.global_clipnorm else None,
        "global_clipnorm": settings.global_clipnorm or None,
        "weight_decay": settings.weight_decay or None,
        "gradient_accumulation_steps": accumulated if accumulated > 1 else None,
    }
    if settings.ema:
        # Keras averages after every batch; the momentum is meant for every update.
        arguments |= {"use_ema": True, "ema_momentum": settings.ema ** (1 / accumulated)}
    optimizer = (
        FusedAdam(beta_2=settings.beta_2, **arguments)
        if settings.optimizer == "adam"
        else keras.optimizers.SGD(**arguments)
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma", "scale"])
    return optimizer


def build_learning_rate(config: TrainingConfig, total_steps: int) -> Any:
    """A schedule, or the peak where a callback lowers it (a plateau, a time budget); a cosine
    decays to a hundredth of the peak."""
    settings = config.optimization
    if settings.minutes:
        return settings.learning_rate
    # A Keras schedule counts batches; warm-up steps are updates.
    warmup = settings.warmup_steps * settings.gradient_accumulation
    if settings.schedule == "inverse_square_root":
        return InverseSquareRoot(settings.learning_rate, max(1, warmup))
    if settings.schedule == "constant":
        return (
            LinearWarmup(settings.learning_rate, warmup) if warmup else settings.learning_rate
        )
    if settings.schedule == "plateau":
        return settings.learning_rate
    warmup = min(warmup, total_steps // 2)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else settings.learning_rate,
        decay_steps=max(1, total_steps - warmup),
        alpha=0.01,
        warmup_target=settings.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def plateau_callbacks(config: TrainingConfig, monitor: str) -> list[keras.callbacks.Callback]:
    """Warm-up and decay of `--schedule plateau`; none for another schedule."""
    settings = config.optimization
    if settings.schedule != "plateau":
        return []
    return [
        Warmup(settings.learning_rate, settings.warmup_steps),
        keras.callbacks.ReduceLROnPlateau(
            monitor,
            factor=settings.plateau_factor,
            patience=settings.plateau_patience,
            mode=mode_of(monitor),
            min_delta=0.0,
        ),
    ]
