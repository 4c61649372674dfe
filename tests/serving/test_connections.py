"""Connections that no client of good will makes: one gets a line, the others go on."""

import contextlib
import http.client
import json
import socket
import time

import pytest

from keras_seq2seq.errors import InputError
from keras_seq2seq.serving import Client
from keras_seq2seq.serving.access import tls_of_http
from keras_seq2seq.serving.batching import Limits
from keras_seq2seq.serving.measures import Measures
from keras_seq2seq.serving.server import Server
from tests.servers import http_server
from tests.serving.reverser import Reverser, one_model

HEAD = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def address():
    limits = Limits(request_timeout=1.0)
    server = Server({"m": one_model(Reverser(), limits)}, limits, Measures())
    with http_server(server) as url:
        host, port = url.removeprefix("http://").partition("/")[0].split(":")
        yield host, int(port)


def test_a_certificate_of_the_client_is_demanded(certificates):
    tls = tls_of_http(*(certificates / name for name in ("server.pem", "server.key", "ca.pem")))
    models = {"speller": one_model(Reverser())}
    with http_server(Server(models, Limits(), Measures()), **tls) as url:
        trusted = {"ca_file": certificates / "ca.pem"}
        own = {"certificate_file": certificates / "client.pem"}
        own["key_file"] = certificates / "client.key"
        assert Client(url, **trusted, **own).generate(["ab"])[0].texts == ["ba"]
        with pytest.raises(InputError, match="cannot be reached|cut after"):
            Client(url, 5, retries=0, **trusted).generate(["ab"])


def is_right(address):
    connection = http.client.HTTPConnection(*address, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/models/m:predict", json.dumps({"instances": ["ab"]}))
        response = connection.getresponse()
        return response.status == 200 and b'"ba"' in response.read()


def received(connection):
    """All until the server closes, or nothing comes for a while."""
    connection.settimeout(3)
    pieces = []
    with contextlib.suppress(OSError):
        while piece := connection.recv(1 << 16):
            pieces.append(piece)
            if b"}" in piece:
                break
    return b"".join(pieces)


def test_connections_that_stop_half_way_do_not_stop_others(address):
    beginnings = (b"", b"PO", HEAD, HEAD + b'Content-Length: 99\r\n\r\n{"inst')
    with contextlib.ExitStack() as half_open:
        for number in range(100):
            connection = half_open.enter_context(socket.create_connection(address))
            connection.sendall(beginnings[number % len(beginnings)])
        begin = time.monotonic()
        assert is_right(address)
        assert time.monotonic() - begin < 1
        # The last one has sent a part of its body.
        said = received(connection)
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b"only 6 bytes of the request came" in said
    assert is_right(address)


@pytest.mark.parametrize("has_length", [True, False])
def test_a_body_of_100_mb_is_413_and_is_not_read_to_its_end(address, has_length):
    with socket.create_connection(address) as connection:
        sent = 0
        if has_length:
            connection.sendall(HEAD + b"Content-Length: 100000000\r\n\r\n")
        else:
            connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
            with contextlib.suppress(OSError):
                while sent < 100:
                    connection.sendall(piece)
                    sent += 1
        said = received(connection)
    assert b" 413 " in said.split(b"\r\n")[0] or 16 <= sent < 100
    assert is_right(address)


def test_what_is_no_http_gets_400(address):
    with socket.create_connection(address) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01 hello\r\n\r\n")
        assert received(connection).startswith(b"HTTP/1.1 400 ")
    assert is_right(address)
