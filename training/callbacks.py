"""Keras callbacks of a run; each can be used alone with any `fit`."""

import json
import math
import shutil
from typing import Any

import keras

from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings

from .evaluation import evaluate
from .run_directory import RunDirectory, write_atomically

TOKEN_ERROR_RATE = "val_token_error_rate"
SEQUENCE_ERROR_RATE = "val_sequence_error_rate"


class DecodedErrorRates(keras.callbacks.Callback):
    """Adds the error rates of greedy decoding to the logs of every epoch.

    Keras gives every callback the same logs, so `EarlyStopping`, `ModelCheckpoint`,
    `ReduceLROnPlateau` and `TensorBoard` after this one in the list can monitor
    `"val_token_error_rate"` and `"val_sequence_error_rate"` (shares; lower is better).

    Args:
        pairs: What to decode.
        settings: How targets are generated. Defaults to greedy search.
    """

    def __init__(self, pairs: Pairs, settings: GenerationSettings | None = None):
        super().__init__()
        self.pairs = pairs
        self.settings = settings

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        rates, _, _ = evaluate(self.model, self.pairs, self.settings)
        if logs is not None:
            logs[TOKEN_ERROR_RATE] = rates.token_error_rate
            logs[SEQUENCE_ERROR_RATE] = rates.sequence_error_rate


class StopOnInvalidLoss(keras.callbacks.Callback):
    """Raises `InputError` at the first step whose loss is not a number.

    Unlike `keras.callbacks.TerminateOnNaN` it says where, and it stops before the epoch's
    checkpoint is written: what is on disk stays good.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise InputError(
                f"The loss is {loss} at epoch {self.epoch + 1}, step {batch + 1}. What "
                "earlier epochs saved is kept. Use a smaller --learning-rate or --clipnorm in "
                "a new --run-dir."
            )


class RunState(keras.callbacks.Callback):
    """Saves everything needed to resume after each epoch, and the best model.

    A checkpoint is a weights file (the optimizer's too) and then, atomically, a record that
    names it: killed at any moment, the record points to a whole file. Put it last in the
    list of callbacks, after those that add to the logs.

    Args:
        run: `RunDirectory`.
        monitor: string. The metric that chooses the best epoch; lower is better.
    """

    def __init__(self, run: RunDirectory, monitor: str = SEQUENCE_ERROR_RATE):
        super().__init__()
        self.run = run
        self.monitor = monitor
        self.record_file = run.checkpoint / "record.json"
        self.history: list[dict[str, float]] = []

    def restore(self, model: keras.Model) -> int:
        """Loads the last checkpoint into a compiled model; returns the next epoch (from 0)."""
        if not self.record_file.exists():
            return 0
        record = json.loads(self.record_file.read_text("utf-8"))
        model.load_weights(self.run.checkpoint / record["weights"])
        self.history = record["history"]
        # A kill can fall between the record and the history file.
        self.run.write_history(self.history)
        return len(self.history)

    @property
    def best_epoch(self) -> int:
        """Index of the best epoch; the first of equals."""
        return min(range(len(self.history)), key=lambda i: self.history[i][self.monitor])

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({"epoch": epoch + 1, **metrics})
        if self.best_epoch == epoch:
            write_atomically(self.run.model_file, self.model.save)
        self.run.checkpoint.mkdir(exist_ok=True)
        weights = self.run.checkpoint / f"epoch_{epoch + 1:04d}.weights.h5"
        write_atomically(weights, self.model.save_weights)
        record = {"weights": weights.name, "history": self.history}
        self.run.write_json(self.record_file, record)
        for old in self.run.checkpoint.glob("*.weights.h5"):
            if old != weights:
                old.unlink()
        self.run.write_history(self.history)

    def finish(self) -> None:
        """Removes the checkpoint: the finished run needs only its best model."""
        shutil.rmtree(self.run.checkpoint, ignore_errors=True)
