"""Where a model of a server is, and how the server is told who asks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from keras_seq2seq.errors import InputError

# One version, or one label, of a model; the end that people paste along.
_MODEL = (
    r"(?P<model>[^/:\s]+)"
    r"(?:/versions/(?P<version>\d{1,18})|/labels/(?P<label>[^/:\s]+))?(?::predict)?/?"
)
_PATHS = {
    "http": re.compile(rf"(?P<prefix>/\S*?)?/v1/models/{_MODEL}"),
    "grpc": re.compile(rf"(?P<prefix>)/{_MODEL}"),
}
_HEADER_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Address:
    """One model of one server.

    Attributes:
        scheme: `"http"` or `"grpc"`.
        is_secure: Whether it is spoken over TLS.
        server: Host and port.
        prefix: Path in front of `/v1`, where a gateway has one.
        model: Name of the model.
        version: Number of a version; empty for the newest.
        label: Label of a version; empty without.
        query: What follows `?`, such as the key of a gateway.
    """

    scheme: str
    is_secure: bool
    server: str
    prefix: str
    model: str
    version: str
    label: str
    query: str

    @property
    def predict_url(self) -> str:
        """The URL that REST requests go to."""
        part = f"/versions/{self.version}" if self.version else ""
        part = f"/labels/{self.label}" if self.label else part
        # What is quoted already stays.
        path = quote(f"{self.prefix}/v1/models/{self.model}{part}:predict", safe="/:%")
        scheme = "https" if self.is_secure else "http"
        return f"{scheme}://{self.server}{path}" + (f"?{self.query}" if self.query else "")


def parse_address(url: str) -> Address:
    """Reads a URL as at the top of `serving.client`.

    Raises:
        InputError: If it has another form.
    """
    if not isinstance(url, str):
        raise InputError(f"A URL must be a string. Received: {url!r:.60}.")
    why = ""
    try:
        parts = urlsplit(url.strip())
        scheme = parts.scheme.removesuffix("s")
        _ = parts.port  # Raises for one that is no number.
        found = _PATHS[scheme].fullmatch(parts.path) if scheme in _PATHS else None
        if found and parts.hostname and "@" not in parts.netloc and not parts.fragment:
            groups = {name: value or "" for name, value in found.groupdict().items()}
            if scheme == "grpc":
                groups = {name: unquote(value) for name, value in groups.items()}
            secure = parts.scheme.endswith("s")
            return Address(scheme, secure, parts.netloc, query=parts.query, **groups)
        if "@" in parts.netloc:
            why = " (a name and password are given as a header, Authorization)"
    except ValueError as error:
        why = f" ({error})"
    raise InputError(
        "A URL must look like http://localhost:8501/v1/models/MODEL or "
        "grpc://localhost:8500/MODEL, with /versions/NUMBER or /labels/NAME where wanted. "
        f"Received: {repr(url)[:200]}{why}."
    )


@dataclass(frozen=True)
class Credentials:
    """How a client shows who it is, and knows the server.

    Attributes:
        headers: Sent with every request: an API key, a token.
        ca_file: PEM file of the authority that signed the server's certificate. Defaults to
            those of the system.
        certificate_file: PEM file of the client's own certificate.
        key_file: PEM file of its key. Defaults to the certificate's file.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    ca_file: str | Path | None = None
    certificate_file: str | Path | None = None
    key_file: str | Path | None = None

    def check(self, address: Address) -> None:
        """Raises `InputError` for what cannot be sent, or not to this address."""
        for name, value in self.headers.items():
            if not (isinstance(name, str) and isinstance(value, str)):
                raise InputError(
                    "Headers are names with texts, such as {'X-Api-Key': 'KEY'}. Received one "
                    f"called {name!r:.60} of type {type(value).__name__}."
                )
            printable = value.isascii() and value.isprintable()
            if not printable or not _HEADER_NAME.fullmatch(name):
                raise InputError(
                    "A header must look like `Name: value`, in printable ASCII. Received one "
                    f"called {repr(name)[:60]}."  # Its value may be a secret.
                )
        files = (self.ca_file, self.certificate_file, self.key_file)
        if any(files) and not address.is_secure:
            raise InputError(
                "Certificates are for https:// and grpcs:// alone. Received a URL of "
                f"{address.scheme}://."
            )
        if self.key_file and not self.certificate_file:
            raise InputError("A key needs the certificate that belongs to it.")

    def read(self, file: str | Path | None) -> bytes | None:
        """The content of one of the files."""
        if file is None:
            return None
        try:
            return Path(file).read_bytes()
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}.") from error
