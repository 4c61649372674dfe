"""Asks a TensorFlow Serving server: REST with Python alone, gRPC with `serving` installed.

```
http://HOST:8501/v1/models/MODEL                    REST
http://HOST:8501/v1/models/MODEL/versions/3         one version
http://HOST:8501/v1/models/MODEL/labels/stable      a version by its label
https://GATEWAY/team/tf/v1/models/MODEL?key=KEY     behind a gateway, over TLS
grpc://HOST:8500/MODEL                              gRPC
grpcs://HOST:8500/MODEL/labels/stable               over TLS
```

`:predict` at the end changes nothing.
"""

import asyncio
import math
import numbers
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from keras_seq2seq.errors import InputError, check_counts

from .address import Credentials, parse_address
from .grpc_door import GrpcModel
from .repeating import repeat
from .rest import OfSource, RestModel

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
LONGEST_SECONDS = 86_400


@dataclass(frozen=True)
class Answer:
    """What the server gives for one source.

    Attributes:
        texts: Target texts, the best first; empty if there is an `error`.
        log_probs: `log P(target | source)` of each.
        error: Why there is none, or an empty string.
        is_done: `False` of a stream that goes on: `texts` is the target so far, and there is
            no log probability.
    """

    texts: list[str]
    log_probs: list[float]
    error: str = ""
    is_done: bool = True


class Client:
    """One model of one server. Threads may share it.

    Args:
        url: As at the top of this module.
        timeout_seconds: float, at most a day. Time for one request, from the first byte sent
            to the last one received, with all that is sent again. Defaults to 10.
        retries: int. How many times a request is sent again, after a wait, that was not
            answered: the server was not there, broke off before its answer, or had no room
            (statuses 429 and 503, `UNAVAILABLE`). Defaults to 2.
        headers: Sent with every request, such as `{"Authorization": "Bearer ..."}`.
        ca_file: PEM file of the authority that signed the server's certificate, for `https`
            and `grpcs`. Defaults to those of the system.
        certificate_file: PEM file of a certificate of this client's own.
        key_file: PEM file of its key. Defaults to the certificate's file.

    Raises:
        InputError: If the URL is none of those forms, a header or file cannot be used, or
            `grpc://` is used without `tensorflow-serving-api`.
    """

    def __init__(
        self,
        url: str,
        timeout_seconds: float = 10.0,
        *,
        retries: int = 2,
        headers: Mapping[str, str] | None = None,
        ca_file: str | Path | None = None,
        certificate_file: str | Path | None = None,
        key_file: str | Path | None = None,
    ):
        if isinstance(timeout_seconds, bool) or not isinstance(timeout_seconds, int | float):
            raise InputError(f"A time-out must be a number. Received: {timeout_seconds!r:.60}.")
        if not 0 < timeout_seconds <= LONGEST_SECONDS:
            too_long = timeout_seconds > LONGEST_SECONDS
            bound = f"at most {LONGEST_SECONDS}" if too_long else "above 0"
            raise InputError(f"A time-out must be {bound} s. Received: {timeout_seconds}.")
        check_counts(0, retries=retries)
        address = parse_address(url)
        if not isinstance(headers or {}, Mapping):
            raise InputError(f"Headers are a dictionary. Received: {type(headers).__name__}.")
        credentials = Credentials(dict(headers or {}), ca_file, certificate_file, key_file)
        credentials.check(address)
        # A query may have keys.
        self.url = url.partition("?")[0].rstrip("/")
        self.timeout_seconds, self.retries = timeout_seconds, retries
        self._call: Any
        if address.scheme == "http":
            self._call = RestModel(address, credentials, timeout_seconds)
        else:
            like = {**AS_EXPORTED, "text": "", "lengths": 0, **dict.fromkeys(SIGNALS, 0.0)}
            dtypes = {name: type(value) for name, value in like.items()}
            self._call = GrpcModel(address, credentials, timeout_seconds, dtypes)

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
        if isinstance(sources, str | bytes | Mapping) or not isinstance(sources, Iterable):
            raise InputError(
                f"Sources must be a list. Received: {type(sources).__name__} {sources!r:.40}."
            )
        sources = list(sources)
        if not len(sources):
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
        deadline = time.monotonic() + self.timeout_seconds
        send = partial(self._call, signature, inputs, deadline)
        outputs = repeat(send, self.retries, deadline)
        try:
            errors = outputs.get("error") or [""] * len(sources)
            rows = zip(outputs["text"], outputs["log_probs"], errors, strict=True)
            answers = [_answer(*row) for row in rows]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.url} answers, but not as a model of this package: it lacks text or "
                "log_probs, or they are no lists of texts and of numbers."
            ) from error
        if len(answers) != len(sources):
            raise InputError(
                f"{self.url} gave {len(answers)} answers to {len(sources)} sources."
            )
        return answers

    def stream(
        self,
        source: Any,
        *,
        prefix: str | None = None,
        max_length: int | None = None,
        n_best: int | None = None,
        length_penalty: float | None = None,
        temperature: float | None = None,
        seed: int | None = None,
    ) -> Iterator[Answer]:
        """The target of one source token by token, of a server of `keras-seq2seq serve`.

        Args:
            source: As one of `generate`.
            prefix: What the target begins with.
            max_length, n_best, length_penalty, temperature, seed: As of `generate`.

        Yields:
            The target so far after each token, with `is_done=False`, where the server has it;
            then the answer, which is that of `generate`: a source that has no target has an
            `error`.

        Raises:
            InputError: As `generate`. What had begun is not sent again.
        """
        if not isinstance(self._call, RestModel):
            raise InputError(f"A stream is asked for over http or https. Received: {self.url}.")
        given: dict[str, Any] = {
            "prefix": prefix,
            "max_length": max_length,
            "n_best": n_best,
            "length_penalty": length_penalty,
            "temperature": temperature,
            "seed": seed,
        }
        inputs = _inputs_of([source])
        inputs |= {name: [value] for name, value in given.items() if value is not None}
        _check(inputs, 1)
        body = {name: values[0] for name, values in inputs.items()}
        deadline = time.monotonic() + self.timeout_seconds
        send = partial(self._call.stream, body, deadline)
        try:
            events = repeat(send, self.retries, deadline)
        except OfSource as error:
            return iter([Answer([], [], str(error))])
        return self._answers(events)

    def _answers(self, events: Iterator[tuple[str, Any]]) -> Iterator[Answer]:
        is_done = False
        for name, data in events:
            try:
                said = data["error"] if name == "error" else ""
                of_source = bool(said) and data.get("of_source") is True
                answer = Answer([], [], str(said)) if of_source else _event_answer(name, data)
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"{self.url} streams, but not as a server of this package."
                ) from error
            if said and not of_source:
                raise InputError(f"{self.url} says: {said}")
            if answer is not None:
                is_done = answer.is_done
                yield answer
        if not is_done:
            raise InputError(f"{self.url} ended its stream before the answer.")


class AsyncClient:
    """A `Client` for asyncio.

    A request waits in a thread of its own: one that is cancelled is no longer waited for, and
    ends by itself, at its time-out at the latest.

    Args:
        url: As of `Client`.
        timeout_seconds: Likewise.
        at_once: int. Requests under way at most; others wait for their turn, which is not
            counted. Defaults to 32.
        **settings: What else `Client` takes.

    Raises:
        InputError: As `Client`.
    """

    def __init__(
        self, url: str, timeout_seconds: float = 10.0, *, at_once: int = 32, **settings: Any
    ):
        check_counts(at_once=at_once)
        self._client = Client(url, timeout_seconds, **settings)
        self._threads = ThreadPoolExecutor(at_once, "request")

    async def generate(self, sources: Sequence[Any], **settings: Any) -> list[Answer]:
        """As `Client.generate`."""
        return await self._run(partial(self._client.generate, sources, **settings))

    async def stream(self, source: Any, **settings: Any) -> AsyncIterator[Answer]:
        """As `Client.stream`."""
        answers = await self._run(partial(self._client.stream, source, **settings))
        while (answer := await self._run(partial(next, answers, None))) is not None:
            yield answer

    async def _run(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


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
    for name, like in AS_EXPORTED.items():
        if len(inputs.get(name, [])) not in (0, sources):
            one, several = ("prefix", "prefixes") if name == "prefix" else (name, "values")
            raise InputError(
                f"There must be one {one}, or one a source. Received {len(inputs[name])} "
                f"{several} for {sources} sources."
            )
        for value in inputs.get(name, []):
            if isinstance(like, str) or (name == "length_penalty" and value == like):
                continue
            kind: Any = numbers.Integral if isinstance(like, int) else numbers.Real
            if isinstance(value, bool) or not isinstance(value, kind):
                wanted = "a whole number" if isinstance(like, int) else "a number"
                raise InputError(f"{name} must be {wanted}. Received: {value!r:.40}.")
            if not -(2**31) <= value < 2**31 or not math.isfinite(value):
                raise InputError(
                    f"{name} must be a number of 32 bits. Received: {str(value)[:40]}."
                )
    for name in ("text", "prefix"):
        for number, text in enumerate(inputs.get(name, []), 1):
            what = "Source" if name == "text" else "Prefix"
            if not isinstance(text, str):
                raise InputError(
                    f"{what} {number} must be a string. Received: {type(text).__name__}."
                )
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise InputError(
                    f"{what} {number} is not valid Unicode at character {error.start + 1}: "
                    f"{text[:40]!a}. Convert it to UTF-8."
                ) from error


def _answer(texts: list[str], log_probs: list[float], error: str) -> Answer:
    """Raises `TypeError` for what is of another kind, `ValueError` for text that is none."""
    _check_types([error], str)
    if error:
        return Answer([], [], error)
    _check_types(texts, str)
    _check_types(log_probs, int | float)
    for text in texts:
        text.encode("utf-8")
    found = [pair for pair in zip(texts, log_probs, strict=True) if pair[1] > _NO_HYPOTHESIS]
    return Answer([text for text, _ in found], [log_prob for _, log_prob in found])


def _event_answer(name: str, data: Any) -> Answer | None:
    """What an event of a stream gives, if it is one of those; raises as `_answer`."""
    if name == "token":
        _check_types([data["text"]], str)
        return Answer([data["text"]], [], is_done=False)
    return _answer(data["text"], data["log_probs"], "") if name == "done" else None


def _check_types(values: Any, kind: Any) -> None:
    if not isinstance(values, list) or not all(
        isinstance(value, kind) and not isinstance(value, bool) for value in values
    ):
        raise TypeError(f"no list of {kind}")
