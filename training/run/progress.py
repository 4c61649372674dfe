"""What a person sees while a command works: where it is and how long is left."""

import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ..durations import format_seconds
from ..evaluation import SCORE_NAMES
from ..settings.monitors import SEQUENCE_ERROR_RATE, TOKEN_ERROR_RATE
from .periods import Periods
from .time_budget import TimeBudget


class ProgressBar(keras.callbacks.Callback):
    """One bar for the whole run with the time left, and one line an epoch.

    Args:
        console: `rich.console.Console`. Where standard output is not a terminal only the
            lines are printed.
        labels: What the error rates are called, `(token, sequence)`.
        budget: `TimeBudget` of the same `fit`, optional: the bar shows the time spent.
        periods: `Periods` of the same `fit`, optional: what is called an epoch.
    """

    def __init__(
        self,
        console: Console,
        labels: tuple[str, str],
        budget: TimeBudget | None = None,
        periods: Periods | None = None,
    ):
        super().__init__()
        self.console = console
        self.labels = labels
        self.budget = budget
        self.periods = periods
        self.first_epoch: int | None = None
        # `fit` can fail before it calls anything here; the end is told all the same.
        self.progress = self._bar()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.begin = time.perf_counter()
        self.progress = self._bar()
        self.progress.start()

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[loss]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        epochs, steps = self.params["epochs"], self.params["steps"]
        if self.first_epoch is None:
            self.first_epoch = epoch
            total = self.budget.seconds if self.budget else epochs * steps
            done = self.budget.spent if self.budget else epoch * steps
            self.task = self.progress.add_task("", total=total, loss="")
            self.progress.update(self.task, completed=done)
        self.progress.update(self.task, description=self._epoch(epoch))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = f"loss {(logs or {}).get('loss', 0):.3f}"
        if self.budget:
            self.progress.update(self.task, completed=self.budget.spent, loss=loss)
        else:
            self.progress.update(self.task, advance=1, loss=loss)

    def _epoch(self, epoch: int) -> str:
        if self.periods and self.periods.every:
            return self.periods.describe(bool(self.budget))
        return f"epoch {epoch + 1}" + ("" if self.budget else f"/{self.params['epochs']}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        epochs = self.params["epochs"]
        done = epoch + 1 - (self.first_epoch or 0)
        left = (time.perf_counter() - self.begin) / done * (epochs - epoch - 1)
        if self.budget:
            left = min(left, max(0.0, self.budget.seconds - self.budget.spent))
        rates = "".join(
            f"{label} error rate {100 * logs[name]:.2f} %  "
            for label, name in zip(
                self.labels, (TOKEN_ERROR_RATE, SEQUENCE_ERROR_RATE), strict=True
            )
            if name in logs
        )
        scores = "".join(
            f"{name.replace('_', ' ')} {logs[f'val_{name}']:.2f}  "
            for name in SCORE_NAMES
            if f"val_{name}" in logs
        )
        self.console.print(
            f"  {self._epoch(epoch)}  loss {logs['loss']:.3f}  "
            f"validation loss {logs['val_loss']:.3f}  "
            f"{rates}{scores}left at most {format_seconds(left)}",
            highlight=False,
            soft_wrap=True,
        )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.progress.stop()


class Steps:
    """Says which step of several begins, how long it takes and how long all the rest takes.

    Args:
        console: Where it is printed.
        steps: Title and seconds, as measured on two cores, of each step.
    """

    def __init__(self, console: Console, steps: list[tuple[str, int]]):
        self.console = console
        self.steps = steps
        self.done = 0

    def next(self) -> None:
        """Announces the next step."""
        title, seconds = self.steps[self.done]
        left = sum(seconds for _, seconds in self.steps[self.done :])
        self.done += 1
        self.console.rule(
            Text.assemble(
                (f"{self.done}/{len(self.steps)} {title}", "bold"),
                f" (about {format_seconds(seconds)}; {format_seconds(left)} left in all on 2 "
                "cores)",
            ),
            align="left",
        )
