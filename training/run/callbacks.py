"""Keras callbacks of a run; each can be used alone with any `fit`."""

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import disk_errors, write_atomically
from keras_seq2seq.models.trained_parts import unmerged
from keras_seq2seq.settings import GenerationSettings

from ..evaluation import evaluate
from ..run_directory import RunDirectory
from ..settings.monitors import SEQUENCE_ERROR_RATE, rank
from .running import next_step


class DecodedErrorRates(keras.callbacks.Callback):
    """Adds error rates, and scores, of greedy decoding to the logs of every epoch.

    Keras gives every callback the same logs, so `EarlyStopping`, `ModelCheckpoint`,
    `ReduceLROnPlateau` and `TensorBoard` after this one in the list can monitor
    `"val_token_error_rate"` and `"val_sequence_error_rate"` (shares; lower is better), and
    with a metric such as `"bleu"` its values, `"val_bleu"` (0 to 100; higher is better).

    Args:
        pairs: What to decode.
        settings: How targets are generated. Defaults to greedy search.
        metric: string. As of `evaluate`. Defaults to `"none"`.
        references: string. As of `evaluate`. Defaults to `"source"`.
        bleu_tokenizer: string. As of `evaluate`. Defaults to `"13a"`.
        model: Callable, optional: gives the model that decodes. Defaults to that of `fit`.
        measure: Callable, optional: model -> values, in the place of `evaluate` of the above.
    """

    def __init__(
        self,
        pairs: Pairs,
        settings: GenerationSettings | None = None,
        metric: str = "none",
        references: str = "source",
        bleu_tokenizer: str = "13a",
        model: Callable[[], Any] | None = None,
        measure: Callable[[Any], dict[str, float]] | None = None,
    ):
        super().__init__()
        self.pairs = pairs
        self.settings = settings
        self.metric = metric
        self.references = references
        self.bleu_tokenizer = bleu_tokenizer
        self.decoding_model = model
        self.measure = measure or self._evaluate

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        found = self.measure(self.decoding_model() if self.decoding_model else self.model)
        if logs is not None:
            logs |= {f"val_{name}": value for name, value in found.items()}

    def _evaluate(self, model: Any) -> dict[str, float]:
        options = self.settings, self.metric, self.references, self.bleu_tokenizer
        return evaluate(model, self.pairs, *options).values


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


class SeedEveryEpoch(keras.callbacks.Callback):
    """Makes what is drawn at random in an epoch depend on `seed` and the epoch alone.

    Sets the seed generators of the model (dropout) when an epoch begins. They are no
    weights, so Keras saves them nowhere: without this a resumed `fit` with an
    `initial_epoch` drops other values than one that was never interrupted.

    Args:
        seed: int, at least 0.
    """

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        weights = {id(weight) for weight in self.model.weights}
        states = [v for v in self.model.variables if id(v) not in weights]
        seeds = np.random.default_rng([self.seed, epoch]).integers(2**31, size=len(states))
        for state, seed in zip(states, seeds, strict=True):
            state.assign(np.array([seed, 0]))


class AveragedWeights(keras.callbacks.Callback):
    """Shows the moving average of the weights to all that looks at the model between epochs.

    For an optimizer with `use_ema=True`. Validation and the callbacks after this one (put it
    first) see the averaged weights at the end of an epoch; training goes on from the raw
    ones; after `fit` the model has the average. Unlike `keras.callbacks.SwapEMAWeights` it
    changes no bit of the raw weights, keeps the average when training is stopped early, and
    lets a checkpoint hold both (`training_weights`).

    Raises:
        ValueError: When training begins, if the optimizer averages no weights.

    Example:

    ```python
    model.compile(keras.optimizers.Adam(1e-3, use_ema=True, ema_momentum=0.999))
    model.fit(..., callbacks=[AveragedWeights(), keras.callbacks.ModelCheckpoint(...)])
    ```
    """

    def __init__(self) -> None:
        super().__init__()
        self._raw: list[np.ndarray] | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        optimizer = self.model.optimizer
        if not getattr(optimizer, "inner_optimizer", optimizer).use_ema:
            raise ValueError("AveragedWeights needs an optimizer with `use_ema=True`.")
        self._raw = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._hide()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._show()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._show()

    @contextmanager
    def training_weights(self) -> Iterator[None]:
        """Inside it the model has the raw weights, as training needs them."""
        shown = self._raw is not None
        self._hide()
        yield
        if shown:
            self._show()

    def _show(self) -> None:
        if self._raw is None:
            variables = self.model.trainable_variables
            self._raw = [_copied(variable) for variable in variables]
            self.model.optimizer.finalize_variable_values(variables)
            for variable in variables:
                # Not the array of the average: JAX overwrites the model's in the next step.
                variable.assign(_copied(variable))

    def _hide(self) -> None:
        if self._raw is not None:
            for variable, raw in zip(self.model.trainable_variables, self._raw, strict=True):
                variable.assign(raw)
            self._raw = None


def _copied(variable: keras.Variable) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(variable))


class Warmup(keras.callbacks.Callback):
    """Grows a learning rate linearly to its peak: `peak * (step + 1) / warmup_steps`.

    For a learning rate that something else lowers later, such as `ReduceLROnPlateau`; else
    use a schedule. The steps are the optimizer's, so a resumed run goes on where it was.

    Args:
        peak: float. The learning rate after `warmup_steps` updates.
        warmup_steps: int. 0 leaves the learning rate alone.
    """

    def __init__(self, peak: float, warmup_steps: int):
        super().__init__()
        self.peak = peak
        self.warmup_steps = warmup_steps
        self._is_over = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._is_over = False

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._is_over:
            return
        step = next_step(self.model)
        self._is_over = step >= self.warmup_steps
        if not self._is_over:
            self.model.optimizer.learning_rate = self.peak * (step + 1) / self.warmup_steps


class RunState(keras.callbacks.Callback):
    """Saves everything needed to resume after each epoch, and the best model.

    A checkpoint is a weights file (the optimizer's too) and then, atomically, a record that
    names it: killed at any moment, the record points to a whole file. Put it last in the
    list of callbacks, after those that add to the logs.

    Args:
        run: `RunDirectory`.
        monitor: string. The metric that chooses the best epoch.
        average: `AveragedWeights`, optional, of the same `fit`: the checkpoint has the raw
            weights, the models have the average.
        keep: Callable, optional: history -> numbers (from 1) of the epochs whose models stay
            in `epochs/`. Defaults to none.
        save: Callable, optional: writes the model to a path. Defaults to its own `save`.
    """

    def __init__(
        self,
        run: RunDirectory,
        monitor: str = SEQUENCE_ERROR_RATE,
        average: AveragedWeights | None = None,
        keep: Callable[[list[dict[str, float]]], list[int]] | None = None,
        save: Callable[[Path], None] | None = None,
    ):
        super().__init__()
        self.run = run
        self.monitor = monitor
        self.average = average
        self.keep = keep
        self.save = save
        self.history: list[dict[str, float]] = []
        self._weights = ""
        if run.record_file.exists():
            self._weights, self.history = run.checkpoint_record()
            # A kill can fall between the record and what follows it.
            self._follow_record()

    def restore(self, model: keras.Model) -> list[str]:
        """Loads the last checkpoint, if there is one, into a compiled model.

        Returns:
            A line if its optimizer does not fit, so that it starts anew.

        Raises:
            InputError: If its weights cannot be loaded.
        """
        if not self.history:
            return []
        path = self.run.checkpoint / self._weights
        try:
            with unmerged(model), warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                model.load_weights(path)  # Of a whole model too, with its optimizer.
        except Exception as error:  # Keras and h5py raise many kinds for a broken file.
            raise InputError(
                f"{path} cannot be loaded, so the run cannot be resumed: {error}. Copy the "
                "file from where the run was, or choose another --run-dir."
            ) from error
        # Keras leaves an optimizer of other variables as it is.
        skipped = any("optimizer" in str(one.message) for one in said)
        return [f"The optimizer in {path} does not fit: it starts anew."] if skipped else []

    @property
    def best_epoch(self) -> int:
        """Index of the best epoch; of equals that with the lowest validation loss."""
        ranks = [rank(self.monitor, metrics) for metrics in self.history]
        return ranks.index(min(ranks))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # First: the model of epoch 1 without this folder is one that lost its checkpoint.
        with disk_errors(self.run.checkpoint):
            self.run.checkpoint.mkdir(exist_ok=True)
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({"epoch": epoch + 1, **metrics})
        save = self.save or self.model.save
        if self.best_epoch == epoch:
            write_atomically(self.run.model_file, save)
        kept = self.keep(self.history) if self.keep else []
        if epoch + 1 in kept:
            write_atomically(self.run.epoch_file(epoch + 1), save)
        weights = self.run.checkpoint / f"epoch_{epoch + 1:04d}.weights.h5"
        raw = self.average.training_weights() if self.average else nullcontext()
        with raw, unmerged(self.model):
            write_atomically(weights, self.model.save_weights)
        self._weights = weights.name
        record = {"weights": weights.name, "history": self.history}
        self.run.write_json(self.run.record_file, record)
        self._follow_record()

    def _follow_record(self) -> None:
        """Removes the weights and models that the record has no use for; writes the
        history."""
        weights = self.run.checkpoint / self._weights
        if not weights.exists():
            return  # It was lost: what there is may help its user.
        for kind in ("*.weights.h5", "*.keras"):
            self._remove_others(self.run.checkpoint.glob(kind), [weights])
        kept = self.keep(self.history) if self.keep else []
        self._remove_others(self.run.epochs.glob("*.keras"), map(self.run.epoch_file, kept))
        self.run.write_history(self.history)

    @staticmethod
    def _remove_others(files: Iterable[Path], kept: Iterable[Path]) -> None:
        for file in set(files) - set(kept):
            file.unlink()
