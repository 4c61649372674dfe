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
    accumulated = config.gradient_accumulation
    arguments: dict[str, Any] = {
        "learning_rate": build_learning_rate(config, total_steps),
        "clipnorm": (config.clipnorm or None) if not config.global_clipnorm else None,
        "global_clipnorm": config.global_clipnorm or None,
        "weight_decay": config.weight_decay or None,
        "gradient_accumulation_steps": accumulated if accumulated > 1 else None,
    }
    if config.ema:
        # Keras averages after every batch; the momentum is meant for every update.
        arguments |= {"use_ema": True, "ema_momentum": config.ema ** (1 / accumulated)}
    optimizer = (
        FusedAdam(beta_2=config.beta_2, **arguments)
        if config.optimizer == "adam"
        else keras.optimizers.SGD(**arguments)
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma", "scale"])
    return optimizer


def build_learning_rate(config: TrainingConfig, total_steps: int) -> Any:
    """A schedule, or the peak where a callback lowers it (a plateau, a time budget); a cosine
    decays to a hundredth of the peak."""
    if config.minutes:
        return config.learning_rate
    # A Keras schedule counts batches; warm-up steps are updates.
    warmup = config.warmup_steps * config.gradient_accumulation
    if config.schedule == "inverse_square_root":
        return InverseSquareRoot(config.learning_rate, max(1, warmup))
    if config.schedule == "constant":
        return LinearWarmup(config.learning_rate, warmup) if warmup else config.learning_rate
    if config.schedule == "plateau":
        return config.learning_rate
    warmup = min(warmup, total_steps // 2)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else config.learning_rate,
        decay_steps=max(1, total_steps - warmup),
        alpha=0.01,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def plateau_callbacks(config: TrainingConfig, monitor: str) -> list[keras.callbacks.Callback]:
    """Warm-up and decay of `--schedule plateau`; none for another schedule."""
    if config.schedule != "plateau":
        return []
    return [
        Warmup(config.learning_rate, config.warmup_steps),
        keras.callbacks.ReduceLROnPlateau(
            monitor,
            factor=config.plateau_factor,
            patience=config.plateau_patience,
            mode=mode_of(monitor),
            min_delta=0.0,
        ),
    ]
