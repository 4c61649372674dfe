"""Requests that wait for one loaded model, joined into batches.

All that a model does runs in threads of its own, as many as it bears: batches side by side, and
the steps of streams in turn with them.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from .tensors import PredictRequest, RequestError, join

LOG = logging.getLogger(__name__)

Arrays = dict[str, np.ndarray]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Limits:
    """How much is joined, and how much may wait.

    Attributes:
        max_batch_size: Sources of a batch at most.
        batch_timeout: Seconds that a batch which is not full waits for more.
        max_queue: Sources that may wait; a request beyond is refused.
        max_sources: Sources of one request at most.
        max_body: Bytes of one request at most.
        request_timeout: Seconds until a request is given up.
    """

    max_batch_size: int = 32
    batch_timeout: float = 0.001
    max_queue: int = 1024
    max_sources: int = 256
    max_body: int = 16_000_000
    request_timeout: float = 60.0


@dataclass
class _Piece:
    """Up to a batch of one request, and whether it still waits for one."""

    key: Any
    request: PredictRequest
    answer: "asyncio.Future[Arrays]"
    waits: bool = True


class Batcher:
    """Answers the requests of one model, several at once where they fit together.

    Args:
        predict: Name of a signature and its inputs -> outputs; may block.
        limits: As above.
        observe: Called with the number of sources of each batch that is run.
        threads: How many batches may run at the same time. Defaults to 1.
    """

    def __init__(
        self,
        predict: Callable[[str, Mapping[str, np.ndarray]], Arrays],
        limits: Limits,
        observe: Callable[[int], None] = lambda rows: None,
        threads: int = 1,
    ):
        self._predict, self._limits, self._observe = predict, limits, observe
        self._waiting: deque[_Piece] = deque()
        # Sources that wait and that somebody still wants.
        self.waiting = 0
        self._arrived = asyncio.Event()
        self._is_closing = False
        self._threads = ThreadPoolExecutor(threads, "model")
        self._idle, self._freed = threads, asyncio.Event()
        self._running: set[asyncio.Task] = set()
        # Whether somebody else asked when the last batch was begun.
        self._has_company = False
        self._task = asyncio.create_task(self._serve())

    async def answer(self, request: PredictRequest, key: Any) -> Arrays:
        """The outputs of a request. If it is cancelled, what still waits is not run.

        Args:
            request: Any number of sources.
            key: Requests of equal keys may be joined; `None`: with no other.

        Raises:
            RequestError: 503 if too many wait; or what the model says.
        """
        if self._is_closing:
            raise RequestError(503, "the model is being unloaded")
        if self.waiting and self.waiting + request.rows > self._limits.max_queue:
            raise RequestError(
                503,
                f"{self.waiting} sources wait already, and at most {self._limits.max_queue} "
                "may; try again later",
            )
        loop = asyncio.get_running_loop()
        pieces = [_Piece(key, part, loop.create_future()) for part in self._parts(request, key)]
        self._waiting.extend(pieces)
        self.waiting += request.rows
        self._arrived.set()
        try:
            parts = await asyncio.gather(*(piece.answer for piece in pieces))
        finally:
            for piece in pieces:
                piece.answer.cancel()
                self._leave(piece)
        if len(parts) == 1:
            return parts[0]
        return {name: join([part[name] for part in parts]) for name in parts[0]}

    async def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Runs something of the model in one of its threads.

        Raises:
            RequestError: What the model says; 500 for a failure of its own.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, function, *arguments)
        except RequestError:
            raise
        except Exception as error:
            LOG.exception("the model failed")
            why = f"the model failed: {type(error).__name__}: {error}"
            raise RequestError(500, why) from error

    async def close(self) -> None:
        """Answers all that waits, then ends the threads."""
        self._is_closing = True
        self._arrived.set()
        await self._task
        self._threads.shutdown(wait=False)

    def _parts(self, request: PredictRequest, key: Any) -> list[PredictRequest]:
        """Requests of a batch at most; what cannot be joined is not cut either."""
        size = self._limits.max_batch_size
        if key is None:
            return [request]
        return [
            PredictRequest(
                request.signature,
                {name: array[i : i + size] for name, array in request.inputs.items()},
                request.by_row,
            )
            for i in range(0, request.rows, size)
        ]

    async def _serve(self) -> None:
        while True:
            if not self._waiting:
                if self._is_closing:
                    break
                self._arrived.clear()
                await self._arrived.wait()
                continue
            while not self._idle:
                self._freed.clear()
                await self._freed.wait()
            if self._has_company:
                await self._wait_for_more()
            if batch := self._take():
                self._has_company = len(batch) > 1 or bool(self._running or self.waiting)
                self._idle -= 1
                task = asyncio.create_task(self._run(batch))
                self._running.add(task)
                task.add_done_callback(self._free)
        await asyncio.gather(*self._running)

    def _free(self, task: asyncio.Task) -> None:
        self._running.discard(task)
        self._idle += 1
        self._freed.set()

    async def _wait_for_more(self) -> None:
        """Until a batch is full, or its time is over."""
        if self._waiting[0].key is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.batch_timeout):
                while self.waiting < self._limits.max_batch_size and not self._is_closing:
                    self._arrived.clear()
                    await self._arrived.wait()

    def _take(self) -> list[_Piece]:
        """The first piece that is wanted and all that fit to it, in their order; where other
        threads are idle too, their share is left to them."""
        batch: list[_Piece] = []
        others: deque[_Piece] = deque()
        room = min(self._limits.max_batch_size, -(-self.waiting // self._idle))
        for piece in self._waiting:
            if not piece.waits:
                continue
            rows = piece.request.rows
            if not batch or (
                piece.key is not None and piece.key == batch[0].key and rows <= room
            ):
                batch.append(piece)
                room -= rows
                self._leave(piece)
            else:
                others.append(piece)
        self._waiting = others
        return batch

    def _leave(self, piece: _Piece) -> None:
        if piece.waits:
            piece.waits = False
            self.waiting -= piece.request.rows

    async def _run(self, batch: list[_Piece]) -> None:
        requests = [piece.request for piece in batch]

        def together() -> Arrays:
            inputs = requests[0].inputs
            if len(requests) > 1:
                inputs = {name: join([one.inputs[name] for one in requests]) for name in inputs}
            return self._predict(requests[0].signature, inputs)

        self._observe(sum(request.rows for request in requests))
        try:
            outputs = await self.call(together)
        except RequestError as error:
            if len(batch) > 1:
                # Which of them it was is not known: each alone.
                for piece in batch:
                    await self._run([piece])
                return
            if not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        begin = 0
        for piece in batch:
            end = begin + piece.request.rows
            if not piece.answer.done():  # Its client may have gone.
                answer = {name: array[begin:end] for name, array in outputs.items()}
                piece.answer.set_result(answer if piece.key is not None else outputs)
            begin = end
