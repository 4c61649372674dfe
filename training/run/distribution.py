"""Training by several devices and processes, on JAX: each makes its rows of the same batches.

A step is one program over the batch of all devices, so its loss and its gradient are those of
one device; no average of averages is taken. The processes are told of each other by Keras'
environment variables (`ADDRESSES`, `COUNT`, `INDEX`). The first of them alone writes the run.
"""

import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from keras_seq2seq.data.dataset import TrainingData
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings.declarations import option_name
from keras_seq2seq.wording import counted

from ..settings import TrainingConfig
from ..settings.run import ADDRESSES, COUNT, INDEX

# Seconds until all have come (or as the variable says), until a silent one is given up, and
# until all have ended.
WAIT, SILENCE, END = 300, 30, 10
WAIT_VARIABLE = "KERAS_SEQ2SEQ_WAIT_SECONDS"
# Bytes of a message from one process to all.
MESSAGE = 1000

# Path of a weight -> the mesh axis of each of its axes (Shoeybi et al. 2019, "Megatron-LM",
# section 3): what makes heads or inner units is split by its outputs, what reads them by its
# inputs. Embeddings and logits by the width of the model, which the devices divide, not by
# the vocabulary, which they may not.
LAYOUT: dict[str, tuple[str | None, ...]] = {
    "embedding/embeddings": (None, "model"),
    ".*_(query|key|value)/kernel": (None, "model"),
    ".*_(query|key|value)/bias": ("model",),
    ".*_(attention|self|cross)_output/kernel": ("model", None),
    ".*_inner/kernel": (None, "model"),
    ".*_inner/bias": ("model",),
    ".*_outer/kernel": ("model", None),
    ".*_logits/kernel": ("model", None),
}

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The processes of a run, of which this is one.

    Args:
        index: Number of this process, from 0.
        count: How many there are.
        devices: The devices that share a batch, of all processes.
    """

    index: int = 0
    count: int = 1
    devices: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes."""
        return self.index == 0

    def in_order(self, begin: Callable[[], T]) -> T:
        """What `begin` returns, called by the first process and then by the others.

        Raises:
            InputError: In all processes, if it raises one in any of them.
        """
        results: list[T] = []
        for mine in (self.is_first, not self.is_first):
            problem = ""
            if mine:
                try:
                    results.append(begin())
                except InputError as error:
                    problem = str(error)
            self._raise_any(problem)
            if self.count == 1:
                break
        return results[0]

    def of_first(self, begin: Callable[[], dict[str, float]]) -> dict[str, float]:
        """What `begin` returns in the first process, told to all, so that all decide alike.

        Raises:
            InputError: In all processes, if it raises one.
        """
        values, problem = "{}", ""
        if self.is_first:
            try:
                values = json.dumps(begin())
            except InputError as error:
                problem = str(error)
        self._raise_any(problem)
        return json.loads(self._told(values)[0])

    def check_same(self, **facts: Any) -> None:
        """Raises `InputError` in all processes if one has other settings or data."""
        for name, fact in facts.items():
            text = json.dumps(fact, sort_keys=True, default=str)
            told = self._told(hashlib.sha256(text.encode()).hexdigest())
            if other := [index for index, one in enumerate(told) if one != told[0]]:
                raise InputError(
                    f"The processes of a run must have the same {name}: those of process "
                    f"{', '.join(map(str, other))} are not those of process 0. Give all the "
                    "same command and files."
                )

    def shared(self, data: TrainingData, twice: bool = False) -> TrainingData:
        """Batches of this process: its rows of each batch of the run.

        Args:
            data: Batches of the run.
            twice: Whether a batch holds its rows twice.
        """
        if self.devices > 1:
            data = TrainingData(data.dataset.map(self._padded), data.steps, data.buckets)
        if twice:
            data = data.twice()
        return TrainingData(self.rows_of(data.dataset), data.steps, data.buckets)

    def rows_of(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """This process's rows of each batch; a batch that the devices do not divide gets
        rows of weight 0."""
        if self.devices == 1:
            return dataset
        return dataset.map(self._padded).map(self._mine)

    def _padded(self, *batch: Any) -> Any:
        def pad(tensor: tf.Tensor) -> tf.Tensor:
            missing = -tf.shape(tensor)[0] % self.devices
            rest = [[0, 0]] * (tensor.shape.rank - 1)
            return tf.pad(tensor, [[0, missing], *rest])

        return tf.nest.map_structure(pad, batch)

    def _mine(self, *batch: Any) -> Any:
        def take(tensor: tf.Tensor) -> tf.Tensor:
            rows = tf.shape(tensor)[0] // self.count
            return tensor[self.index * rows : (self.index + 1) * rows]

        return tf.nest.map_structure(take, batch)

    @contextmanager
    def ending_together(self) -> Iterator[None]:
        """One line where another process has gone in the middle of a step."""
        if self.count == 1:
            yield
            return
        import jax

        try:
            yield
        except jax.errors.JaxRuntimeError as error:
            raise InputError(
                "Another process of the run has ended, or cannot be reached: "
                f"{str(error).splitlines()[0][:200]}. The same command in all processes goes "
                "on after the last epoch."
            ) from error

    def _raise_any(self, problem: str) -> None:
        for index, told in enumerate(self._told(problem)):
            if told:
                where = "" if index == self.index else f"Process {index}: "
                raise InputError(f"{where}{told}")

    def _told(self, text: str) -> list[str]:
        """What each process says; as far as it fits."""
        if self.count == 1:
            return [text]
        from jax.experimental.multihost_utils import process_allgather

        content = text.encode("utf-8")[:MESSAGE]
        message = np.zeros(MESSAGE, np.uint8)
        message[: len(content)] = np.frombuffer(content, np.uint8)
        with self.ending_together():
            rows = np.asarray(process_allgather(message)).reshape(self.count, MESSAGE)
        return [bytes(row).rstrip(b"\0").decode("utf-8", "ignore") for row in rows]


ALONE = Processes()


def join(config: TrainingConfig) -> Processes:
    """Takes part in a run: meets the other processes and spreads what is computed from now
    on over the devices. Where several take part, JAX may end this process from below.

    Raises:
        InputError: If the backend is not JAX, the variables are wrong, the others do not
            come, or the devices cannot be shared as asked.
    """
    if not config.run.distribute:
        return ALONE
    if keras.backend.backend() != "jax":
        raise InputError(
            "--distribute needs the JAX backend: set KERAS_BACKEND=jax. Received: "
            f"KERAS_BACKEND={keras.backend.backend()}."
        )
    import jax

    index, count = _meet()
    devices, model = jax.device_count(), config.run.model_devices
    _check_devices(config, count, devices, jax.local_device_count())
    if model > 1:
        distribution = _model_parallel(devices, model)
    else:
        distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)
    return Processes(index, count, devices // model)


def _meet() -> tuple[int, int]:
    """Number of this process and of all, after all have come."""
    import jax

    address = os.environ.get(ADDRESSES, "").split(",")[0]
    if not address:
        return 0, 1
    count, index = _number(COUNT, 1), _number(INDEX, 0)
    if index >= count:
        raise InputError(
            f"{INDEX} must be below {COUNT}. Received: {index} of {count} processes."
        )
    port = address.rpartition(":")[2]
    if not port.isdigit():
        raise InputError(
            f"{ADDRESSES} must begin with a host and a port, such as 10.0.0.1:1234. Received: "
            f"{address}."
        )
    if index == 0:
        _check_free(int(port))
    try:
        jax.distributed.initialize(
            address,
            count,
            index,
            initialization_timeout=_number(WAIT_VARIABLE, 1, WAIT),
            heartbeat_timeout_seconds=SILENCE,
            shutdown_timeout_seconds=END,
        )
    except Exception as error:  # JAX raises what its coordinator and network raise.
        raise InputError(
            f"Process {index} of {count} could not meet the others at {address}: "
            f"{str(error).splitlines()[0][:200]}. Does every process run?"
        ) from error
    return index, count


def _check_free(port: int) -> None:
    """Raises `InputError` if another program listens on the port where all meet."""
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError as error:
            raise InputError(
                f"Port {port} of {ADDRESSES}, where the processes meet, cannot be used here: "
                f"{error.strerror}. Give all processes another."
            ) from error


def _number(name: str, least: int, default: int | None = None) -> int:
    text = os.environ.get(name, "" if default is None else str(default))
    if not text.isdigit() or int(text) < least:
        raise InputError(
            f"{name} must be a whole number from {least} on. Received: {text or 'nothing'}."
        )
    return int(text)


def _check_devices(config: TrainingConfig, count: int, devices: int, here: int) -> None:
    model = config.run.model_devices
    if config.optimization.minutes:
        raise InputError(
            "--minutes goes by the clock of one process, so --distribute does without it. Give "
            "--epochs."
        )
    if devices == 1:
        raise InputError(
            "--distribute found one device and one process. Leave it out, or set "
            f"{ADDRESSES}, {COUNT} and {INDEX} in every process."
        )
    if model > 1 and count > 1:
        raise InputError(
            f"--model-devices {model} is for the devices of one process: a model that several "
            f"processes hold parts of cannot be saved. Received: {counted(count, 'process')}."
        )
    if here % model:
        raise InputError(
            f"--model-devices {model} does not divide {counted(here, 'device')} of a process."
        )
    if model > 1 and config.model.architecture != "transformer":
        raise InputError(
            "--model-devices splits heads and feed-forward layers: it is for --architecture "
            f"transformer. Received: {config.model.architecture}."
        )
    for name in ("num_heads", "hidden_dim", "intermediate_dim"):
        if model > 1 and getattr(config.model, name) % model:
            raise InputError(
                f"{option_name(name)} must be a multiple of --model-devices {model}. Received: "
                f"{getattr(config.model, name)}."
            )


def _model_parallel(devices: int, model: int) -> Any:
    """Parts of each large weight on different devices: embeddings by their width, heads by
    their number, feed-forward layers by their inner width."""
    names = keras.distribution.list_devices()
    mesh = keras.distribution.DeviceMesh((devices // model, model), ("batch", "model"), names)
    layout = keras.distribution.LayoutMap(mesh)
    for pattern, axes in LAYOUT.items():
        layout[pattern] = axes
    return keras.distribution.ModelParallel(
        layout_map=layout, batch_dim_name="batch", auto_shard_dataset=False
    )
