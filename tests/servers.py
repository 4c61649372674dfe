"""Our server over a SavedModel in this process, by both of its doors.

The model is called `speller` and has version 1.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from export.predictors import SavedModelPredictor
from keras_seq2seq.serving.access import Keys
from keras_seq2seq.serving.batching import Limits
from keras_seq2seq.serving.grpc_service import GrpcDoor
from keras_seq2seq.serving.measures import Measures
from keras_seq2seq.serving.server import Server
from keras_seq2seq.serving.versions import ServedModel


class PredictionService:
    """A SavedModel to be served, and how slow it is."""

    def __init__(self, path):
        self.path, self.delay = path, 0.0


class SlowPredictor(SavedModelPredictor):
    """The SavedModel of a `PredictionService`, as slow as that."""

    def __init__(self, service: PredictionService):
        super().__init__(service.path)
        self.service = service

    def predict(self, signature, inputs):
        time.sleep(self.service.delay)
        return super().predict(signature, inputs)


@contextmanager
def http_server(server: Server, **tls: Any) -> Iterator[str]:
    """Serves while the block runs; gives the URL of the model."""
    config = uvicorn.Config(server.app, log_config=None, log_level="warning", **tls)
    web = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        thread = threading.Thread(target=web.run, args=([listening],))
        thread.start()
        while not web.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            port = listening.getsockname()[1]
            yield f"http{'s' * config.is_ssl}://127.0.0.1:{port}/v1/models/speller"
        finally:
            web.should_exit = True
            thread.join()


def served(service: PredictionService, limits: Limits) -> Server:
    """A server of the model."""
    model = ServedModel(
        "speller", lambda: {1: service.path}, lambda path: SlowPredictor(service), limits
    )
    return Server({"speller": model}, limits, Measures())


@contextmanager
def rest_server(service: PredictionService, limits: Limits | None = None) -> Iterator[str]:
    """Serves over HTTP; gives the URL of the model."""
    with http_server(served(service, limits or Limits())) as url:
        yield url


@contextmanager
def grpc_server(service: PredictionService) -> Iterator[str]:
    """Serves over gRPC; gives the URL of the model."""
    server = served(service, Limits())
    door = GrpcDoor(server, "127.0.0.1", 0, Limits(), Measures(), Keys())
    server.doors.append(door)
    with http_server(server):
        yield f"{door.address}/speller"
