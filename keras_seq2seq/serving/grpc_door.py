"""The gRPC door of TensorFlow Serving; needs `tensorflow-serving-api`."""

import time
from typing import Any

from keras_seq2seq.errors import InputError

from .address import Address, Credentials
from .repeating import Unanswered

# What a server never says itself.
_NOT_REACHED = ("failed to connect", "DNS resolution", "name resolution", "Socket closed")


class GrpcModel:
    """Calls `PredictionService.Predict`. Threads may share it; the channel is kept open
    between requests."""

    def __init__(
        self,
        address: Address,
        credentials: Credentials,
        timeout: float,
        dtypes: dict[str, type],
    ):
        try:
            import grpc
            from tensorflow_serving.apis import prediction_service_pb2_grpc
        except ImportError as error:
            raise InputError(
                "gRPC needs tensorflow-serving-api: `pip install keras-seq2seq[serving]`. REST "
                "needs nothing: http://HOST:8501/v1/models/MODEL."
            ) from error
        self.address, self.timeout, self.dtypes = address, timeout, dtypes
        self.metadata = [(name.lower(), value) for name, value in credentials.headers.items()]
        unlimited = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
        if address.is_secure:
            certificate = credentials.read(credentials.certificate_file)
            key = credentials.read(credentials.key_file) or certificate
            try:
                secrets = grpc.ssl_channel_credentials(
                    credentials.read(credentials.ca_file), key, certificate
                )
            except (TypeError, ValueError) as error:
                raise InputError(f"The certificates cannot be used: {error}.") from error
            channel = grpc.secure_channel(address.server, secrets, options=unlimited)
        else:
            channel = grpc.insecure_channel(address.server, options=unlimited)
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict

    def __call__(
        self, signature: str, inputs: dict[str, list[Any]], deadline: float
    ) -> dict[str, Any]:
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.address.model
        request.model_spec.signature_name = signature
        if self.address.version:
            request.model_spec.version.value = int(self.address.version)
        if self.address.label:
            request.model_spec.version_label = self.address.label
        tensors = {str: tf.string, int: tf.int32, float: tf.float32}
        for name, values in inputs.items():
            tensor = tf.make_tensor_proto(values, tensors[self.dtypes[name]])
            request.inputs[name].CopyFrom(tensor)
        try:
            left = max(deadline - time.monotonic(), 0.001)
            response = self._predict(request, timeout=left, metadata=self.metadata)
        except grpc.RpcError as error:
            name = f"grpc://{self.address.server}/{self.address.model}"
            busy = error.code() == grpc.StatusCode.UNAVAILABLE
            kind = Unanswered if busy else InputError
            raise kind(f"{name} {self._words(error)}") from error
        arrays = {name: tf.make_ndarray(value) for name, value in response.outputs.items()}
        return {name: _plain(array.tolist()) for name, array in arrays.items()}

    def _words(self, error: Any) -> str:
        import grpc

        code, details = error.code(), error.details() or ""
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"gave no answer within {self.timeout:g} s."
        if code == grpc.StatusCode.UNAVAILABLE and any(w in details for w in _NOT_REACHED):
            return (
                f"cannot be reached: {details}. Is the server running, and is this its gRPC "
                "port (8500)?"
            )
        return f"answers {code.name}: {details}"


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
