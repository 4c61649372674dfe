"""Where the figures of a run go beside its own files, by the trackers' own Keras callbacks."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_seq2seq.data import Pairs
from keras_seq2seq.data.signals import signal_name
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import backend_generates

from ..run_directory import RunDirectory
from ..settings import TrainingConfig

# Pixels of a weight in a picture of attention.
CELL = 12


def check_tracker(name: str) -> None:
    """Raises `InputError` if what `--tracker` names is not installed."""
    if name in ("mlflow", "wandb") and importlib.util.find_spec(name) is None:
        raise InputError(
            f"--tracker {name} needs {name}. Run `pip install {name}`, or use --tracker "
            "tensorboard."
        )


@contextlib.contextmanager
def tracked(
    config: TrainingConfig, run: RunDirectory, validation: Pairs
) -> Iterator[list[keras.callbacks.Callback]]:
    """Callbacks of the tracker of a run, whose record is open meanwhile.

    Args:
        config: Settings.
        run: Its folder, whose name is that of the record.
        validation: The pairs of which samples are shown.
    """
    callbacks, record = _TRACKERS[config.run.tracker](config, run)
    samples = config.run.tracker_samples
    if samples and config.run.tracker == "tensorboard" and backend_generates():
        shown = Pairs(validation.sources[:samples], validation.targets[:samples])
        callbacks.append(Samples(run.logs / "samples", shown))
    with record:
        yield callbacks


_Tracker = tuple[list[keras.callbacks.Callback], AbstractContextManager]


def _none(config: TrainingConfig, run: RunDirectory) -> _Tracker:
    return [], contextlib.nullcontext()


def _tensorboard(config: TrainingConfig, run: RunDirectory) -> _Tracker:
    made = keras.callbacks.TensorBoard(run.logs, update_freq="epoch")
    return [made], contextlib.nullcontext()


def _mlflow(config: TrainingConfig, run: RunDirectory) -> _Tracker:
    import mlflow

    record = mlflow.start_run(run_name=run.path.name)
    mlflow.log_params(config.values)
    return [mlflow.keras.MlflowCallback(log_every_epoch=True)], record


def _wandb(config: TrainingConfig, run: RunDirectory) -> _Tracker:
    import wandb
    from wandb.integration.keras import WandbMetricsLogger

    record = wandb.init(
        name=run.path.name, dir=str(run.path), config=dict(config.values), resume="allow"
    )
    return [WandbMetricsLogger(log_freq="epoch")], record


_TRACKERS: dict[str, Callable[[TrainingConfig, RunDirectory], _Tracker]] = {
    "none": _none,
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
}


class Samples(keras.callbacks.Callback):
    """Shows TensorBoard what the model makes of a few sources after every epoch: a table of
    texts, and, of a model with attention, a picture a source of where it looked.

    Args:
        folder: Of the log.
        pairs: What to show.
    """

    def __init__(self, folder: Path, pairs: Pairs):
        super().__init__()
        self.pairs = pairs
        self._writer = tf.summary.create_file_writer(str(folder))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        outputs = self.model.generate(self.pairs.sources)
        sources = [
            one if isinstance(one, str) else signal_name(one) for one in self.pairs.sources
        ]
        rows = zip(sources, self.pairs.targets, outputs, strict=True)
        lines = ["source | target | output", "--- | --- | ---"]
        lines += [" | ".join(map(_cell, row)) for row in rows]
        with self._writer.as_default(step=epoch):
            tf.summary.text("samples", "\n".join(lines))
            if self.model.alignment_model is not None:
                for number, (source, output) in enumerate(
                    zip(self.pairs.sources, outputs, strict=True), 1
                ):
                    if not output:  # Nothing was looked at for it.
                        continue
                    weights = self.model.align([source], [output])[0]
                    tf.summary.image(f"attention/{number}", attention_image(weights))
        self._writer.flush()


def attention_image(weights: np.ndarray) -> np.ndarray:
    """`(target_length, source_length)` -> `(1, height, width, 1)`, uint8: a row a target
    token, darker for more weight."""
    shades = np.clip(255 * (1 - np.asarray(weights, np.float32)), 0, 255).astype(np.uint8)
    return np.kron(shades, np.ones((CELL, CELL), np.uint8))[None, :, :, None]


def _cell(text: str) -> str:
    """Text of a table of Markdown, as it is."""
    return "".join(f"&#{ord(one)};" if one in "|\\`*_<>[]&\n\r" else one for one in text)
