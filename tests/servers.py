"""Servers over a SavedModel in this process: our own, and gRPC as TensorFlow Serving speaks it.

The model is called `speller` and has version 1.
"""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
import numpy as np
import tensorflow as tf
import uvicorn
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from export.predictors import SavedModelPredictor
from keras_seq2seq.serving.batching import Limits
from keras_seq2seq.serving.measures import Measures
from keras_seq2seq.serving.server import Server
from keras_seq2seq.serving.versions import ServedModel


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The gRPC service, with the SavedModel in this process."""

    def __init__(self, path):
        self.path = path
        self.loaded = tf.saved_model.load(str(path))
        self.delay = 0.0

    def run(self, signature, inputs):
        """As a server that batches: no scalar, one value a source, every input given."""
        time.sleep(self.delay)
        function = self.loaded.signatures[signature]
        specs = function.structured_input_signature[1]
        assert set(inputs) == set(specs)
        rows = [np.asarray(value).shape for value in inputs.values()]
        assert len({row[0] for row in rows}) == 1
        return function(
            **{name: tf.constant(inputs[name], spec.dtype) for name, spec in specs.items()}
        )

    def Predict(self, request, context):  # noqa: N802
        if request.model_spec.name != "speller" or request.model_spec.version.value not in (
            0,
            1,
        ):
            context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"Servable not found for request: Latest({request.model_spec.name})",
            )
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        try:
            outputs = self.run(request.model_spec.signature_name, inputs)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        response = predict_pb2.PredictResponse()
        for name, tensor in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(tensor.numpy()))
        return response


@contextmanager
def grpc_server(service: PredictionService) -> Iterator[str]:
    """Serves while the block runs; gives the URL of the model."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"grpc://127.0.0.1:{port}/speller"
    server.stop(None)


class SlowPredictor(SavedModelPredictor):
    """The SavedModel of a `PredictionService`, as slow as that."""

    def __init__(self, service: PredictionService):
        super().__init__(service.path)
        self.service = service

    def predict(self, signature, inputs):
        time.sleep(self.service.delay)
        return super().predict(signature, inputs)


@contextmanager
def http_server(server: Server) -> Iterator[str]:
    """Serves while the block runs; gives the URL of the model."""
    web = uvicorn.Server(uvicorn.Config(server.app, log_config=None, log_level="warning"))
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        thread = threading.Thread(target=web.run, args=([listening],))
        thread.start()
        while not web.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1/models/speller"
        finally:
            web.should_exit = True
            thread.join()


@contextmanager
def rest_server(service: PredictionService, limits: Limits | None = None) -> Iterator[str]:
    """Our own server; gives the URL of the model."""
    limits = limits or Limits()
    model = ServedModel(
        "speller", lambda: {1: service.path}, lambda path: SlowPredictor(service), limits
    )
    with http_server(Server({"speller": model}, limits, Measures())) as url:
        yield url
