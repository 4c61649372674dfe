"""`generate_stream`: one source, its target token by token, as server-sent events."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from .batching import Limits
from .http_request import in_time, parsed, unless_gone
from .measures import Measures
from .messages import read_source, write_answer
from .tensors import ERROR, PredictRequest, RequestError, SourceRefused, error_body
from .versions import ServedModel, Version


async def begin_stream(
    request: Request,
    model: ServedModel,
    asked: tuple[str, str],
    body: bytes,
    limits: Limits,
    measures: Measures,
) -> Response:
    """The events of one source; what is wrong before the first has a status of its own.

    Raises:
        RequestError: As of `:predict`.
    """
    resources = contextlib.AsyncExitStack()
    try:
        version = await resources.enter_async_context(model.use(*asked))
        wanted = await parsed(read_source, body, version.engine.signatures)
        looks = request.query_params.get("attention", "0") != "0"
        events = _events(model.name, version, wanted, measures, looks)
        first = await unless_gone(request, in_time(limits, anext(events)))
    except BaseException:
        await resources.aclose()
        raise

    async def rest() -> AsyncIterator[str]:
        async with resources, contextlib.aclosing(events):
            yield first
            try:
                async with asyncio.timeout(limits.request_timeout):
                    async for event in events:
                        yield event
            except TimeoutError:
                limit = limits.request_timeout
                yield _event("error", {"error": f"not done within {limit:g} s"})
            except RequestError as error:
                yield _event("error", error_body(error))

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(rest(), media_type="text/event-stream", headers=headers)


async def _events(
    name: str, version: Version, wanted: PredictRequest, measures: Measures, looks: bool
) -> AsyncGenerator[str, None]:
    """The target so far after each token, what `:predict` gives, and the attention."""
    call = version.batcher.call
    texts = await call(version.engine.stream, wanted.inputs)
    if texts is not None:
        try:
            while (text := await call(next, texts, None)) is not None:
                yield _event("token", {"text": text})
        finally:
            close = getattr(texts, "close", None)
            if close is not None:
                with contextlib.suppress(ValueError):  # A step of it still runs.
                    close()
    outputs = await version.answer(wanted)
    if (error := outputs[ERROR][0]) != b"":
        measures.source_errors(name, 1)
        raise SourceRefused(error.decode("utf-8", "replace"))
    shown = {key: outputs[key] for key in ("text", "log_probs", "scores")}
    yield _event("done", json.loads(write_answer(shown, by_row=True))["predictions"][0])
    if looks and version.engine.has_attention:
        if attention := await call(version.engine.attention, wanted.inputs):
            yield _event("attention", attention)


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
