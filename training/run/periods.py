"""A run as periods, each of which ends with a validation and a checkpoint: epochs, or a number
of steps."""

from typing import Any

import keras

from keras_seq2seq.wording import counted

from ..run_records import place_of


class Periods(keras.callbacks.Callback):
    """Where a run is, in steps; adds `"step"` and `"epochs"` to the logs of a period that is
    no epoch, and ends the run with its last step.

    `fit` takes a period for an epoch. Put it before the callbacks that save.

    Args:
        every: int. Steps of a period; 0 for an epoch.
        epochs: int. How often the run sees its data.
        history: The metrics of every period so far.
    """

    def __init__(self, every: int, epochs: int, history: list[dict[str, float]]):
        super().__init__()
        self.every, self.epochs = every, epochs
        self.done = len(history)
        self.step = int(history[-1]["step"]) if every and history else 0
        self.steps_an_epoch = 0

    @property
    def start(self) -> dict[str, int]:
        """Where its batches begin, as `training_data` takes it."""
        if self.every:
            return {"initial_epoch": 0, "initial_step": self.step}
        return {"initial_epoch": self.done, "initial_step": 0}

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_an_epoch

    @property
    def length(self) -> int:
        """Steps of a period."""
        return self.every or self.steps_an_epoch

    @property
    def last(self) -> int:
        """Number of the last period."""
        if not self.every:
            return self.epochs
        return self.done + -(-(self.total - self.step) // self.every)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.every:
            self.step += 1
            if self.step >= self.total:
                self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.every and logs is not None:
            logs |= {"step": self.step, "epochs": self.step / self.steps_an_epoch}

    def describe(self, by_clock: bool) -> str:
        """Where it is: `"step 300/2,480"`, or `"step 300"` where the clock ends the run."""
        return f"step {min(self.total, self.step):,}" + ("" if by_clock else f"/{self.total:,}")

    def summary(self, best: dict[str, float]) -> dict[str, Any]:
        """What the summary of the run says of its steps."""
        if not self.every:
            return {}
        return {"best_step": int(best["step"]), "steps": self.step}


def ending(summary: dict[str, Any], best: dict[str, float]) -> str:
    """`"epoch 3 of 8"`, or `"step 300 (epoch 0.97) of 2,480 steps"`."""
    if "steps" not in summary:
        return f"{place_of(best)} of {summary['epochs']}"
    return f"{place_of(best)} of {counted(summary['steps'], 'step')}"
