"""The REST door of TensorFlow Serving, with Python alone."""

import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from keras_seq2seq.errors import InputError

from .address import Address, Credentials
from .repeating import Unanswered

# More is no answer to a request that a person or program waits for.
MOST_BYTES = 1 << 30
MOST_LINE = 1 << 26
# The server takes no more requests for the moment.
BUSY = (429, 503)


class OfSource(InputError):
    """The server's words on the source of a stream, which are its answer."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A request with keys in its headers goes nowhere but where it was sent."""

    def redirect_request(self, *arguments: Any, **others: Any) -> None:
        return None


class RestModel:
    """Calls `POST .../models/MODEL:predict`. Threads may share it: each call has a connection
    of its own."""

    def __init__(self, address: Address, credentials: Credentials, timeout: float):
        self.url = address.predict_url
        self.name = self.url.partition("?")[0].removesuffix(":predict")  # A query has keys.
        self.timeout = timeout
        self.headers = {"Content-Type": "application/json", **credentials.headers}
        handlers: list[Any] = [_NoRedirect()]
        if address.is_secure:
            handlers.append(urllib.request.HTTPSHandler(context=_context(credentials)))
        self.opener = urllib.request.build_opener(*handlers)

    def __call__(
        self, signature: str, inputs: dict[str, list[Any]], deadline: float
    ) -> dict[str, Any]:
        body = json.dumps({"signature_name": signature, "inputs": inputs}).encode()
        with self._open(self.url, body, deadline) as response:
            content = self._read(response, deadline)
        try:
            return json.loads(content)["outputs"]
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"{self.name} does not answer as TensorFlow Serving does: "
                f"{content[:80].decode('utf-8', 'replace')!r}."
            ) from error

    def stream(self, inputs: dict[str, Any], deadline: float) -> Iterator[tuple[str, Any]]:
        """Name and content of each event of `generate_stream`; the first is awaited here.

        Raises:
            InputError: As a call; for what comes after the first, when it is asked for.
        """
        path, question, query = self.url.partition("?")
        url = f"{path.removesuffix(':predict')}/generate_stream{question}{query}"
        return self._events(self._open(url, json.dumps(inputs).encode(), deadline), deadline)

    def _events(self, response: Any, deadline: float) -> Iterator[tuple[str, Any]]:
        name, size = "", 0
        with response:
            while line := self._part(lambda: response.readline(MOST_LINE), size, deadline):
                size += len(line)
                key, _, value = line.partition(b": ")
                if key == b"event":
                    name = value.strip().decode("utf-8", "replace")
                elif key == b"data":
                    try:
                        yield name, json.loads(value)
                    except (ValueError, RecursionError) as error:
                        raise InputError(
                            f"{self.name} does not stream events of JSON: {value[:80]!r}."
                        ) from error
            if response.length:
                raise InputError(self._cut(size))

    def _open(self, url: str, body: bytes, deadline: float) -> Any:
        """The answer, whose body is still to be read."""
        try:
            request = urllib.request.Request(url, body, self.headers)
            return self.opener.open(request, timeout=max(deadline - time.monotonic(), 0.001))
        except urllib.error.HTTPError as error:
            words, of_source = _words(error)
            if of_source:
                raise OfSource(words) from error
            said = f"{self.name} answers {error.code}: {words}"
            if error.code in BUSY:
                raise Unanswered(said, _seconds(error.headers.get("Retry-After"))) from error
            raise InputError(said) from error
        except TimeoutError as error:
            raise InputError(self._too_late) from error
        except (http.client.HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, TimeoutError):
                raise InputError(self._too_late) from error
            kind = Unanswered if isinstance(reason, ConnectionError) else InputError
            raise kind(f"{self.name} cannot be reached: {_hint(reason)}") from error

    def _read(self, response: Any, deadline: float) -> bytes:
        """The body, until the deadline; each piece alone may come in time and all too late."""
        pieces, size = [], 0
        while piece := self._part(lambda: response.read1(1 << 20), size, deadline):
            pieces.append(piece)
            size += len(piece)
            if size > MOST_BYTES:
                raise InputError(f"{self.name} answers more than {MOST_BYTES:,} bytes.")
        if response.length:
            raise InputError(self._cut(size))
        return b"".join(pieces)

    def _part(self, read: Callable[[], bytes], size: int, deadline: float) -> bytes:
        """What is read next, after `size` bytes."""
        try:
            part = read()
        except TimeoutError as error:
            raise InputError(self._too_late) from error
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise InputError(self._cut(size)) from error
        if time.monotonic() > deadline:
            raise InputError(self._too_late)
        return part

    def _cut(self, size: int) -> str:
        return f"{self.name} began an answer that was cut after {size:,} bytes."

    @property
    def _too_late(self) -> str:
        return f"{self.name} gave no answer within {self.timeout:g} s."


def _context(credentials: Credentials) -> ssl.SSLContext:
    for file in (credentials.ca_file, credentials.certificate_file, credentials.key_file):
        credentials.read(file)
    try:
        context = ssl.create_default_context(cafile=credentials.ca_file)
        if credentials.certificate_file:
            # A key with a password would ask for it on the terminal.
            context.load_cert_chain(
                credentials.certificate_file, credentials.key_file, password=lambda: b""
            )
    except (ssl.SSLError, OSError, ValueError) as error:
        raise InputError(
            f"The certificates cannot be used: {error}. They must be PEM files, the key "
            "without a password."
        ) from error
    return context


def _hint(reason: Any) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({reason.verify_message}). Give the file of its "
            "authority."
        )
    if isinstance(reason, ssl.SSLError):
        return f"TLS fails ({reason.reason or reason}). Does the port speak https?"
    return f"{reason}. Is the server running, and is this its REST port (8501)?"


def _words(error: urllib.error.HTTPError) -> tuple[str, bool]:
    """The server's own words, which it sends as `{"error": ...}`, and whether they are about
    the source alone."""
    if 300 <= error.code < 400:
        place = error.headers.get("Location", "nowhere")
        return f"it has moved to {place!r:.200}; ask there.", False
    try:
        content = error.read(1 << 16).decode("utf-8", "replace")
    except (http.client.HTTPException, OSError):
        return str(error.reason), False
    try:
        said = json.loads(content)
        return str(said["error"])[:1000], said.get("of_source") is True
    except (AttributeError, ValueError, KeyError, TypeError, RecursionError):
        return content[:300] or str(error.reason), False


def _seconds(retry_after: str | None) -> float | None:
    """What a header `Retry-After` asks to wait: seconds, or until a date."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None
