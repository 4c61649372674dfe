"""Asks a TensorFlow Serving server: REST with Python alone, gRPC with `serving` installed.

```
http://HOST:8501/v1/models/MODEL                REST
http://HOST:8501/v1/models/MODEL/versions/3     one version
grpc://HOST:8500/MODEL                          gRPC
grpc://HOST:8500/MODEL/versions/3
```
"""

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_seq2seq.errors import InputError

# Inputs of the signature `generate` and the value of each that stands for that of the export.
AS_EXPORTED: dict[str, Any] = {
    "prefix": "",
    "max_length": 0,
    "n_best": 0,
    "length_penalty": -1e9,
    "temperature": 0.0,
    "seed": -1,
}
# What TensorFlow Serving takes of a source that is no text, by the axes of one source.
SIGNALS = ("waveform", "features")
_NO_HYPOTHESIS = -5e8


@dataclass(frozen=True)
class Answer:
    """What the server gives for one source.

    Attributes:
        texts: Target texts, the best first; empty if there is an `error`.
        log_probs: `log P(target | source)` of each.
        error: Why there is none, or an empty string.
    """

    texts: list[str]
    log_probs: list[float]
    error: str = ""


class Client:
    """One model of one server.

    Args:
        url: As at the top of this module.
        timeout_seconds: float. Time for one request. Defaults to 10.

    Raises:
        InputError: If the URL is none of those forms, or `grpc://` is used without
            `tensorflow-serving-api`.
    """

    def __init__(self, url: str, timeout_seconds: float = 10.0):
        if not timeout_seconds > 0:
            raise InputError(f"A time-out must be above 0 s. Received: {timeout_seconds}.")
        self.url = url.rstrip("/")
        self.timeout_seconds = timeout_seconds
        version = r"(?:/versions/(?P<version>\d+))?"
        rest = rf"https?://[^/]+/v1/models/[^/]+?{version}"
        grpc = rf"grpc://(?P<address>[^/]+)/(?P<name>[^/]+?){version}"
        if re.fullmatch(rest, self.url):
            self._call = self._call_rest
        elif found := re.fullmatch(grpc, self.url):
            self._call = _GrpcModel(**found.groupdict(), timeout=timeout_seconds)
        else:
            raise InputError(
                "A URL must look like http://localhost:8501/v1/models/MODEL or "
                f"grpc://localhost:8500/MODEL. Received: {url!r}."
            )

    def generate(
        self,
        sources: Sequence[Any],
        *,
        prefixes: str | Sequence[str] | None = None,
        max_length: int | None = None,
        n_best: int | None = None,
        length_penalty: float | None = None,
        temperature: float | None = None,
        seed: int | None = None,
    ) -> list[Answer]:
        """Target texts of each source, in one request.

        The settings are those of the export but for what is given here.

        Args:
            sources: Source strings. Of a model of sound, arrays `(samples,)` at its sample
                rate; of a model of frames, arrays `(frames, ...)`.
            prefixes: What the targets begin with: one for all, or one a source.
            max_length: int. Target tokens at most, up to that of the export.
            n_best: int. Hypotheses a source, up to the beam size.
            length_penalty: float. Of a beam search.
            temperature: float. Of an export that samples.
            seed: int. Likewise; a server that batches requests takes the largest of a batch.

        Raises:
            InputError: If a source is not valid Unicode, the arrays differ in more than their
                length, there is not one prefix a source, or the server cannot be reached in
                time, does not know the model or refuses the request; with the server's
                message.
        """
        if not sources:
            return []
        given: dict[str, Any] = {
            "prefix": prefixes,
            "max_length": max_length,
            "n_best": n_best,
            "length_penalty": length_penalty,
            "temperature": temperature,
            "seed": seed,
        }
        inputs: dict[str, list[Any]] = _inputs_of(sources)
        signature = "serving_default"
        if any(value is not None for value in given.values()):
            # All of them, each with one value a source: REST and batching ask for that.
            signature = "generate"
            for name, value in given.items():
                value = AS_EXPORTED[name] if value is None else value
                several = isinstance(value, Sequence) and not isinstance(value, str)
                inputs[name] = list(value) if several else [value] * len(sources)
        _check(inputs, len(sources))
        outputs = self._call(signature, inputs)
        try:
            errors = outputs.get("error") or [""] * len(sources)
            rows = zip(outputs["text"], outputs["log_probs"], errors, strict=True)
            answers = [_answer(*row) for row in rows]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.url} answers, but not as a model of this package: it lacks text or "
                "log_probs."
            ) from error
        if len(answers) != len(sources):
            raise InputError(
                f"{self.url} gave {len(answers)} answers to {len(sources)} sources."
            )
        return answers

    def _call_rest(self, signature: str, inputs: dict[str, list[Any]]) -> dict[str, Any]:
        body = {"signature_name": signature, "inputs": inputs}
        request = urllib.request.Request(
            f"{self.url}:predict",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_seconds) as response:
                return json.load(response)["outputs"]
        except urllib.error.HTTPError as error:
            raise InputError(
                f"{self.url} answers {error.code}: {_rest_message(error)}"
            ) from error
        except TimeoutError as error:
            raise InputError(self._too_late) from error
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, TimeoutError):
                raise InputError(self._too_late) from error
            raise InputError(
                f"{self.url} cannot be reached: {reason}. Is the server running, and is this "
                "its REST port (8501)?"
            ) from error
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.url} does not answer as TensorFlow Serving does."
            ) from error

    @property
    def _too_late(self) -> str:
        return f"{self.url} gave no answer within {self.timeout_seconds:g} s."


def _inputs_of(sources: Sequence[Any]) -> dict[str, list[Any]]:
    """Strings as they are; arrays padded with zeros to the longest, with their lengths."""
    if all(isinstance(source, str) for source in sources):
        return {"text": list(sources)}
    import numpy as np

    try:
        arrays = [np.asarray(source, np.float32) for source in sources]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Sources must be all strings, or all arrays of numbers: {error}."
        ) from error
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1 or not arrays[0].ndim:
        raise InputError(
            "Sources must be strings, or arrays of one shape but for their length. Received "
            f"the shapes {[array.shape for array in arrays]}."
        )
    lengths = [len(array) for array in arrays]
    padded = np.zeros((len(arrays), max(lengths), *arrays[0].shape[1:]), np.float32)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return {SIGNALS[arrays[0].ndim > 1]: padded.tolist(), "lengths": lengths}


def _check(inputs: dict[str, list[Any]], sources: int) -> None:
    if "prefix" in inputs and len(inputs["prefix"]) != sources:
        raise InputError(
            f"There must be one prefix, or one a source. Received {len(inputs['prefix'])} "
            f"prefixes for {sources} sources."
        )
    for name in ("text", "prefix"):
        for number, text in enumerate(inputs.get(name, []), 1):
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                what = "Source" if name == "text" else "Prefix"
                raise InputError(
                    f"{what} {number} is not valid Unicode at character {error.start + 1}: "
                    f"{text[:40]!a}. Convert it to UTF-8."
                ) from error


def _answer(texts: list[str], log_probs: list[float], error: str) -> Answer:
    if error:
        return Answer([], [], error)
    found = [pair for pair in zip(texts, log_probs, strict=True) if pair[1] > _NO_HYPOTHESIS]
    return Answer([text for text, _ in found], [log_prob for _, log_prob in found])


def _rest_message(error: urllib.error.HTTPError) -> str:
    """The server's own words, which it sends as `{"error": ...}`."""
    content = error.read().decode("utf-8", "replace")
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return content[:300] or error.reason


class _GrpcModel:
    """Calls `PredictionService.Predict`; the channel is kept open between requests."""

    def __init__(self, address: str, name: str, version: str | None, timeout: float):
        try:
            import grpc
            from tensorflow_serving.apis import prediction_service_pb2_grpc
        except ImportError as error:
            raise InputError(
                "gRPC needs tensorflow-serving-api: `pip install keras-seq2seq[serving]`. REST "
                "needs nothing: http://HOST:8501/v1/models/MODEL."
            ) from error
        self.address, self.name, self.version, self.timeout = address, name, version, timeout
        unlimited = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
        channel = grpc.insecure_channel(address, options=unlimited)
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict

    def __call__(self, signature: str, inputs: dict[str, list[Any]]) -> dict[str, Any]:
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.name
        request.model_spec.signature_name = signature
        if self.version:
            request.model_spec.version.value = int(self.version)
        dtypes = {str: tf.string, int: tf.int32, float: tf.float32}
        like = {**AS_EXPORTED, "text": "", "lengths": 0, **dict.fromkeys(SIGNALS, 0.0)}
        for name, values in inputs.items():
            tensor = tf.make_tensor_proto(values, dtypes[type(like[name])])
            request.inputs[name].CopyFrom(tensor)
        try:
            response = self._predict(request, timeout=self.timeout)
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
            if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                message = f"gave no answer within {self.timeout:g} s."
            elif code == grpc.StatusCode.UNAVAILABLE:
                message = (
                    f"cannot be reached: {details}. Is the server running, and is this its "
                    "gRPC port (8500)?"
                )
            else:
                message = f"answers {code.name}: {details}"
            raise InputError(f"grpc://{self.address}/{self.name} {message}") from error
        arrays = {name: tf.make_ndarray(value) for name, value in response.outputs.items()}
        return {name: _plain(array.tolist()) for name, array in arrays.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
