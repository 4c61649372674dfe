"""Servers that answer as TensorFlow Serving does, over a SavedModel in this process.

The model is called `speller` and has version 1.
"""

import json
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The gRPC service, with the SavedModel in this process."""

    def __init__(self, path):
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


@contextmanager
def rest_server(service: PredictionService) -> Iterator[str]:
    """Serves while the block runs; gives the URL of the model."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = 200, {}
            if self.path not in (
                "/v1/models/speller:predict",
                "/v1/models/speller/versions/1:predict",
            ):
                status, answer = 404, {"error": "Servable not found for request"}
            else:
                try:
                    outputs = service.run(body["signature_name"], body["inputs"])
                    answer = {"outputs": {k: plain(v.numpy()) for k, v in outputs.items()}}
                except tf.errors.InvalidArgumentError as error:
                    status, answer = 400, {"error": error.message}
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/models/speller"
    server.shutdown()


def plain(array):
    values = array.tolist()

    def decode(value):
        if isinstance(value, list):
            return [decode(item) for item in value]
        return value.decode() if isinstance(value, bytes) else value

    return decode(values)
