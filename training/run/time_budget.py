"""Training that fits into a time: the learning rate falls with the clock, and it stops."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras

from .running import next_step

# Share of the peak at the end.
LOWEST_SHARE = 0.01
SECONDS = "seconds"
# On JAX the learning rate changes so often after the warm-up.
RATES = 500


class TimeBudget(keras.callbacks.Callback):
    """Lowers the learning rate along a cosine of the time spent, and stops in time.

    `rate = peak * min(1, (step + 1) / warmup_steps) * (0.01 + 0.99 * (1 + cos(pi * t)) / 2)`,
    where `t` is the share of the time spent. Checking the model after an epoch costs time too:
    training stops so early that the last check, if it takes as long as the longest so far,
    ends in time; that may be in the middle of an epoch.

    Put it after the callbacks that decode, so that their time counts, and before those that
    save: it adds `"seconds"`, the time spent in all, to the logs of an epoch, and a resumed
    run goes on from the last one saved. The time of an epoch that a kill interrupted is not
    counted, as its work is lost.

    Args:
        seconds: float, above 0. The whole budget.
        peak: float. The learning rate after the warm-up; the optimizer's must not be a
            schedule.
        warmup_steps: int. Updates of linear growth; 0 for none.
        spent: float. Seconds spent before. Defaults to 0.
        clock: Callable that gives seconds. Defaults to `time.perf_counter`.
    """

    def __init__(
        self,
        seconds: float,
        peak: float,
        warmup_steps: int = 0,
        spent: float = 0.0,
        clock: Callable[[], float] = time.perf_counter,
    ):
        super().__init__()
        self.seconds = seconds
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.clock = clock
        self.begin = clock() - spent
        self.check_began: float | None = None
        self.longest_check = 0.0
        self._set_again = 0.0

    @property
    def spent(self) -> float:
        """Seconds in all."""
        return self.clock() - self.begin

    @property
    def is_over(self) -> bool:
        """Whether another step could not be checked in time."""
        return self.spent + self.longest_check >= self.seconds

    def learning_rate(self, step: int) -> float:
        """The rate of the next update, of which there were `step` before."""
        share = min(1.0, self.spent / self.seconds)
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        falling = LOWEST_SHARE + (1 - LOWEST_SHARE) * (1 + math.cos(math.pi * share)) / 2
        return self.peak * warm * falling

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if keras.backend.backend() == "jax" and self.spent < self._set_again:
            return  # To change anything between two steps takes its time there.
        step = next_step(self.model)
        self.model.optimizer.learning_rate = self.learning_rate(step)
        if step >= self.warmup_steps:
            self._set_again = self.spent + self.seconds / RATES

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.check_began = self.clock()
        if self.is_over:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.check_began is not None:
            self.longest_check = max(self.longest_check, self.clock() - self.check_began)
        if logs is not None:
            logs[SECONDS] = self.spent
        if self.is_over:
            self.model.stop_training = True
