"""The gRPC door against an engine that turns texts around."""

import asyncio
import contextlib
import json

import grpc
import numpy as np
import pytest
import tensorflow as tf
from starlette.testclient import TestClient
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from keras_seq2seq.errors import InputError
from keras_seq2seq.serving import Client
from keras_seq2seq.serving.access import Keys
from keras_seq2seq.serving.batching import Limits
from keras_seq2seq.serving.client import AS_EXPORTED
from keras_seq2seq.serving.grpc_service import GrpcDoor, read_request, server_credentials
from keras_seq2seq.serving.measures import Measures
from keras_seq2seq.serving.server import Server
from keras_seq2seq.serving.tensors import RequestError
from tests.serving.reverser import SIGNATURES, Reverser, one_model


@contextlib.contextmanager
def serving(engine, limits=None, keys=(), credentials=None):
    """Gives the door and a client of the same server over HTTP."""
    limits, measures, keys = limits or Limits(), Measures(), Keys(keys)
    server = Server({"m": one_model(engine, limits)}, limits, measures, keys)
    door = GrpcDoor(server, "127.0.0.1", 0, limits, measures, keys, credentials)
    server.doors.append(door)
    with TestClient(server.app) as client:
        yield door, client


@pytest.fixture(scope="module")
def door():
    with serving(Reverser(), Limits(max_sources=3, max_body=100_000)) as (door, client):
        door.client = client
        yield door


@pytest.fixture(scope="module")
def stub(door):
    with grpc.insecure_channel(door.address.removeprefix("grpc://")) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def message(texts=(), name="m", **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    for key, values in {**({"text": texts} if texts else {}), **inputs}.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(values))
    return request


def test_predict_answers_what_rest_answers(door, stub):
    request = message(["ab", "", "c"])
    response = stub.Predict(request, timeout=10)
    assert (response.model_spec.name, response.model_spec.version.value) == ("m", 1)
    assert response.model_spec.signature_name == "serving_default"
    arrays = {name: tf.make_ndarray(one) for name, one in response.outputs.items()}
    body = json.dumps({"inputs": ["ab", "", "c"]})
    said = door.client.post("/v1/models/m:predict", content=body).json()["outputs"]
    assert arrays["text"].tolist() == [[t.encode() for t in row] for row in said["text"]]
    assert arrays["error"].tolist() == [error.encode() for error in said["error"]]
    np.testing.assert_allclose(arrays["scores"], said["scores"], atol=1e-6)
    assert arrays["scores"].dtype == np.float32
    request.output_filter.append("text")
    assert list(stub.Predict(request, timeout=10).outputs) == ["text"]


def test_settings_of_a_request_and_one_value_for_all_sources(door, stub):
    options = {name: np.array([value]) for name, value in AS_EXPORTED.items()}
    options["length_penalty"] = np.array([-1e9], np.float32)
    options["temperature"] = np.array([0], np.float32)
    for name in ("max_length", "n_best", "seed"):
        options[name] = options[name].astype(np.int32)
    options["n_best"][:] = 2
    request = message(["ab", "cd"], **options)
    request.model_spec.signature_name = "generate"
    response = stub.Predict(request, timeout=10)
    texts = tf.make_ndarray(response.outputs["text"]).tolist()
    assert texts == [[b"ba"] * 2, [b"dc"] * 2]


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"name": "x"}, "NOT_FOUND", "Servable not found for request: Latest(x)"),
        ({"name": ""}, "INVALID_ARGUMENT", "Missing ModelSpec"),
        ({"txt": ["a"]}, "INVALID_ARGUMENT", "Sent extra: {txt}. Missing but required: {}"),
        (
            {"texts": ()},
            "INVALID_ARGUMENT",
            "0!=1. Sent extra: {}. Missing",
        ),
        ({"texts": [1]}, "INVALID_ARGUMENT", "text must be string. Received: int32"),
        ({"texts": [["a"]]}, "INVALID_ARGUMENT", "must have the shape ['?']. Received: [1, 1]"),
        ({"texts": "a"}, "INVALID_ARGUMENT", "must have the shape ['?']. Received: []"),
        ({"texts": ["a"] * 4}, "INVALID_ARGUMENT", "may have 3 sources. Received: 4"),
        ({"texts": ["poison"]}, "INVALID_ARGUMENT", "poisoned"),
        ({"texts": ["broken"]}, "INTERNAL", "the model failed: OSError: disk"),
        ({"texts": ["a" * 200_000]}, "RESOURCE_EXHAUSTED", "larger than max"),
    ],
)
def test_what_is_wrong_has_a_code_and_a_line_and_others_go_on(door, stub, changed, code, said):
    request = message(**{"texts": ["ab"], **changed})
    with pytest.raises(grpc.RpcError) as raised:
        stub.Predict(request, timeout=10)
    assert raised.value.code().name == code
    assert said in raised.value.details() and "\n" not in raised.value.details()
    assert Client(f"{door.address}/m").generate(["ab"])[0].texts == ["ba"]


def test_versions_signatures_and_outputs_that_are_not_there(stub):
    for change, code in (
        (lambda one: setattr(one.model_spec.version, "value", 7), "NOT_FOUND"),
        (lambda one: setattr(one.model_spec, "version_label", "x"), "INVALID_ARGUMENT"),
        (lambda one: setattr(one.model_spec, "signature_name", "x"), "INVALID_ARGUMENT"),
        (lambda one: one.output_filter.append("x"), "INVALID_ARGUMENT"),
    ):
        request = message(["ab"])
        change(request)
        with pytest.raises(grpc.RpcError) as raised:
            stub.Predict(request, timeout=10)
        assert raised.value.code().name == code


def test_a_message_that_claims_more_than_it_has_is_refused():
    for change, said in (
        (
            lambda one: setattr(one.tensor_shape.dim[0], "size", 10**12),
            "may have 1000 elements",
        ),
        (lambda one: setattr(one.tensor_shape.dim[0], "size", 1), "cannot be read"),
        (lambda one: setattr(one, "dtype", 0), "cannot be read"),
    ):
        request = message(["ab", "cd"])
        change(request.inputs["text"])
        with pytest.raises(RequestError, match=said):
            read_request(request, SIGNATURES, 1000)


def test_metadata_are_those_of_rest(door, stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "m"
    with pytest.raises(grpc.RpcError, match="at least one metadata_field"):
        stub.GetModelMetadata(request, timeout=10)
    request.metadata_field.append("signature_def")
    response = stub.GetModelMetadata(request, timeout=10)
    assert response.model_spec.version.value == 1
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert set(signatures.signature_def) == set(SIGNATURES)
    memory = signatures.signature_def["encode"].outputs["memory"]
    assert memory.dtype == tf.float32.as_datatype_enum
    assert [axis.size for axis in memory.tensor_shape.dim] == [-1, 2]
    request.metadata_field.append("x")
    with pytest.raises(grpc.RpcError, match="x is not supported"):
        stub.GetModelMetadata(request, timeout=10)


def test_requests_of_both_doors_are_joined_and_counted():
    engine = Reverser()
    engine.go_on.clear()
    with serving(engine) as (door, client):
        address = door.address.removeprefix("grpc://")

        async def ask(*texts):
            async with grpc.aio.insecure_channel(address) as channel:
                stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
                return await stub.Predict(message([*texts]), timeout=10)

        async def run():
            first = asyncio.create_task(ask("first"))
            while not engine.batches:
                await asyncio.sleep(0.01)
            body = json.dumps({"instances": ["ef"]})
            post = asyncio.to_thread(client.post, "/v1/models/m:predict", content=body)
            left = asyncio.create_task(ask("left"))
            others = [asyncio.create_task(one) for one in (ask("ab"), ask("cd"), post)]
            await asyncio.sleep(0.3)
            left.cancel()
            await asyncio.sleep(0.1)
            engine.go_on.set()
            await asyncio.gather(first, *others)

        asyncio.run(run())
        assert sorted(engine.batches[1][1]) == ["ab", "cd", "ef"]
        said = client.get("/metrics").text
        assert 'total{kind="grpc_predict",model="m",status="200"} 3.0' in said
        assert 'total{kind="grpc_predict",model="",status="499"} 1.0' in said


def test_a_key_and_tls_by_both_sides(certificates):
    secrets = server_credentials(certificates / "server.pem", certificates / "server.key")
    with serving(Reverser(), keys=["one"], credentials=secrets) as (door, _):
        url = f"{door.address}/m"
        assert url.startswith("grpcs://")
        trusted = {"ca_file": certificates / "ca.pem"}
        client = Client(url, headers={"X-Api-Key": "one"}, **trusted)
        assert client.generate(["ab"])[0].texts == ["ba"]
        bearer = Client(url, headers={"Authorization": "Bearer one"}, **trusted)
        assert bearer.generate(["ab"])[0].texts == ["ba"]
        with pytest.raises(InputError, match="UNAUTHENTICATED: an API key is needed"):
            Client(url, **trusted).generate(["ab"])
        with pytest.raises(InputError, match="cannot be reached"):
            Client(url, 2, headers={"X-Api-Key": "one"}).generate(["ab"])
        with pytest.raises(InputError, match="cannot be reached"):
            Client(url.replace("grpcs", "grpc"), 2).generate(["ab"])


def test_a_certificate_of_the_client_is_demanded(certificates):
    names = ("server.pem", "server.key", "ca.pem")
    with serving(
        Reverser(), credentials=server_credentials(*map(certificates.joinpath, names))
    ) as (
        door,
        _,
    ):
        trusted = {"ca_file": certificates / "ca.pem"}
        own = {"certificate_file": certificates / "client.pem"}
        own["key_file"] = certificates / "client.key"
        assert Client(f"{door.address}/m", **trusted, **own).generate(["ab"])[0].texts == ["ba"]
        with pytest.raises(InputError, match="cannot be reached"):
            Client(f"{door.address}/m", 2, **trusted).generate(["ab"])


def test_a_port_that_is_taken_is_told():
    with serving(Reverser()) as (door, _):
        other = GrpcDoor(
            Server({}, Limits(), Measures()),
            "127.0.0.1",
            door.port,
            Limits(),
            Measures(),
            Keys(),
        )
        with pytest.raises(InputError, match="cannot be listened at. Choose another --grpc-p"):
            asyncio.run(other.open())
