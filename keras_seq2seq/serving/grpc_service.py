"""TensorFlow Serving's gRPC door of a server: `Predict` and `GetModelMetadata`.

What is wrong is said in the server's own words where it has some. Needs
`tensorflow-serving-api`.
"""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    model_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from keras_seq2seq.errors import InputError

from .access import NEEDED, Keys
from .batching import Limits
from .measures import Measures
from .messages import checked_request, metadata
from .server import Asked, Server
from .tensors import DEFAULT_SIGNATURE, PredictRequest, RequestError, Signature

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
# What is counted where the client has gone.
_CLIENT_LEFT = 499
# A message longer than this is cut by gRPC, which has it in a header.
_LONGEST_MESSAGE = 4000


class GrpcDoor(prediction_service_pb2_grpc.PredictionServiceServicer):
    """A door of a `Server`.

    Args:
        server: What answers.
        host: Address to listen at.
        port: 0 for a free one, which `open` puts into `port`.
        limits: As the server's.
        measures: Likewise.
        keys: API keys, in the metadata `authorization` or `x-api-key`.
        credentials: Certificate and key of the server. Defaults to no TLS.
        stop_seconds: How long `close` waits for what is under way.
    """

    def __init__(
        self,
        server: Server,
        host: str,
        port: int,
        limits: Limits,
        measures: Measures,
        keys: Keys,
        credentials: grpc.ServerCredentials | None = None,
        stop_seconds: float = 30.0,
    ):
        self.host, self.port = host, port
        self._server, self._limits, self._measures = server, limits, measures
        self._keys, self._credentials = keys, credentials
        self._stop_seconds = stop_seconds
        self._listening: Any = None

    @property
    def address(self) -> str:
        """As the client takes it, in front of a model's name."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"grpc{'s' if self._credentials else ''}://{host}:{self.port}"

    async def open(self) -> None:
        """Listens; `InputError` if it cannot."""
        self._listening = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", self._limits.max_body),
                ("grpc.max_send_message_length", -1),
                # Two servers at one port would each get a part of the requests.
                ("grpc.so_reuseport", 0),
            ]
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            self, self._listening
        )
        address = self.address.partition("//")[2]
        try:
            if self._credentials is None:
                self.port = self._listening.add_insecure_port(address)
            else:
                self.port = self._listening.add_secure_port(address, self._credentials)
        except RuntimeError as error:
            raise InputError(
                f"{address} cannot be listened at. Choose another --grpc-port."
            ) from error
        await self._listening.start()

    async def close(self) -> None:
        """Takes nothing new; returns when what was under way is answered."""
        await self._listening.stop(self._stop_seconds)

    async def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        """One request, on the same batches as those over HTTP."""
        spec = request.model_spec

        async def answer() -> Any:
            async def read(signatures: Mapping[str, Signature]) -> PredictRequest:
                return read_request(request, signatures, self._limits.max_body)

            asked = _asked(spec)
            version, wanted, outputs = await self._server.predict(spec.name, asked, read)
            return write_answer(request, version, wanted, outputs)

        return await self._answered("grpc_predict", spec, context, answer)

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The signatures."""
        spec = request.model_spec

        async def answer() -> Any:
            if not request.metadata_field:
                raise RequestError(
                    400, "GetModelMetadataRequest must specify at least one metadata_field"
                )
            for name in request.metadata_field:
                if name != "signature_def":
                    raise RequestError(400, f"Metadata field {name} is not supported")
            asked = _asked(spec)
            async with self._server.model(spec.name, asked).use(*asked) as version:
                said = metadata(spec.name, version.number, version.engine.signatures)
            made = get_model_metadata_pb2.GetModelMetadataResponse()
            made.model_spec.name = spec.name
            made.model_spec.version.value = version.number
            signatures = get_model_metadata_pb2.SignatureDefMap()
            json_format.ParseDict(said["metadata"]["signature_def"], signatures)
            made.metadata["signature_def"].Pack(signatures)
            return made

        return await self._answered("grpc_metadata", spec, context, answer)

    async def _answered(
        self, kind: str, spec: model_pb2.ModelSpec, context: Any, answer: Callable[[], Any]
    ) -> Any:
        """Counts, and says what went wrong."""
        begin, status, name = time.perf_counter(), _CLIENT_LEFT, ""
        try:
            headers = {
                key: value if isinstance(value, bytes) else value.encode()
                for key, value in context.invocation_metadata() or ()
            }
            if not self._keys.fit(headers):
                raise RequestError(401, NEEDED)
            if not spec.name:
                raise RequestError(400, "Missing ModelSpec")
            result = await answer()
            status, name = 200, spec.name
            return result
        except RequestError as error:
            status = error.status
            name = spec.name if status not in (401, 404) else ""
            code = _CODES.get(status, grpc.StatusCode.INTERNAL)
            await context.abort(code, str(error)[:_LONGEST_MESSAGE])
        finally:
            self._measures.request(name, kind, status, time.perf_counter() - begin)


def server_credentials(
    certificate: Path | None, key: Path | None, client_ca: Path | None = None
) -> Any:
    """What TLS needs, of PEM files; `None` without them. With `client_ca` a client must have
    a certificate that this authority signed."""
    if certificate is None:
        return None
    chain = certificate.read_bytes()
    pairs = [(key.read_bytes() if key else chain, chain)]
    authority = client_ca.read_bytes() if client_ca else None
    return grpc.ssl_server_credentials(pairs, authority, client_ca is not None)


def _asked(spec: model_pb2.ModelSpec) -> Asked:
    version = str(spec.version.value) if spec.HasField("version") else ""
    return version, spec.version_label


def read_request(
    request: predict_pb2.PredictRequest,
    signatures: Mapping[str, Signature],
    most_elements: int,
) -> PredictRequest:
    """Reads a message of `Predict`.

    Args:
        most_elements: Of all inputs together: a short message may claim any number.

    Raises:
        RequestError: 400, in the words of TensorFlow Serving.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    if name not in signatures:
        raise RequestError(400, f'Serving signature name: "{name}" not found in signature def')
    wanted = signatures[name].inputs
    if wanted.keys() != request.inputs.keys():
        extra = ",".join(sorted(request.inputs.keys() - wanted.keys()))
        missing = ",".join(sorted(wanted.keys() - request.inputs.keys()))
        raise RequestError(
            400,
            f"input size does not match signature: {len(request.inputs)}!={len(wanted)}. "
            f"Sent extra: {{{extra[:200]}}}. Missing but required: {{{missing}}}.",
        )
    for output in request.output_filter:
        if output not in signatures[name].outputs:
            raise RequestError(
                400, f"output tensor alias not found in signature: {output[:200]}"
            )
    elements = sum(
        math.prod(max(axis.size, 0) for axis in one.tensor_shape.dim)
        for one in request.inputs.values()
    )
    if elements > most_elements:
        raise RequestError(
            400, f"the inputs may have {most_elements} elements. Received: {elements}"
        )
    inputs = {key: _array(key, request.inputs[key], wanted[key].dtype) for key in wanted}
    return checked_request(name, inputs, signatures[name], by_row=False)


def _array(name: str, proto: Any, dtype: str) -> np.ndarray:
    try:
        given = tf.dtypes.as_dtype(proto.dtype).name
        if given != dtype:
            raise RequestError(400, f"{name} must be {dtype}. Received: {given}")
        return tf.make_ndarray(proto)
    except (TypeError, ValueError) as error:
        raise RequestError(400, f"{name} cannot be read: {error}") from error


def write_answer(
    request: predict_pb2.PredictRequest,
    version: int,
    wanted: PredictRequest,
    outputs: Mapping[str, np.ndarray],
) -> predict_pb2.PredictResponse:
    """The message that answers; with the outputs that the request names, or all."""
    made = predict_pb2.PredictResponse()
    made.model_spec.name = request.model_spec.name
    made.model_spec.version.value = version
    made.model_spec.signature_name = wanted.signature
    for name in request.output_filter or outputs:
        made.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
    return made
