"""One HTTP request: its body, its time, and its client, who may leave."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from .batching import Limits
from .tensors import RequestError

# The parsing of larger bodies does not hold up the others.
_SMALL = 50_000
Result = TypeVar("Result")


async def read_body(request: Request, limits: Limits) -> bytes:
    """The body; `RequestError` 413 if it is too large, 408 if it does not come."""
    most = limits.max_body
    pieces, size = [], int(request.headers.get("content-length") or 0)
    if size <= most:
        size = 0
        try:
            async with asyncio.timeout(limits.request_timeout):
                async for piece in request.stream():
                    pieces.append(piece)
                    size += len(piece)
                    if size > most:
                        break
        except TimeoutError as error:
            raise RequestError(408, f"only {size} bytes of the request came") from error
    if size > most:
        raise RequestError(413, f"a request may have {most} bytes; this one has more")
    return b"".join(pieces)


async def in_time(limits: Limits, work: Awaitable[Result]) -> Result:
    """The result, unless it takes too long; then it is cancelled."""
    limit = limits.request_timeout
    try:
        async with asyncio.timeout(limit):
            return await work
    except TimeoutError as error:
        raise RequestError(504, f"no answer within {limit:g} s") from error


async def unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """The result, unless the client leaves; then it is cancelled."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_until_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        task.cancel()
        gone.cancel()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def parsed(function: Any, *arguments: Any, size: int | None = None) -> Any:
    """Calls it, in a thread where there is much to read or write."""
    size = len(arguments[0]) if size is None else size
    if size <= _SMALL:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)
