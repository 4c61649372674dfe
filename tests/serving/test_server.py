"""The server against an engine without TensorFlow: what it says, joins, refuses and swaps."""

import asyncio
import base64
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from keras_seq2seq.errors import InputError
from keras_seq2seq.serving.access import Keys
from keras_seq2seq.serving.batching import Batcher, Limits
from keras_seq2seq.serving.client import AS_EXPORTED
from keras_seq2seq.serving.measures import Measures
from keras_seq2seq.serving.messages import read_request, write_answer
from keras_seq2seq.serving.server import Server
from keras_seq2seq.serving.tensors import RequestError, join
from keras_seq2seq.serving.versions import ServedModel
from tests.serving.reverser import NOWHERE, SIGNATURES, Reverser, one_model


def quick(**changes):
    return Limits(**{"batch_timeout": 0.0, **changes})


def client_of(model, limits=None, **settings):
    """A client of a server with one model; its life is that of the `with` block."""
    server = Server({"m": model}, limits or Limits(), Measures(), **settings)
    return TestClient(server.app, raise_server_exceptions=False)


@pytest.fixture
def engine():
    return Reverser()


@pytest.fixture
def client(engine):
    with client_of(one_model(engine)) as client:
        yield client


def ask(client, body, path="/v1/models/m:predict"):
    content = body if isinstance(body, bytes) else json.dumps(body)
    return client.post(path, content=content)


def test_rows_and_columns_as_tensorflow_serving_writes_them(client):
    row = {"text": ["ba"], "log_probs": [-0.2], "scores": [-0.1], "error": ""}
    for instances in (["ab"], [{"text": "ab"}], [{"b64": "YWI="}], [{"text": {"b64": "YWI="}}]):
        answer = ask(client, {"instances": instances})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {"predictions": [row]}
    for inputs in (["ab", "c"], {"text": ["ab", "c"]}):
        assert ask(client, {"inputs": inputs}).json()["outputs"]["text"] == [["ba"], ["c"]]
    # One output alone has no name.
    body = {"signature_name": "encode", "instances": ["a"]}
    assert ask(client, body).json() == {"predictions": [[0.0, 0.0]]}
    body = {"signature_name": "encode", "inputs": ["a"]}
    assert ask(client, body).json() == {"outputs": [[0.0, 0.0]]}


@pytest.mark.parametrize(
    "body, message",
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error: "),
        (b"\xff{}", "JSON Parse error: Invalid encoding"),
        (b"[" * 100_000, "JSON Parse error: "),
        (b"[1]", "JSON Value: [1] Is not object"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": ["a"], "inputs": ["a"]}, "expecting only one of"),
        ({"instances": "a"}, "Excepting 'instances' to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": [1]}, "JSON Value: 1 Type: Number is not of expected type: string"),
        ({"instances": [None]}, "Type: Null is not of expected type: string"),
        ({"instances": [{"txt": "a"}]}, "does not have named input: txt"),
        ({"instances": [{"text": "a"}, "b"]}, "Expecting object but got list at item 1"),
        ({"instances": ["b", {"text": "a"}]}, "Expecting value/list but got object at item 1"),
        ({"instances": ["a", ["b"]]}, "Expecting shape [] but got: [1]"),
        ({"instances": [["a"]]}, "text must have the shape ['?']. Received: [1, 1]"),
        ({"instances": [{"b64": "%"}]}, "Unable to base64 decode"),
        ({"inputs": {}}, "Missing named input: text in 'inputs' object."),
        ({"inputs": []}, "a request needs at least one source"),
        ({"inputs": ["a", ["b"]]}, "Encountered list at unexpected level"),
        ({"inputs": [["a"], ["b", "c"]]}, "Encountered list at unexpected size: 2 at level: 1"),
        ({"inputs": [["a"], "b"]}, "found at incorrect level: 2"),
        (b'{"inputs": ["\\ud800"]}', "The surrogate pair in string is invalid"),
        ({"signature_name": 1, "inputs": ["a"]}, "'signature_name' key must be a string"),
        ({"signature_name": "x", "inputs": ["a"]}, '"x" not found in signature def'),
        ({"signature_name": "generate", "inputs": ["a"]}, "expecting an object as multiple"),
        ({"signature_name": "generate", "instances": ["a"]}, "expecting list of objects"),
        ({"signature_name": "generate", "instances": [{"text": "a"}]}, "keys must be equal to"),
        ({"instances": ["poison"]}, "poisoned"),
    ],
)
def test_junk_is_400_with_a_line(client, body, message):
    answer = ask(client, body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert ask(client, {"instances": ["ab"]}).status_code == 200


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"n_best": 1.0}, "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ({"n_best": True}, "JSON Value: true Type: True is not of expected type: int32"),
        ({"n_best": 2**31}, "is not of expected type: int32"),
        ({"temperature": "1"}, 'JSON Value: "1" Type: String is not of expected type: float32'),
        ({"temperature": 2**24}, "to float without loss of precision."),
        ({"temperature": 1e39}, "to float without loss of precision."),
    ],
)
def test_a_number_must_be_what_the_input_is(client, changes, message):
    row = {"text": "a", **AS_EXPORTED}
    body = {"signature_name": "generate", "instances": [{**row, **changes}]}
    assert message in ask(client, body).json()["error"]
    assert ask(client, {**body, "instances": [{**row, "temperature": 1}]}).status_code == 200


def test_who_is_not_there_is_404_and_other_paths_are_malformed(client):
    for path, message in (
        ("/v1/models/x:predict", "Servable not found for request: Latest(x)"),
        ("/v1/models/m/versions/9:predict", "Servable not found for request: Specific(m, 9)"),
    ):
        answer = ask(client, {"instances": ["a"]}, path)
        assert (answer.status_code, answer.json()) == (404, {"error": message})
    for path, message in (
        ("/v1/models/x", "Could not find any versions of model x"),
        ("/v1/models/m/versions/9", "Could not find version 9 of model m"),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (404, {"error": message})
    answer = client.get("/v1/models/m:predict")
    assert answer.status_code == 400
    assert answer.json() == {"error": "Malformed request: GET /v1/models/m:predict"}
    assert ask(client, {}, "/v1/models/m:classify").status_code == 400
    answer = ask(client, {"instances": ["a"]}, "/v1/models/m/labels/stable:predict")
    assert answer.json() == {"error": "Unrecognized servable version label: stable"}


def test_status_and_metadata(client):
    assert client.get("/v1/models/m").json() == {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    answer = client.get("/v1/models/m/versions/1/metadata").json()
    assert answer["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert signatures["encode"]["outputs"]["memory"]["tensor_shape"]["dim"] == [
        {"size": "-1", "name": ""},
        {"size": "2", "name": ""},
    ]
    assert signatures["generate"]["inputs"]["seed"]["dtype"] == "DT_INT32"


def test_a_failing_model_is_500_and_goes_on(client):
    answer = ask(client, {"instances": ["broken"]})
    assert answer.status_code == 500
    assert answer.json() == {"error": "the model failed: OSError: disk"}
    answer = ask(client, {"text": "broken"}, "/v1/models/m/generate_stream")
    assert answer.status_code == 500
    assert answer.json() == {"error": "the model failed: OSError: disk"}
    assert ask(client, {"instances": ["ab"]}).status_code == 200


def together(client, engine, bodies):
    """Sends them while the model is busy, so that all of them wait."""
    engine.go_on.clear()
    with ThreadPoolExecutor(len(bodies) + 1) as pool:
        first = pool.submit(ask, client, {"instances": ["first"]})
        while not engine.batches or engine.batches[-1][1] != ["first"]:
            time.sleep(0.01)
        engine.batches.clear()
        answers = []
        for body in bodies:
            answers.append(pool.submit(ask, client, body))
            time.sleep(0.05)
        engine.go_on.set()
        assert first.result().status_code == 200
        return [answer.result() for answer in answers]


def test_requests_that_wait_are_joined_and_a_bad_one_costs_no_other(client, engine):
    words = [["ab"], [""], ["cd", "ef"], ["poison"], ["gh"]]
    answers = together(client, engine, [{"instances": row} for row in words])
    assert engine.batches[0] == ("serving_default", ["ab", "", "cd", "ef", "poison", "gh"])
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400, 200]
    assert answers[1].json()["predictions"][0]["error"] == "empty"
    texts = [row["text"] for row in answers[2].json()["predictions"]]
    assert texts == [["dc"], ["fe"]]


def test_only_requests_of_the_same_options_are_joined(client, engine):
    def body(text, **changes):
        row = {"text": text, **AS_EXPORTED, **changes}
        return {"signature_name": "generate", "instances": [row]}

    bodies = [body("a"), body("b", n_best=2), body("c", prefix="x"), body("d", n_best=2)]
    answers = together(client, engine, [*bodies, {"instances": ["e"]}])
    assert [sources for _, sources in engine.batches] == [["a", "c"], ["b", "d"], ["e"]]
    assert answers[1].json()["predictions"][0]["text"] == ["b", "b"]


def test_an_engine_that_draws_samples_joins_nothing():
    engine = Reverser()
    engine.joins = False
    with client_of(one_model(engine)) as client:
        together(client, engine, [{"instances": ["a"]}, {"instances": ["b", "c"]}])
    assert [sources for _, sources in engine.batches] == [["a"], ["b", "c"]]


def test_two_threads_share_what_waits_and_run_at_the_same_time():
    engine = Reverser()
    engine.go_on.clear()

    async def run():
        batcher = Batcher(engine.predict, quick(), threads=2)
        requests = [
            read_request(json.dumps({"instances": [text]}).encode(), SIGNATURES)
            for text in "abcdefg"
        ]
        tasks = [asyncio.create_task(batcher.answer(one, 0)) for one in requests]
        while len(engine.batches) < 2:  # Both run, though neither is done.
            await asyncio.sleep(0.01)
        assert not any(task.done() for task in tasks)
        engine.go_on.set()
        texts = [answer["text"][0, 0].decode() for answer in await asyncio.gather(*tasks)]
        await batcher.close()
        return texts

    assert asyncio.run(run()) == [*"abcdefg"]
    assert [sources for _, sources in engine.batches] == [[*"abcd"], [*"efg"]]


def test_who_asks_alone_does_not_wait_for_others():
    with client_of(one_model(Reverser(), quick(batch_timeout=30))) as client:
        begin = time.monotonic()
        for _ in range(3):
            assert ask(client, {"instances": ["ab"]}).status_code == 200
        assert time.monotonic() - begin < 5


def test_a_request_larger_than_a_batch_is_cut_and_put_together():
    engine = Reverser()
    with client_of(one_model(engine, quick(max_batch_size=2))) as client:
        answer = ask(client, {"inputs": ["ab", "cd", "ef", "gh", "ij"]})
    assert answer.json()["outputs"]["text"] == [["ba"], ["dc"], ["fe"], ["hg"], ["ji"]]
    assert [len(sources) for _, sources in engine.batches] == [2, 2, 1]


def test_limits_of_a_request_and_of_the_queue():
    engine = Reverser()
    limits = quick(max_queue=2, max_sources=3, max_body=1000, request_timeout=5)
    with client_of(one_model(engine, limits), limits) as client:
        answer = ask(client, {"instances": ["a"] * 4})
        assert answer.status_code == 400
        assert "may have 3 sources. Received: 4" in answer.json()["error"]
        answer = ask(client, {"instances": ["a" * 1000]})
        assert answer.status_code == 413 and "1000 bytes" in answer.json()["error"]
        bodies = [{"instances": ["a"]}, {"instances": ["b"]}, {"instances": ["c"]}]
        answers = together(client, engine, bodies)
        assert [answer.status_code for answer in answers] == [200, 200, 503]
        assert "2 sources wait already" in answers[2].json()["error"]


def test_a_request_that_takes_too_long_is_504_and_is_not_run_later():
    engine = Reverser()
    limits = quick(request_timeout=0.2)
    with client_of(one_model(engine, limits), limits) as client:
        engine.go_on.clear()
        with ThreadPoolExecutor() as pool:
            answers = list(
                pool.map(lambda text: ask(client, {"instances": [text]}), ["a", "b"])
            )
        assert [answer.status_code for answer in answers] == [504, 504]
        assert answers[0].json() == {"error": "no answer within 0.2 s"}
        engine.go_on.set()
        assert ask(client, {"instances": ["c"]}).status_code == 200
    assert len(engine.batches) == 2  # The first was running; the other was not begun.


def test_what_is_cancelled_is_not_run():
    engine = Reverser()
    engine.go_on.clear()

    async def run():
        batcher = Batcher(engine.predict, quick())
        requests = [
            read_request(json.dumps({"instances": [text]}).encode(), SIGNATURES)
            for text in "abc"
        ]
        tasks = [asyncio.create_task(batcher.answer(one, 0)) for one in requests]
        while not engine.batches:
            await asyncio.sleep(0.01)
        tasks.append(asyncio.create_task(batcher.answer(requests[0], 0)))
        await asyncio.sleep(0.05)
        tasks[3].cancel()
        await asyncio.sleep(0.01)
        assert batcher.waiting == 0
        engine.go_on.set()
        await asyncio.gather(*tasks[:3])
        await batcher.close()

    asyncio.run(run())
    assert engine.batches == [("serving_default", ["a", "b", "c"])]


def events(answer):
    found = []
    for block in answer.text.split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_stream_gives_tokens_and_then_the_answer(client, engine):
    done = ("done", {"text": ["ba"], "log_probs": [-0.2], "scores": [-0.1]})
    path = "/v1/models/m/generate_stream"
    answer = ask(client, {"text": "ab"}, path)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events(answer) == [done]
    engine.streams = True
    tokens = [("token", {"text": "b"}), ("token", {"text": "ba"})]
    assert events(ask(client, {"text": "ab"}, path)) == [*tokens, done]
    looked = {"source": ["a", "b"], "target": ["b", "a"], "weights": [[0, 1], [1, 0]]}
    answer = ask(client, {"text": "ab"}, f"{path}?attention=1")
    assert events(answer) == [*tokens, done, ("attention", looked)]
    answer = ask(client, {"text": "ab", "n_best": 2}, path)
    assert events(answer)[-1][1]["text"] == ["ba", "ba"]
    for body, message in (
        ({"text": "ab", "beams": 2}, "unknown: beams; this model takes text, prefix"),
        ({"text": ""}, "empty"),
        ({}, "keys must be equal to"),
        (b"{", "JSON Parse error"),
    ):
        answer = ask(client, body, path)
        assert answer.status_code == 400 and message in answer.json()["error"]
        assert answer.json().get("of_source", False) == (message == "empty")
    assert events(ask(client, {"text": "poisonx"}, path))[-1][0] == "done"
    assert events(ask(client, {"text": "poison"}, path))[-1] == ("error", {"error": "poisoned"})


def swapping(there, limits=None):
    engines = {}

    def load(path):
        if path == "bad":
            raise InputError("it is none")
        engines[path] = Reverser(f"{path}:")
        return engines[path]

    return ServedModel("m", lambda: dict(there), load, limits), engines


def test_a_new_version_takes_over_and_the_old_one_answers_what_it_was_asked(tmp_path):
    there = {1: tmp_path / "1"}
    there[1].mkdir()
    model, engines = swapping(there)
    server = Server({"m": model}, Limits(), Measures(), poll_seconds=0.02)
    with TestClient(server.app) as client, ThreadPoolExecutor() as pool:
        (old,) = engines.values()
        old.go_on.clear()
        waits = pool.submit(ask, client, {"instances": ["ab"]})
        while not old.batches:
            time.sleep(0.01)
        queued = pool.submit(ask, client, {"instances": ["cd"]})
        time.sleep(0.05)
        there[2] = tmp_path / "2"
        there[2].mkdir()
        while client.get("/v1/models/m/versions/2").status_code != 200:
            time.sleep(0.01)
        (text,) = ask(client, {"instances": ["ab"]}).json()["predictions"][0]["text"]
        assert text == f"{there[2]}:ba"
        old.go_on.set()
        for answer, turned in ((waits, "ba"), (queued, "dc")):
            (text,) = answer.result().json()["predictions"][0]["text"]
            assert text == f"{there[1]}:{turned}"
        # Back again, as TensorFlow Serving does when a version is moved away.
        del there[2]
        while client.get("/v1/models/m/versions/1").status_code != 200:
            time.sleep(0.01)
        (text,) = ask(client, {"instances": ["ab"]}).json()["predictions"][0]["text"]
        assert text == f"{there[1]}:ba"


def test_a_version_that_cannot_be_loaded_leaves_the_server_as_it_is(tmp_path):
    there = {1: tmp_path}
    model, _ = swapping(there)

    async def run():
        await model.refresh()
        model.require()
        model._load = lambda path: (_ for _ in ()).throw(InputError("it is none"))
        there[2] = tmp_path
        await model.refresh()
        async with model.use() as version:
            assert version.number == 1
        states = {one["version"]: one for one in model.status()}
        assert states["1"]["state"] == "AVAILABLE" and states["2"]["state"] == "END"
        assert states["2"]["status"]["error_message"] == "it is none"
        await model.close()

    asyncio.run(run())


def test_versions_and_labels_that_are_named():
    there = {1: NOWHERE, 2: NOWHERE, 3: NOWHERE}
    engines = []

    def load(path):
        engines.append(Reverser(f"{len(engines) + 1}:"))
        return engines[-1]

    model = ServedModel(
        "m", lambda: there, load, versions=[1, 2], labels={"stable": 1, "canary": 2}
    )
    with client_of(model) as client:
        for path, mark in (("/labels/stable", 1), ("/labels/canary", 2), ("/versions/1", 1)):
            answer = ask(client, {"instances": ["a"]}, f"/v1/models/m{path}:predict")
            assert answer.json()["predictions"][0]["text"] == [f"{mark}:a"]
        assert client.get("/v1/models/m/labels/stable").status_code == 200
        assert client.get("/v1/models/m/versions/3").status_code == 404


def test_health_readiness_and_metrics(client):
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
    ask(client, {"instances": ["ab", ""]})
    ask(client, {"instances": ["a"]}, "/v1/models/some-other:predict")
    for path in ("/metrics", "/monitoring/prometheus/metrics"):
        text = client.get(path).text
        name = 'keras_seq2seq_requests_total{kind="predict",model="m",status="200"} 1.0'
        assert name in text
        assert 'keras_seq2seq_source_errors_total{model="m"} 1.0' in text
        assert "some-other" not in text
    assert "keras_seq2seq_request_seconds_bucket" in text


def test_batches_are_counted(engine):
    measures = Measures()
    model = one_model(engine, observe=lambda rows: measures.batch("m", rows))
    with client_of(model) as client:
        ask(client, {"instances": ["ab", "cd", "ef"]})
    assert b'keras_seq2seq_batch_sources_sum{model="m"} 3.0' in measures.text({})


def test_a_key_is_needed_but_for_health_and_page(engine):
    with client_of(one_model(engine), keys=Keys(["one", "two"])) as client:
        body = {"content": json.dumps({"instances": ["ab"]})}
        for headers in ({}, {"X-Api-Key": "on"}, {"Authorization": "Bearer three"}):
            answer = client.post("/v1/models/m:predict", headers=headers, **body)
            assert answer.status_code == 401 and "API key" in answer.json()["error"]
        for headers in ({"X-Api-Key": "one"}, {"Authorization": "Bearer two"}):
            answer = client.post("/v1/models/m:predict", headers=headers, **body)
            assert answer.status_code == 200
        assert client.get("/metrics").status_code == 401
        assert client.get("/healthz").status_code == client.get("/").status_code == 200
        assert client.get("/page/page.js").status_code == 200


def test_pages_of_other_origins_are_allowed_where_named(engine):
    with client_of(one_model(engine), cors_origins=["https://a.example"]) as client:
        for origin, allowed in (("https://a.example", "https://a.example"), ("http://b", None)):
            answer = client.options(
                "/v1/models/m:predict",
                headers={"Origin": origin, "Access-Control-Request-Method": "POST"},
            )
            assert answer.headers.get("access-control-allow-origin") == allowed


def test_the_page_fetches_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text and "https://" not in page.text
    assert "TensorFlow Serving" in page.text
    assert client.get("/models").json()["models"] == [
        {
            "name": "m",
            "version": 1,
            "inputs": ["text"],
            "sample_rate": 0,
            "has_options": True,
            "has_attention": True,
        }
    ]
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    names = re.findall(r'(?:src|href)="(page/[^"]+)"', page.text)
    assert len(names) == 2
    assert all(client.get(f"/{name}").status_code == 200 for name in names)
    assert client.get("/page/%2e%2e/server.py").status_code == 404


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1), st.booleans())
def test_every_string_comes_back_as_it_went(texts, by_row):
    body = json.dumps({"instances" if by_row else "inputs": texts}).encode()
    request = read_request(body, SIGNATURES)
    assert [text.decode() for text in request.inputs["text"]] == texts
    answer = json.loads(write_answer({"text": request.inputs["text"]}, by_row))
    assert answer == {"predictions" if by_row else "outputs": texts}


@given(st.binary(max_size=200))
def test_no_body_fails_but_by_a_line(body):
    try:
        read_request(body, SIGNATURES)
    except RequestError as error:
        assert error.status == 400


def test_numbers_have_the_digits_of_their_dtype_and_bytes_are_base64():
    outputs = {"x": np.array([[0.1]], np.float32), "y_bytes": np.array([b"\xff"], object)}
    answer = json.loads(write_answer(outputs, by_row=False))
    assert answer == {
        "outputs": {"x": [[0.1]], "y_bytes": [{"b64": base64.b64encode(b"\xff").decode()}]}
    }


def test_rows_of_different_width_are_padded():
    joined = join([np.ones((1, 2, 1), np.int32), np.ones((2, 1, 3), np.int32)])
    assert joined.tolist() == [
        [[1, 0, 0], [1, 0, 0]],
        [[1, 1, 1], [0, 0, 0]],
        [[1, 1, 1], [0, 0, 0]],
    ]
    texts = join([np.array([[b"a", b"b"]], object), np.array([[b"c"]], object)])
    assert texts.tolist() == [[b"a", b"b"], [b"c", b""]]
