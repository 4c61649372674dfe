"""Who may ask a server: API keys, and certificates of clients."""

import hmac
import json
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

OPEN_PATHS = ("/", "/healthz", "/readyz")
# What the page is made of.
OPEN_FOLDER = "/page/"
NEEDED = "an API key is needed: Authorization: Bearer KEY"


def tls_of_http(
    certificate: Path | None, key: Path | None, client_ca: Path | None
) -> dict[str, Any]:
    """Uvicorn's settings for PEM files; with `client_ca` a client must have a certificate that
    this authority signed."""
    return {
        "ssl_certfile": certificate,
        "ssl_keyfile": key,
        "ssl_ca_certs": client_ca,
        "ssl_cert_reqs": ssl.CERT_NONE if client_ca is None else ssl.CERT_REQUIRED,
    }


class Keys:
    """The keys of which a request must have one; without any, everybody may ask."""

    def __init__(self, keys: Sequence[str] = ()):
        self._keys = [key.encode() for key in keys]

    def fit(self, headers: Mapping[str, bytes]) -> bool:
        """Whether there is one among the headers, whose names are in small letters."""
        given = headers.get("x-api-key", b"")
        scheme, _, value = headers.get("authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer":
            given = value.strip()
        # All of them, so that the time tells nothing.
        return not self._keys or any([hmac.compare_digest(given, key) for key in self._keys])


class KeyCheck:
    """Refuses HTTP requests without a key, but for the page and the health."""

    def __init__(self, app: ASGIApp, keys: Keys):
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_open = path in OPEN_PATHS or path.startswith(OPEN_FOLDER)
        if scope["type"] == "http" and not is_open:
            headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
            if not self._keys.fit(headers):
                text = json.dumps({"error": NEEDED}) + "\n"
                made = Response(text, 401, {"WWW-Authenticate": "Bearer"}, "application/json")
                await made(scope, receive, send)
                return
        await self._app(scope, receive, send)
