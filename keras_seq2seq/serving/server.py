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
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from .access import KeyCheck, Keys
from .batching import Limits
from .http_request import in_time, parsed, read_body, unless_gone
from .measures import CONTENT_TYPE, Measures
from .messages import metadata, read_request, write_answer
from .streams import begin_stream
from .tensors import (
    DEFAULT_SIGNATURE,
    ERROR,
    PredictRequest,
    RequestError,
    Signature,
    error_body,
)
from .versions import ServedModel

PAGE = Path(__file__).parent / "page"
# It may load what this server has, and ask it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"
    "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MODEL = (
    r"(?i)/v1/models/(?P<name>[^/:]+)"
    r"(?:/versions/(?P<version>\d{1,18})|/labels/(?P<label>[^/:]+))?"
)
_ASK = re.compile(rf"{_MODEL}:(?P<kind>predict|classify|regress)")
_STREAM = re.compile(rf"{_MODEL}/(?P<kind>generate_stream)")
_STATUS = re.compile(rf"{_MODEL}(?:/(?P<kind>metadata))?")
_JSON = "application/json"
# Where a client has gone there is nobody to tell.
_CLIENT_LEFT = 499
# The number of a version and a label, as a request names them; empty where it does not.
Asked = tuple[str, str]


class Door(Protocol):
    """Another way to ask a server.

    Attributes:
        address: What a client calls it, in front of a model's name.
    """

    @property
    def address(self) -> str: ...

    async def open(self) -> None:
        """Begins to take requests."""

    async def close(self) -> None:
        """Takes nothing new; returns when what was under way is answered."""


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

    Attributes:
        doors: Others than HTTP, which are open while the models are.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        limits: Limits,
        measures: Measures,
        keys: Keys | None = None,
        cors_origins: Sequence[str] = (),
        poll_seconds: float = 0.0,
    ):
        self._models, self._limits, self._measures = models, limits, measures
        self._poll_seconds = poll_seconds
        self._is_stopping = False
        self.doors: list[Door] = []
        self._open: list[Door] = []
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
        if keys is not None:
            middleware.append(Middleware(KeyCheck, keys=keys))
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Mount("/page", StaticFiles(directory=PAGE)),
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
        """Loads what is not yet loaded and opens the doors that are closed.

        Raises:
            InputError: If a model has nothing to serve, or a door cannot be opened.
        """
        for model in self._models.values():
            await model.refresh()
            model.require()
        while len(self._open) < len(self.doors):
            door = self.doors[len(self._open)]
            await door.open()
            self._open.append(door)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        await self.load()
        poll = asyncio.create_task(self._poll())
        yield
        self._is_stopping = True
        poll.cancel()
        for door in self._open:
            await door.close()
        for model in self._models.values():
            await model.close()

    async def _poll(self) -> None:
        while self._poll_seconds:
            await asyncio.sleep(self._poll_seconds)
            for model in self._models.values():
                await model.refresh()

    async def _page(self, request: Request) -> Response:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return FileResponse(PAGE / "index.html", headers=headers)

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
                engine = version.engine
                listed.append(
                    {
                        "name": name,
                        "version": version.number,
                        "inputs": list(engine.signatures[DEFAULT_SIGNATURE].inputs),
                        "sample_rate": engine.sample_rate,
                        "has_options": "generate" in engine.signatures,
                        "has_attention": engine.has_attention,
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
            response = _json(error_body(error), error.status)
            if error.status == 503:
                response.headers["Retry-After"] = "1"
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
        model = self.model(name, asked)
        if kind == "metadata":
            async with model.use(*asked) as version:
                return _json(metadata(name, version.number, version.engine.signatures))
        if kind in ("classify", "regress"):
            raise RequestError(
                400,
                f"Expected {kind} signature method_name to be tensorflow/serving/{kind}. Was: "
                "tensorflow/serving/predict",
            )
        body = await read_body(request, self._limits)
        if kind == "generate_stream":
            return await begin_stream(request, model, asked, body, self._limits, self._measures)

        def read(signatures: Mapping[str, Signature]) -> Awaitable[PredictRequest]:
            return parsed(read_request, body, signatures)

        _, wanted, outputs = await unless_gone(request, self.predict(name, asked, read))
        answer = await parsed(write_answer, outputs, wanted.by_row, size=_size(outputs))
        return Response(answer, media_type=_JSON)

    def model(self, name: str, asked: Asked) -> ServedModel:
        """The model of that name; `RequestError` 404 if there is none."""
        if name not in self._models:
            what = f"Specific({name}, {asked[0]})" if asked[0] else f"Latest({name})"
            raise RequestError(404, f"Servable not found for request: {what}")
        return self._models[name]

    async def predict(
        self,
        name: str,
        asked: Asked,
        read: Callable[[Mapping[str, Signature]], Awaitable[PredictRequest]],
    ) -> tuple[int, PredictRequest, dict[str, np.ndarray]]:
        """Answers one request, whichever door it came by.

        Args:
            name: Of the model.
            asked: A version's number and a label, both of which may be empty.
            read: Gives the request for the signatures of the version.

        Returns:
            The version's number, the request, and its outputs.

        Raises:
            RequestError: For what is wrong with it.
        """
        async with self.model(name, asked).use(*asked) as version:
            wanted = await read(version.engine.signatures)
            if wanted.rows > self._limits.max_sources:
                raise RequestError(
                    400,
                    f"a request may have {self._limits.max_sources} sources. Received: "
                    f"{wanted.rows}; send them in several requests",
                )
            outputs = await in_time(self._limits, version.answer(wanted))
        if ERROR in outputs:
            self._measures.source_errors(name, int(np.count_nonzero(outputs[ERROR] != b"")))
        return version.number, wanted, outputs


def _size(outputs: Mapping[str, np.ndarray]) -> int:
    return sum(10 * array.size for array in outputs.values())


def _json(content: Any, status: int = 200) -> Response:
    text = json.dumps(content, indent=1, ensure_ascii=True)
    return Response(text + "\n", status, media_type=_JSON)
