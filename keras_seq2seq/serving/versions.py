"""Models that are served, and their versions: loaded, swapped and unloaded under way.

A new version answers before the old one goes, and the old one answers what it was asked.
"""

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from keras_seq2seq.errors import InputError

from .batching import Batcher, Limits
from .client import SIGNALS
from .tensors import DEFAULT_SIGNATURE, PredictRequest, RequestError, Signature

LOG = logging.getLogger(__name__)
# Inputs that may differ from source to source of a batch without changing another's answer.
_OF_A_SOURCE = ("text", "source", "target", "prefix", "lengths", *SIGNALS)


class Engine(Protocol):
    """What the server needs of a model.

    Attributes:
        signatures: What it can be asked, by name.
        joins: Whether an answer is the same beside others: not where samples are drawn.
        threads: How many may call it at the same time.
        sample_rate: Of its sound; 0 for a model of something else.
        has_attention: Whether `attention` knows where it looked.
    """

    signatures: Mapping[str, Signature]
    joins: bool
    threads: int
    sample_rate: int
    has_attention: bool

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Outputs of a signature; `RequestError` for inputs that it cannot take."""

    def stream(self, inputs: Mapping[str, np.ndarray]) -> Iterator[str] | None:
        """The target so far of one source of `generate`, token by token; `None` if the engine
        has its targets when they are done alone."""

    def attention(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
        """Where the model looked for the best target of one source of `generate`: tokens
        `source` and `target`, and `weights`, a row a target token; `None` if that is not
        known of it."""


@dataclass
class Version:
    """One loaded version of a model."""

    number: int
    engine: Engine
    batcher: Batcher
    in_use: int = 0
    is_idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: PredictRequest) -> dict[str, np.ndarray]:
        """The outputs of a request, joined with others where that changes nothing."""
        key: Any = None
        if self.engine.signatures[request.signature].answers_by_row and self.engine.joins:
            options = [
                (name, tuple(np.unique(array)))
                for name, array in sorted(request.inputs.items())
                if name not in _OF_A_SOURCE
            ]
            key = (request.signature, *options)
        return await self.batcher.answer(request, key)


class ServedModel:
    """One name of the server.

    Args:
        name: As in its URL.
        find: Gives the versions that are there, number -> path.
        load: Opens one of them; may block. `InputError` if it is none.
        limits: Of its requests.
        versions: Numbers to serve. Defaults to the highest alone.
        labels: Names of versions.
        observe: Called with the number of sources of every batch.
    """

    def __init__(
        self,
        name: str,
        find: Callable[[], Mapping[int, Path]],
        load: Callable[[Path], Engine],
        limits: Limits | None = None,
        versions: Sequence[int] = (),
        labels: Mapping[str, int] | None = None,
        observe: Callable[[int], None] = lambda rows: None,
    ):
        self.name, self.labels = name, dict(labels or {})
        self._find, self._load, self._versions = find, load, versions
        self._limits, self._observe = limits or Limits(), observe
        self._loaded: dict[int, Version] = {}
        # What could not be loaded: when its folder was changed, and why.
        self._failed: dict[int, tuple[float, str]] = {}
        self._closing: set[asyncio.Task] = set()

    @property
    def is_ready(self) -> bool:
        """Whether a version answers."""
        return bool(self._loaded)

    @property
    def waiting(self) -> int:
        """Sources that wait."""
        return sum(version.batcher.waiting for version in self._loaded.values())

    async def refresh(self) -> None:
        """Looks for versions; loads what is new, then unloads what is no longer wanted.

        What cannot be loaded leaves the server as it is, and is tried again when its folder
        changes.
        """
        there = await asyncio.to_thread(self._find)
        wanted = [number for number in self._versions if number in there]
        if not self._versions and there:
            wanted = [max(there)]
        for number in wanted:
            if number not in self._loaded:
                await self._try(number, there[number])
        if wanted and all(number in self._loaded for number in wanted):
            for number in set(self._loaded) - set(wanted):
                self._unload(self._loaded.pop(number))
                LOG.warning("%s: version %s is unloaded", self.name, number)

    async def _try(self, number: int, path: Path) -> None:
        try:
            changed = path.stat().st_mtime
        except OSError:  # Moved away meanwhile.
            changed = 0.0
        if self._failed.get(number, (None,))[0] == changed:
            return
        try:
            engine = await asyncio.to_thread(self._load, path)
        except Exception as error:
            # Whatever it is: what is served goes on.
            self._failed[number] = changed, str(error) or type(error).__name__
            if self._loaded:
                LOG.warning("%s: version %s cannot be loaded: %s", self.name, number, error)
            return
        self._failed.pop(number, None)
        batcher = Batcher(engine.predict, self._limits, self._observe, engine.threads)
        if self._loaded:
            LOG.warning("%s: version %s is ready", self.name, number)
        self._loaded[number] = Version(number, engine, batcher)

    def require(self) -> None:
        """Raises `InputError` if nothing could be loaded, or a version is missing."""
        for number, (_, why) in self._failed.items():
            raise InputError(f"{self.name}, version {number}: {why}")
        for number in [*self._versions, *self.labels.values()]:
            if number not in self._loaded:
                raise InputError(
                    f"{self.name} has no version {number}. It serves: {sorted(self._loaded)}."
                )
        if not self._loaded:
            raise InputError(f"{self.name} has no version to serve.")

    @contextlib.asynccontextmanager
    async def use(self, version: str = "", label: str = "") -> AsyncIterator[Version]:
        """The version that is asked for, which is not unloaded meanwhile.

        Raises:
            RequestError: 404 if it is not served; 400 for a label that there is not.
        """
        chosen = self._choose(version, label)
        chosen.in_use += 1
        try:
            yield chosen
        finally:
            chosen.in_use -= 1
            if not chosen.in_use:
                chosen.is_idle.set()

    def _choose(self, version: str, label: str) -> Version:
        if label and label not in self.labels:
            raise RequestError(400, f"Unrecognized servable version label: {label}")
        number = self.labels[label] if label else int(version) if version else None
        if number is None and self._loaded:
            return self._loaded[max(self._loaded)]
        if number is not None and number in self._loaded:
            return self._loaded[number]
        what = f"Latest({self.name})" if number is None else f"Specific({self.name}, {number})"
        raise RequestError(404, f"Servable not found for request: {what}")

    def status(self, version: str = "", label: str = "") -> list[dict[str, Any]]:
        """The state of the versions, as TensorFlow Serving gives it.

        Raises:
            RequestError: 404 if there is no such version.
        """
        if label and label not in self.labels:
            raise RequestError(400, f"Unrecognized servable version label: {label}")
        asked = self.labels[label] if label else int(version) if version else None
        states = {number: ("AVAILABLE", "OK", "") for number in self._loaded}
        for number, (_, why) in self._failed.items():
            states[number] = ("END", "UNKNOWN", why)
        found = [n for n in sorted(states, reverse=True) if asked in (None, n)]
        if not found:
            what = f"version {asked}" if asked is not None else "any versions"
            raise RequestError(404, f"Could not find {what} of model {self.name}")
        return [
            {
                "version": str(number),
                "state": states[number][0],
                "status": {
                    "error_code": states[number][1],
                    "error_message": states[number][2],
                },
            }
            for number in found
        ]

    def _unload(self, version: Version) -> None:
        async def when_idle() -> None:
            while version.in_use:
                version.is_idle.clear()
                await version.is_idle.wait()
            await version.batcher.close()

        task = asyncio.create_task(when_idle())
        self._closing.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task) -> None:
        self._closing.discard(task)
        # A model is a ring of objects, for which a collector that rests would never come.
        gc.collect()

    async def close(self) -> None:
        """Unloads all, when what they were asked is answered."""
        for number in list(self._loaded):
            self._unload(self._loaded.pop(number))
        await asyncio.gather(*self._closing)


def warm_up(engine: Engine) -> None:
    """Asks for one source: what a first request compiles and allocates is done then."""
    inputs = engine.signatures[DEFAULT_SIGNATURE].inputs
    engine.predict(
        DEFAULT_SIGNATURE,
        {
            name: np.full(
                [size or 1 for size in tensor.shape],
                b"a" if tensor.dtype == "string" else int(name == "lengths"),
                object if tensor.dtype == "string" else tensor.dtype,
            )
            for name, tensor in inputs.items()
        },
    )
