"""The client against servers that answer in every way but the right one, and behind doors."""

import asyncio
import json
import re
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.errors import InputError
from keras_seq2seq.serving import AsyncClient, Client
from keras_seq2seq.serving.address import parse_address

GOOD = {"outputs": {"text": [["CC"]], "log_probs": [[-0.5]], "error": [""]}}


@contextmanager
def server(answer, context=None):
    """Gives the port; `answer(path, headers)` -> status, headers, body."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, dict(self.headers)))
            status, headers, body = answer(self.path, self.headers)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in body if isinstance(body, list) else [body]:
                self.wfile.write(piece)
                self.wfile.flush()
                if isinstance(body, list):
                    time.sleep(0.15)

        def log_message(self, *arguments):
            pass

        def handle(self):
            try:
                super().handle()
            except OSError:
                pass  # A client that went away, or has no certificate.

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.handle_error = lambda *arguments: None
    if context is not None:
        made.socket = context.wrap_socket(made.socket, server_side=True)
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield made.server_port, asked
    finally:
        made.shutdown()
        made.server_close()


def with_body(body):
    content = body if isinstance(body, bytes | list) else json.dumps(body).encode()
    return lambda path, headers: (200, {}, content)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/models/m", "/v1/models/m:predict"),
        ("/v1/models/m/", "/v1/models/m:predict"),
        ("/v1/models/m:predict", "/v1/models/m:predict"),
        ("/v1/models/m/versions/3", "/v1/models/m/versions/3:predict"),
        ("/v1/models/m/labels/stable:predict", "/v1/models/m/labels/stable:predict"),
        ("/a/b/v1/models/m", "/a/b/v1/models/m:predict"),
        ("/v1/models/m?key=K&x=1", "/v1/models/m:predict?key=K&x=1"),
        ("/v1/models/é%20b", "/v1/models/%C3%A9%20b:predict"),
        ("/v1/models/m/versions/x", None),
        ("/v1/models/m/labels", None),
        ("/v1/models/m:classify", None),
        ("/v1/models/", None),
        ("/v1/models/a b", None),
    ],
)
def test_every_form_of_a_rest_url(path, asked):
    with server(with_body(GOOD)) as (port, received):
        url = f"http://127.0.0.1:{port}{path}"
        if asked is None:
            with pytest.raises(InputError, match="A URL must look like"):
                Client(url)
        else:
            (answer,) = Client(url).generate(["cab"])
            assert answer.texts == ["CC"] and answer.log_probs == [-0.5]
            assert received[0][0] == asked


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1/v1/models/m",
        "http://host:port/v1/models/m",
        "http://host:99999/v1/models/m",
        "http:///v1/models/m",
        "http://me:secret@host/v1/models/m",
        "grpc://host:8500/m/labels/a/b",
        "grpc://host:8500/m/versions/99999999999999999999",
        "grpc://[::1/m",
    ],
)
def test_a_url_that_is_none_is_told(url):
    with pytest.raises(InputError, match="A URL must look like"):
        Client(url)


def test_addresses_of_grpc():
    address = parse_address("grpcs://[::1]:8500/m%20a/labels/stable:predict")
    assert (address.scheme, address.is_secure, address.server) == ("grpc", True, "[::1]:8500")
    assert (address.model, address.label, address.version) == ("m a", "stable", "")


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), 1e9])
def test_a_time_out_has_bounds(seconds):
    with pytest.raises(InputError, match="must be (above 0|at most 86400) s. Received"):
        Client("http://host/v1/models/m", seconds)


DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "does not answer as TensorFlow Serving"),
        (DEEP, "does not answer as TensorFlow Serving"),
        (b'{"outputs": ' + DEEP, "does not answer as TensorFlow Serving"),
        (b"\xff\xfe", "does not answer as TensorFlow Serving"),
        ([], "does not answer as TensorFlow Serving"),
        ({"outputs": None}, "not as a model of this package"),
        ({"outputs": {"text": [[1]], "log_probs": [[-1]]}}, "no lists of texts"),
        ({"outputs": {"text": ["CC"], "log_probs": [[-1, -1]]}}, "no lists of texts"),
        ({"outputs": {"text": [["CC"]], "log_probs": [["-1"]]}}, "no lists of texts"),
        ({"outputs": {"text": [["CC"]], "log_probs": [[None]]}}, "no lists of texts"),
        ({"outputs": {"text": [["CC"]], "log_probs": [[True]]}}, "no lists of texts"),
        ({"outputs": {"text": [["CC", "D"]], "log_probs": [[-1]]}}, "not as a model"),
        ({"outputs": {"text": [["\ud83d"]], "log_probs": [[-1]]}}, "not as a model"),
        ({"outputs": {"text": [["C"]], "log_probs": [[-1]], "error": [3]}}, "not as a model"),
        ({"outputs": {"text": [["C"]] * 2, "log_probs": [[-1]] * 2}}, "not as a model"),
        ({"outputs": {"text": [], "log_probs": [], "error": []}}, "not as a model"),
    ],
)
def test_an_answer_of_another_kind_is_one_line(body, message):
    with server(with_body(body)) as (port, _):
        url = f"http://127.0.0.1:{port}/v1/models/m"
        result = CliRunner().invoke(main, ["request", url, "a"])
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert message in result.stderr and len(result.stderr) < 500
    assert "Is the server running" not in result.stderr


@pytest.mark.parametrize(
    ("status", "headers", "body", "message"),
    [
        (500, {}, b"broken\n  here", "answers 500: broken here"),
        (429, {}, b'{"error": "too many"}', "answers 429: too many"),
        (403, {}, b"", "answers 403: Forbidden"),
        (502, {}, DEEP, r"answers 502: \[\["),
        (400, {"Content-Length": "9999"}, b"cut", "answers 400"),
        (301, {"Location": "https://elsewhere/"}, b"", "301: it has moved to 'https://elsewh"),
        (
            200,
            {"Content-Length": "9999"},
            b'{"outputs"',
            "that was cut after 10 bytes",
        ),
        (200, {"Transfer-Encoding": "chunked"}, b"zz\r\n", "an answer that was cut after 0"),
    ],
)
def test_what_the_server_says_is_said(status, headers, body, message):
    with server(lambda path, received: (status, headers, body)) as (port, _):
        url = f"http://127.0.0.1:{port}/v1/models/m"
        result = CliRunner().invoke(main, ["request", url, "a"])
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert re.search(message, result.stderr), result.stderr
    assert "Is the server running" not in result.stderr


def test_a_server_that_drips_is_too_late():
    with server(with_body([b" "] * 40)) as (port, _):
        begin = time.monotonic()
        with pytest.raises(InputError, match="gave no answer within 0.4 s"):
            Client(f"http://127.0.0.1:{port}/v1/models/m", 0.4).generate(["cab"])
        assert time.monotonic() - begin < 3


def test_headers_go_with_every_request_and_nowhere_else(tmp_path):
    def answer(path, headers):
        if headers.get("X-Api-Key") != "secret":
            return 401, {}, b'{"error": "who are you?"}'
        return 200, {}, json.dumps(GOOD).encode()

    with server(answer) as (port, asked):
        url = f"http://127.0.0.1:{port}/v1/models/m"
        with pytest.raises(InputError, match="answers 401: who are you"):
            Client(url).generate(["cab"])
        client = Client(url, headers={"X-Api-Key": "secret"})
        assert [client.generate(["cab"])[0].texts for _ in range(2)] == [["CC"]] * 2
        (tmp_path / "keys").write_text("X-Api-Key: secret\n")
        for header in ("X-Api-Key: secret", f"@{tmp_path}/keys"):
            result = CliRunner().invoke(main, ["request", url, "a", "--header", header])
            assert result.stdout == "a\tCC\n", result.stderr
    for headers in ({"A b": "c"}, {"A": "b\r\nC: d"}, {"A": "é"}):
        with pytest.raises(InputError, match="A header must look like") as raised:
            Client(url, headers=headers)
        assert "C: d" not in str(raised.value)
    result = CliRunner().invoke(main, ["request", url, "a", "--header", f"@{tmp_path}/none"])
    assert result.exit_code == 2 and "cannot be read" in result.stderr


def test_a_server_that_is_not_there_is_asked_about():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match="cannot be reached: .*Is the server running"):
        Client(f"http://127.0.0.1:{port}/v1/models/m").generate(["cab"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_length": 2**31}, "max_length must be a number of 32 bits"),
        ({"temperature": float("inf")}, "temperature must be a number of 32 bits"),
        ({"seed": float("nan")}, "seed must be a whole number"),
        ({"prefixes": [3]}, "Prefix 1 must be a string"),
    ],
)
def test_settings_that_cannot_be_sent_are_told(arguments, message):
    with pytest.raises(InputError, match=message):
        Client("http://127.0.0.1:9/v1/models/m").generate(["cab"], **arguments)


def test_one_string_is_no_list_of_sources():
    for source in ("cab", b"cab"):
        with pytest.raises(InputError, match="Sources must be a list. Received: "):
            Client("http://127.0.0.1:9/v1/models/m").generate(source)


# TLS.


def test_https_with_certificates_of_both_sides(certificates):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    own = {
        "certificate_file": certificates / "client.pem",
        "key_file": certificates / "client.key",
    }
    with server(with_body(GOOD), context) as (port, _):
        url = f"https://127.0.0.1:{port}/v1/models/m"
        client = Client(url, ca_file=certificates / "ca.pem", **own)
        assert client.generate(["cab"])[0].texts == ["CC"]
        options = ["--ca", "ca.pem", "--certificate", "client.pem", "--key", "client.key"]
        paths = [str(certificates / o) if o[0] != "-" else o for o in options]
        result = CliRunner().invoke(main, ["request", url, "a", *paths])
        assert result.stdout == "a\tCC\n", result.stderr
        with pytest.raises(InputError, match="certificate is not trusted .*of its authority"):
            Client(url, **own).generate(["cab"])
        with pytest.raises(InputError, match="cannot be reached|began an answer|TLS fails"):
            Client(url, ca_file=certificates / "ca.pem").generate(["cab"])
        with pytest.raises(InputError, match="cannot be reached|cut after 0 bytes"):
            Client(url.replace("https", "http")).generate(["cab"])


def test_bad_certificates_are_told(certificates, tmp_path):
    (tmp_path / "no.pem").write_text("no")
    url = "https://127.0.0.1:9/v1/models/m"
    with pytest.raises(InputError, match="The certificates cannot be used"):
        Client(url, ca_file=tmp_path / "no.pem")
    with pytest.raises(InputError, match="nowhere.pem cannot be read: No such file"):
        Client(url, ca_file=tmp_path / "nowhere.pem")
    with pytest.raises(InputError, match="Certificates are for https"):
        Client(url.replace("https", "http"), ca_file=certificates / "ca.pem")
    with pytest.raises(InputError, match="A key needs the certificate"):
        Client(url, key_file=certificates / "client.key")


# What is sent again, streams, and asyncio.


def in_turn(*answers):
    """Answers one after the other; the last one for ever."""
    left = list(answers)

    def answer(path, headers):
        status, headers, body = left.pop(0) if len(left) > 1 else left[0]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return status, headers, content

    return answer


BUSY = (503, {"Retry-After": "0"}, {"error": "full"})


@pytest.mark.parametrize(
    ("answers", "retries", "asked"),
    [
        ([BUSY, (429, {}, b""), (200, {}, GOOD)], 2, 3),
        ([BUSY, (200, {}, GOOD)], 1, 2),
        ([(503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, b""), (200, {}, GOOD)], 1, 2),
        ([(503, {"Retry-After": "soon"}, b""), (200, {}, GOOD)], 1, 2),
    ],
)
def test_what_had_no_room_is_sent_again(answers, retries, asked):
    with server(in_turn(*answers)) as (port, received):
        client = Client(f"http://127.0.0.1:{port}/v1/models/m", retries=retries)
        assert client.generate(["cab"])[0].texts == ["CC"]
        assert len(received) == asked


@pytest.mark.parametrize(
    ("answers", "retries", "asked", "message"),
    [
        ([BUSY], 2, 3, "answers 503: full"),
        ([BUSY], 0, 1, "answers 503: full"),
        # What it asks for is longer than there is time.
        ([(503, {"Retry-After": "60"}, b"")], 2, 1, "answers 503"),
        ([(500, {}, b"broken"), (200, {}, GOOD)], 2, 1, "answers 500: broken"),
        ([(400, {}, b"no"), (200, {}, GOOD)], 2, 1, "answers 400: no"),
        # It has been answered, if only in part.
        ([(200, {"Content-Length": "9999"}, b"{"), (200, {}, GOOD)], 2, 1, "was cut after 1 "),
    ],
)
def test_what_is_not_sent_again(answers, retries, asked, message):
    with server(in_turn(*answers)) as (port, received):
        client = Client(f"http://127.0.0.1:{port}/v1/models/m", retries=retries)
        with pytest.raises(InputError, match=message):
            client.generate(["cab"])
        assert len(received) == asked


def test_a_server_that_breaks_off_or_comes_late_is_asked_again():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def breaks_off_twice():
            for _ in range(2):
                connection, _ = listening.accept()
                connection.recv(1 << 16)
                connection.close()
            listening.close()  # Refuses from now on.

        thread = threading.Thread(target=breaks_off_twice)
        thread.start()
        with pytest.raises(InputError, match="cannot be reached"):
            Client(f"http://127.0.0.1:{port}/v1/models/m", retries=2).generate(["cab"])
        thread.join()
    begin = time.monotonic()
    with pytest.raises(InputError, match="cannot be reached"):
        Client(f"http://127.0.0.1:{port}/v1/models/m", 0.2, retries=99).generate(["cab"])
    assert time.monotonic() - begin < 2
    with pytest.raises(InputError, match="`retries` must be at least 0. Received: retries=-1."):
        Client(f"http://127.0.0.1:{port}/v1/models/m", retries=-1)


def event(name, data):
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


DONE = event("done", {"text": ["AA", "B"], "log_probs": [-0.5, -1e9], "scores": [0, 0]})
TOKEN = event("token", {"text": "A"})


def test_a_stream_gives_the_target_so_far_and_then_the_answer():
    asked = []

    def answer(path, headers):
        asked.append(path)
        return 200, {}, [TOKEN, event("attention", {}), DONE]

    with server(answer) as (port, _):
        client = Client(f"http://127.0.0.1:{port}/a/v1/models/m/versions/2?key=K")
        first, last = client.stream("cab", n_best=2)
        assert asked == ["/a/v1/models/m/versions/2/generate_stream?key=K"]
        assert (first.texts, first.is_done) == (["A"], False)
        assert (last.texts, last.log_probs, last.is_done) == (["AA"], [-0.5], True)
    with pytest.raises(InputError, match="A stream is asked for over http"):
        Client("grpc://host:1/m").stream("cab")
    with pytest.raises(InputError, match="Prefix 1 must be a string"):
        client.stream("cab", prefix=3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([TOKEN, event("error", {"error": "too long"})], "says: too long"),
        ([TOKEN], "ended its stream before the answer"),
        ([TOKEN, b"event: token\ndata: {"], "does not stream events of JSON"),
        ([event("token", {"text": 3})], "not as a server of this package"),
        ([event("token", [])], "not as a server of this package"),
        ([TOKEN] * 8, "gave no answer within 0.5 s"),
    ],
)
def test_a_stream_that_goes_wrong_is_one_line_and_not_begun_again(body, message):
    with server(with_body(body)) as (port, received):
        client = Client(f"http://127.0.0.1:{port}/v1/models/m", 0.5)
        with pytest.raises(InputError, match=message):
            list(client.stream("cab"))
        assert len(received) == 1


def test_what_is_wrong_with_the_source_of_a_stream_is_its_answer():
    said = {"error": "it is empty", "of_source": True}
    begun = [TOKEN, event("error", said)]
    for answer in ((400, {}, [json.dumps(said).encode()]), (200, {}, begun)):
        with server(lambda path, headers, answer=answer: answer) as (port, _):
            *before, last = Client(f"http://127.0.0.1:{port}/v1/models/m").stream("")
            assert (last.texts, last.error, last.is_done) == ([], "it is empty", True)
            assert all(not one.is_done for one in before)


def test_a_stream_that_is_cut_is_told():
    answer = 200, {"Content-Length": "9999"}, [TOKEN]
    with server(lambda path, headers: answer) as (port, _):
        with pytest.raises(InputError, match="that was cut after"):
            list(Client(f"http://127.0.0.1:{port}/v1/models/m").stream("cab"))


def test_the_client_of_asyncio_asks_at_once_and_streams():
    def answer(path, headers):
        if path.endswith("stream"):
            return 200, {}, [TOKEN, DONE]
        time.sleep(0.2)
        return 200, {}, json.dumps(GOOD).encode()

    async def run(url):
        client = AsyncClient(url, retries=0)
        begin = time.monotonic()
        answers = await asyncio.gather(*(client.generate(["cab"], n_best=1) for _ in range(8)))
        assert all(one[0].texts == ["CC"] for one in answers)
        assert time.monotonic() - begin < 1.4
        assert [one.is_done async for one in client.stream("cab")] == [False, True]
        with pytest.raises(InputError, match="Sources must be a list"):
            await client.generate("cab")
        task = asyncio.create_task(client.generate(["cab"]))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with server(answer) as (port, _):
        asyncio.run(run(f"http://127.0.0.1:{port}/v1/models/m"))
    with pytest.raises(InputError, match="`at_once` must be at least 1"):
        AsyncClient("http://host/v1/models/m", at_once=0)
