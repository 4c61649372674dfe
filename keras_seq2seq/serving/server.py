"""A server of models: TensorFlow Serving's REST door, streams, health, metrics and a page.

```
POST /v1/models/NAME[/versions/N|/labels/L]:predict            as TensorFlow Serving
GET  /v1/models/NAME[/versions/N|/labels/L][/metadata]         likewise
POST /v1/models/NAME[/versions/N|/labels/L]/generate_stream    server-sent events
GET  /models                                                   names, and what they take
GET  /healthz, /readyz                                         alive; with a version loaded
GET  /metrics, /monitoring/prometheus/metrics                  for Prometheus
GET  /                                                         a page to try it
```
"""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from .access import Keys
from .batching import Limits
from .measures import CONTENT_TYPE, Measures
from .messages import metadata, read_request, read_source, write_answer
from .tensors import DEFAULT_SIGNATURE, ERROR, PredictRequest, RequestError
from .versions import ServedModel, Version

PAGE = Path(__file__).parent / "page" / "index.html"
_MODEL = (
    r"(?i)/v1/models/(?P<name>[^/:]+)"
    r"(?:/versions/(?P<version>\d{1,18})|/labels/(?P<label>[^/:]+))?"
)
_ASK = re.compile(rf"{_MODEL}:(?P<kind>predict|classify|regress)")
_STREAM = re.compile(rf"{_MODEL}/(?P<kind>generate_stream)")
_STATUS = re.compile(rf"{_MODEL}(?:/(?P<kind>metadata))?")
_JSON = "application/json"
# The parsing of larger bodies does not hold up the others.
_SMALL = 50_000
# Where a client has gone there is nobody to tell.
_CLIENT_LEFT = 499
Result = TypeVar("Result")


class Server:
    """What answers; `app` is the ASGI application.

    Args:
        models: By name.
        limits: Of requests; those of the models' own batches are theirs.
        measures: Where requests are counted.
        keys: API keys of which a request must have one, as `Authorization: Bearer KEY` or
            `X-Api-Key: KEY`. Defaults to none: everybody may ask.
        cors_origins: Web pages of these origins may ask; `*` for any.
        poll_seconds: Between two looks for new versions; 0 for none.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        limits: Limits,
        measures: Measures,
        keys: Sequence[str] = (),
        cors_origins: Sequence[str] = (),
        poll_seconds: float = 0.0,
    ):
        self._models, self._limits, self._measures = models, limits, measures
        self._poll_seconds = poll_seconds
        self._is_stopping = False
        middleware = []
        if cors_origins:
            middleware.append(
                Middleware(
                    CORSMiddleware,
                    allow_origins=list(cors_origins),
                    allow_methods=["GET", "POST"],
                    allow_headers=["Authorization", "Content-Type", "X-Api-Key"],
                )
            )
        if keys:
            middleware.append(Middleware(Keys, keys=keys))
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/healthz", self._health),
                Route("/readyz", self._ready),
                Route("/models", self._list),
                Route("/metrics", self._metrics),
                Route("/monitoring/prometheus/metrics", self._metrics),
                Route("/{path:path}", self._model, methods=["GET", "POST"]),
            ],
            middleware=middleware,
            lifespan=self._lifespan,
        )

    async def load(self) -> None:
        """Loads what is not yet loaded; `InputError` if a model has nothing to serve."""
        for model in self._models.values():
            await model.refresh()
            model.require()

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        await self.load()
        poll = asyncio.create_task(self._poll())
        yield
        self._is_stopping = True
        poll.cancel()
        for model in self._models.values():
            await model.close()

    async def _poll(self) -> None:
        while self._poll_seconds:
            await asyncio.sleep(self._poll_seconds)
            for model in self._models.values():
                await model.refresh()

    async def _page(self, request: Request) -> Response:
        return FileResponse(PAGE)

    async def _health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _ready(self, request: Request) -> Response:
        if self._is_stopping:
            return PlainTextResponse("stopping\n", 503)
        waits = [name for name, model in self._models.items() if not model.is_ready]
        if waits:
            return PlainTextResponse(f"without a version: {', '.join(waits)}\n", 503)
        return PlainTextResponse("ok\n")

    async def _metrics(self, request: Request) -> Response:
        waiting = {name: model.waiting for name, model in self._models.items()}
        return Response(self._measures.text(waiting), media_type=CONTENT_TYPE)

    async def _list(self, request: Request) -> Response:
        listed = []
        for name, model in self._models.items():
            async with model.use() as version:
                inputs = version.engine.signatures[DEFAULT_SIGNATURE].inputs
                listed.append(
                    {
                        "name": name,
                        "version": version.number,
                        "inputs": list(inputs),
                        "has_options": "generate" in version.engine.signatures,
                    }
                )
        return _json({"models": listed})

    async def _model(self, request: Request) -> Response:
        """All below /v1: counts, and says what went wrong."""
        begin = time.perf_counter()
        path, method = request.url.path, request.method
        found, kind, name = None, "other", ""
        for pattern, of_method in ((_ASK, "POST"), (_STREAM, "POST"), (_STATUS, "GET")):
            if method == of_method and found is None:
                found = pattern.fullmatch(request.scope["path"])
        try:
            if found is None:
                raise RequestError(400, f"Malformed request: {method} {path}")
            kind = (found["kind"] or "status").lower()
            response = await self._answer(request, found, kind)
            name = found["name"]
        except RequestError as error:
            # A name that there is not is no label of a metric: there would be no end of them.
            name = found["name"] if found and found["name"] in self._models else ""
            response = _json({"error": str(error)}, error.status)
        except ClientDisconnect:
            response = _json({"error": "the client left"}, _CLIENT_LEFT)
        self._measures.request(name, kind, response.status_code, time.perf_counter() - begin)
        return response

    async def _answer(self, request: Request, found: re.Match, kind: str) -> Response:
        name, asked = found["name"], (found["version"] or "", found["label"] or "")
        if kind == "status":
            if name not in self._models:
                raise RequestError(404, f"Could not find any versions of model {name}")
            states = self._models[name].status(*asked)
            return _json({"model_version_status": states})
        if name not in self._models:
            what = f"Specific({name}, {asked[0]})" if asked[0] else f"Latest({name})"
            raise RequestError(404, f"Servable not found for request: {what}")
        model = self._models[name]
        if kind == "metadata":
            async with model.use(*asked) as version:
                return _json(metadata(name, version.number, version.engine.signatures))
        if kind in ("classify", "regress"):
            raise RequestError(
                400,
                f"Expected {kind} signature method_name to be tensorflow/serving/{kind}. Was: "
                "tensorflow/serving/predict",
            )
        body = await self._body(request)
        if kind == "generate_stream":
            return await self._begin_stream(request, model, asked, body)
        async with model.use(*asked) as version:
            wanted = await _parsed(read_request, body, version.engine.signatures)
            if wanted.rows > self._limits.max_sources:
                raise RequestError(
                    400,
                    f"a request may have {self._limits.max_sources} sources. Received: "
                    f"{wanted.rows}; send them in several requests",
                )
            outputs = await self._in_time(request, version.answer(wanted))
        if ERROR in outputs:
            self._measures.source_errors(name, int(np.count_nonzero(outputs[ERROR] != b"")))
        answer = await _parsed(write_answer, outputs, wanted.by_row, size=_size(outputs))
        return Response(answer, media_type=_JSON)

    async def _body(self, request: Request) -> bytes:
        most = self._limits.max_body
        pieces, size = [], int(request.headers.get("content-length") or 0)
        if size <= most:
            size = 0
            async for piece in request.stream():
                pieces.append(piece)
                size += len(piece)
                if size > most:
                    break
        if size > most:
            raise RequestError(413, f"a request may have {most} bytes; this one has more")
        return b"".join(pieces)

    async def _in_time(self, request: Request, work: Awaitable[Result]) -> Result:
        """The result, unless it takes too long or the client leaves; then it is cancelled."""
        task = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(_until_gone(request))
        try:
            await asyncio.wait(
                {task, gone},
                timeout=self._limits.request_timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if task.done():
                return task.result()
            if gone.done():
                raise ClientDisconnect
            raise RequestError(504, f"no answer within {self._limits.request_timeout:g} s")
        finally:
            task.cancel()
            gone.cancel()

    async def _begin_stream(
        self, request: Request, model: ServedModel, asked: tuple[str, str], body: bytes
    ) -> Response:
        """What is wrong before the first token has a status of its own."""
        resources = contextlib.AsyncExitStack()
        try:
            version = await resources.enter_async_context(model.use(*asked))
            wanted = await _parsed(read_source, body, version.engine.signatures)
            events = self._events(model.name, version, wanted)
            first = await self._in_time(request, anext(events))
        except BaseException:
            await resources.aclose()
            raise

        async def rest() -> AsyncIterator[str]:
            async with resources, contextlib.aclosing(events):
                yield first
                try:
                    async with asyncio.timeout(self._limits.request_timeout):
                        async for event in events:
                            yield event
                except TimeoutError:
                    limit = self._limits.request_timeout
                    yield _event("error", {"error": f"not done within {limit:g} s"})
                except RequestError as error:
                    yield _event("error", {"error": str(error)})

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(rest(), media_type="text/event-stream", headers=headers)

    async def _events(
        self, name: str, version: Version, wanted: PredictRequest
    ) -> AsyncGenerator[str, None]:
        """The target so far after each token, then what `:predict` gives."""
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
            self._measures.source_errors(name, 1)
            raise RequestError(400, error.decode("utf-8", "replace"))
        shown = {key: outputs[key] for key in ("text", "log_probs", "scores")}
        yield _event("done", json.loads(write_answer(shown, by_row=True))["predictions"][0])


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _parsed(function: Any, *arguments: Any, size: int | None = None) -> Any:
    """Calls it, in a thread where there is much to read or write."""
    size = len(arguments[0]) if size is None else size
    if size <= _SMALL:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


def _size(outputs: Mapping[str, np.ndarray]) -> int:
    return sum(10 * array.size for array in outputs.values())


def _json(content: Any, status: int = 200) -> Response:
    text = json.dumps(content, indent=1, ensure_ascii=True)
    return Response(text + "\n", status, media_type=_JSON)


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
