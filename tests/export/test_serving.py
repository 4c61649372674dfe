"""The folder of TensorFlow Serving, and the client against servers that speak its protocols."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from concurrent import futures

import pytest
import tensorflow as tf
from click.testing import CliRunner
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from export import export_serving
from export.predictors import open_predictor
from export.serving import WARM_UP_FILE, replay_warm_up
from keras_seq2seq.cli import main
from keras_seq2seq.cli.serve import find_versions
from keras_seq2seq.errors import InputError
from keras_seq2seq.serving import Client
from keras_seq2seq.serving.access import Keys
from keras_seq2seq.serving.batching import Limits
from keras_seq2seq.serving.grpc_service import GrpcDoor
from keras_seq2seq.serving.measures import Measures
from keras_seq2seq.serving.server import Server
from keras_seq2seq.serving.versions import ServedModel
from keras_seq2seq.settings import GenerationSettings
from tests.searches import BEAM
from tests.servers import PredictionService, grpc_server, http_server, rest_server
from tests.soak import KINDS, Soak

SEARCH = GenerationSettings(2, 2)


@pytest.fixture(scope="module")
def served(text_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("serving") / "serving"
    written = export_serving(
        text_model, path, SEARCH, model_name="speller", batch_sizes=(1, 2, 4)
    )
    assert written == path / "speller" / "1"
    return path


@pytest.fixture
def quick_export(served, monkeypatch):
    """Stands for the slow part: copies the SavedModel that exists."""

    def copy(model, path, settings):
        shutil.copytree(served / "speller" / "1", path)

    monkeypatch.setattr("export.serving.export_saved_model", copy)
    monkeypatch.setattr("export.serving.replay_warm_up", lambda path: 3)


def tree(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*"))


def listed(path):
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((path / "models.config").read_text(), config)
    return {entry.name: entry.base_path for entry in config.model_config_list.config}


def test_the_folder_has_all_that_a_server_needs(served):
    assert {path.name for path in served.iterdir()} == {
        "batching_parameters.txt",
        "compose.yaml",
        "models.config",
        "monitoring.config",
        "speller",
    }
    assert [path.name for path in (served / "speller").iterdir()] == ["1"]
    assert listed(served) == {"speller": "/models/speller"}
    batching = (served / "batching_parameters.txt").read_text()
    assert "max_batch_size { value: 4 }" in batching
    assert batching.count("allowed_batch_sizes") == 3
    compose = (served / "compose.yaml").read_text()
    for name in ("models.config", "batching_parameters.txt", "monitoring.config"):
        assert f"/models/{name}" in compose


def test_there_is_a_warm_up_request_for_each_batch_size(served, text_model):
    records = list(
        tf.data.TFRecordDataset(
            str(served / "speller" / "1" / WARM_UP_FILE)
        ).as_numpy_iterator()
    )
    requests = [
        prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        for record in records
    ]
    texts = [tf.make_ndarray(request.inputs["text"]) for request in requests]
    assert [len(text) for text in texts] == [1, 2, 4]
    source = texts[0][0].decode()
    assert len(source) == text_model.preprocessor.max_source_length
    assert text_model.preprocessor.count_unknown([source]) == {}
    assert replay_warm_up(served / "speller" / "1") == 3


def test_another_export_adds_a_version_and_changes_nothing_else(
    served, text_model, quick_export, tmp_path
):
    path = shutil.copytree(served, tmp_path / "serving")
    (path / "compose.yaml").write_text("mine")
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file()}
    assert export_serving(text_model, path, model_name="speller").name == "2"
    (path / "speller" / "7").mkdir()
    assert export_serving(text_model, path, model_name="speller").name == "8"
    after = {file: file.stat().st_mtime_ns for file in before}
    assert after == before
    with pytest.raises(InputError, match="speller/2 exists"):
        export_serving(text_model, path, model_name="speller", version=2)


def test_a_second_model_joins_the_first_and_comments_stay(
    served, text_model, quick_export, tmp_path
):
    path = shutil.copytree(served, tmp_path / "serving")
    config = path / "models.config"
    config.write_text("# ours\n" + config.read_text())
    export_serving(text_model, path, model_name="other")
    assert listed(path) == {"speller": "/models/speller", "other": "/models/other"}
    assert config.read_text().startswith("# ours\n")


def test_a_broken_models_config_is_refused_before_any_work(text_model, tmp_path):
    (tmp_path / "models.config").write_text("models: [1, 2")
    with pytest.raises(InputError, match="models.config cannot be read"):
        export_serving(text_model, tmp_path)
    assert tree(tmp_path) == ["models.config"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"model_name": "../up"}, "A model name may hold"),
        ({"model_name": ""}, "A model name may hold"),
        ({"version": 0}, "A version must be at least 1. Received: 0"),
        ({"batch_sizes": ()}, "must be increasing, at least one"),
        ({"batch_sizes": (4, 2)}, "must be increasing"),
        ({"batch_sizes": (0, 2)}, "must be at least 1. Received: batch_size=0"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(text_model, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        export_serving(text_model, tmp_path / "serving", **arguments)
    assert not list(tmp_path.iterdir())


def test_exports_at_the_same_time_get_different_versions(
    text_model, quick_export, served, tmp_path, monkeypatch
):
    gate = threading.Barrier(4)

    def slow(model, path, settings):
        shutil.copytree(served / "speller" / "1", path)
        gate.wait(20)
        models = path.parent.parent
        visible = [p.name for p in models.iterdir() if p.name.isdecimal()]
        assert all(WARM_UP_FILE.parts[0] in os.listdir(models / v) for v in visible)

    monkeypatch.setattr("export.serving.export_saved_model", slow)
    with futures.ThreadPoolExecutor(4) as pool:
        calls = [
            pool.submit(export_serving, text_model, tmp_path / "s", model_name="m")
            for _ in range(4)
        ]
        names = sorted(call.result().name for call in calls)
    assert names == ["1", "2", "3", "4"]
    assert sorted(os.listdir(tmp_path / "s" / "m")) == names


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), tf.errors.ResourceExhaustedError]
)
def test_a_disk_that_fills_up_leaves_the_earlier_version_alone(
    served, text_model, tmp_path, monkeypatch, error
):
    path = shutil.copytree(served, tmp_path / "serving")
    before = tree(path)

    def fill(model, folder, settings):
        folder.mkdir()
        (folder / "saved_model.pb").write_bytes(b"half")
        raise error if isinstance(error, OSError) else error(None, None, "No space left")

    monkeypatch.setattr("export.serving.export_saved_model", fill)
    with pytest.raises(InputError, match="cannot be written: .*No space left"):
        export_serving(text_model, path, model_name="speller")
    assert tree(path) == before
    with pytest.raises(InputError, match="cannot be written"):
        export_serving(text_model, tmp_path / "new" / "serving")
    assert not (tmp_path / "new").exists()


def test_a_failed_warm_up_is_found_before_the_version_is_visible(
    served, text_model, quick_export, tmp_path, monkeypatch
):
    def fail(path):
        raise tf.errors.InvalidArgumentError(None, None, "a bad request")

    monkeypatch.setattr("export.serving.replay_warm_up", fail)
    with pytest.raises(InputError, match="a bad request"):
        export_serving(text_model, tmp_path / "serving")
    assert not list(tmp_path.iterdir())


# The client, against servers that answer as TensorFlow Serving does.


@pytest.fixture(scope="module")
def service(served):
    return PredictionService(served / "speller" / "1")


@pytest.fixture(scope="module")
def grpc_url(service):
    with grpc_server(service) as url:
        yield url


@pytest.fixture(scope="module")
def rest_url(service):
    with rest_server(service) as url:
        yield url


@pytest.fixture(params=["rest_url", "grpc_url"])
def url(request):
    return request.getfixturevalue(request.param)


def test_the_client_gets_what_the_model_gives(url, text_model, pairs):
    sources = pairs.sources[:10]
    expected = text_model.search(sources, SEARCH)
    for address in (url, f"{url}/versions/1", f"{url}/"):
        answers = Client(address).generate(sources)
        assert [answer.texts for answer in answers] == text_model.texts(expected)
        log_probs = [value for answer in answers for value in answer.log_probs]
        assert log_probs == pytest.approx(expected.log_probs.ravel().tolist(), abs=1e-4)
        assert not any(answer.error for answer in answers)


def test_a_source_that_does_not_fit_has_an_error_and_the_other_its_answer(url, text_model):
    answers = Client(url).generate(["", "cab", "\u00e9" * 100_000])
    assert answers[0].error == "the source is empty; give it text" and not answers[0].texts
    assert answers[1].texts[0] == text_model.generate("cab", num_beams=2)
    assert answers[2].error == "the source has 100000 tokens; this model takes at most 7"


def test_a_request_may_change_settings(url, text_model):
    sources = ["cab", "fee", "d"]
    answers = Client(url).generate(
        sources, prefixes=["", "AA", ""], n_best=1, max_length=5, length_penalty=1.0
    )
    expected = text_model.search(
        sources,
        GenerationSettings(2, 1, 1.0),
        prefixes=["", "AA", ""],
        max_length=5,
    )
    assert [answer.texts for answer in answers] == text_model.texts(expected)
    # What is not given is as it was exported.
    (answer,) = Client(url).generate(["cab"], prefixes="BB")
    assert (
        answer.texts == text_model.texts(text_model.search(["cab"], SEARCH, prefixes="BB"))[0]
    )
    (answer,) = Client(url).generate(["cab"], n_best=3)
    assert answer.error == "n_best must be from 1 to 2"


def test_prefixes_that_are_too_few_are_refused(url):
    with pytest.raises(InputError, match="Received 1 prefixes for 2 sources"):
        Client(url).generate(["cab", "fee"], prefixes=["AA"])


def test_text_that_is_no_unicode_is_refused(url):
    with pytest.raises(InputError, match="Source 2 is not valid Unicode at character 2: 'b"):
        Client(url).generate(["cab", "b\udcff"])


def test_no_sources_no_request(url):
    assert Client(url).generate([]) == []


def test_a_model_that_the_server_lacks_is_told(url):
    with pytest.raises(InputError, match="(404|NOT_FOUND): Servable not found"):
        Client(url.replace("speller", "other")).generate(["cab"])


def test_a_version_that_the_server_lacks_is_told(url):
    with pytest.raises(InputError, match="(404|NOT_FOUND): Servable not found"):
        Client(f"{url}/versions/9").generate(["cab"])


def test_an_answer_that_comes_too_late_is_told(url, service):
    service.delay = 1.0
    try:
        with pytest.raises(InputError, match=r"gave no answer within 0.2 s"):
            Client(url, timeout_seconds=0.2).generate(["cab"])
    finally:
        service.delay = 0.0
    time.sleep(1.0)  # The server ends what it began.


@pytest.mark.parametrize("form", ["http://127.0.0.1:{}/v1/models/m", "grpc://127.0.0.1:{}/m"])
def test_a_server_that_is_not_there_is_told(form):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match="cannot be reached: .*Is the server running"):
        Client(form.format(port)).generate(["cab"])


@pytest.mark.parametrize(
    "address", ["localhost:8501", "http://host/", "grpc://host", "ftp://host/v1/models/m", ""]
)
def test_a_url_of_another_form_is_refused(address):
    with pytest.raises(InputError, match="A URL must look like http://localhost:8501"):
        Client(address)


def test_a_time_out_must_be_positive():
    with pytest.raises(InputError, match="above 0 s. Received: 0"):
        Client("grpc://host/m", 0)


def serve_once(answer: bytes):
    """A server that gives one answer to whatever comes."""
    listening = socket.create_server(("127.0.0.1", 0))

    def run():
        connection, _ = listening.accept()
        with connection:
            received = b""
            while b'"cab"' not in received:
                received += connection.recv(65536)
            connection.sendall(answer)

    threading.Thread(target=run, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}/v1/models/m"


@pytest.mark.parametrize(
    "answer, message",
    [
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "does not answer as TensorFlow Serving"),
        (b"HTTP/1.1 200 OK\r\n\r\n[1]", "does not answer as TensorFlow Serving"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"outputs": {"y": [1]}}', "not as a model of this package"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"outputs": [[1]]}', "not as a model of this package"),
        (b"HTTP/1.1 500 Oh\r\n\r\nbroken", "answers 500: broken"),
        (b"", "cannot be reached"),
    ],
)
def test_a_server_of_another_kind_is_told(answer, message):
    with pytest.raises(InputError, match=message):
        Client(serve_once(answer)).generate(["cab"])


def test_the_command_prints_as_generate_does(url, text_model):
    result = CliRunner().invoke(main, ["request", url, "cab", "fee", "--scores"])
    assert result.exit_code == 0, result.output
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    texts = text_model.texts(text_model.search(["cab", "fee"], SEARCH))
    assert [row[2] for row in rows] == [text for row in texts for text in row]
    result = CliRunner().invoke(main, ["request", url], input="cab\n\n")
    assert result.exit_code == 1
    assert result.stderr == "'': the source is empty; give it text\n"
    assert result.stdout.startswith("cab\t")
    result = CliRunner().invoke(main, ["request", url, "cab", "--n-best", "1"])
    assert result.stdout == f"cab\t{text_model.generate('cab', num_beams=2)}\n"
    result = CliRunner().invoke(main, ["request", url], input=b"cab\nb\xff\n")
    assert result.exit_code == 2
    assert "standard input, line 2: not UTF-8" in result.stderr


def test_the_command_tells_a_server_that_is_not_there_in_one_line():
    result = CliRunner().invoke(main, ["request", "http://127.0.0.1:9/v1/models/m", "cab"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


@contextlib.contextmanager
def both_doors(model, **settings):
    """Our server with one model: its URLs over HTTP and over gRPC."""
    measures = Measures()
    server = Server({"speller": model}, Limits(), measures, **settings)
    door = GrpcDoor(server, "127.0.0.1", 0, Limits(), measures, Keys())
    server.doors.append(door)
    with http_server(server) as url:
        yield url, f"{door.address}/speller"


@contextlib.contextmanager
def command(path, *options):
    """The command `serve`: its process, and the URLs of its model over HTTP and over gRPC."""
    words = [sys.executable, "-m", "keras_seq2seq", "serve", str(path), *options]
    words += ["--port", "0", "--grpc-port", "0"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        yield (
            server,
            [server.stdout.readline().removeprefix("Serving ").strip() for _ in range(2)],
        )
    finally:
        server.kill()


def http_text(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()


def texts_of(model, sources, search):
    """What a version with that search answers, by source."""
    return dict(zip(sources, model.texts(model.search(sources, search)), strict=True))


@pytest.mark.large
def test_sixteen_clients_get_no_wrong_answer(served, text_model, pairs):
    version = texts_of(text_model, sorted(set(pairs.sources)), SEARCH)
    path = served / "speller" / "1"
    model = ServedModel("speller", lambda: {1: path}, open_predictor)
    with both_doors(model) as urls:
        soak = Soak(urls, os.getpid(), [version], seconds=20)
        counts = soak.run()
    assert not soak.mistakes and counts["good"] > 500
    assert all(counts[kind] for kind in KINDS)
    # The first seconds allocate.
    assert soak.megabytes(1.0) - soak.megabytes(0.4) < 20, soak.sizes


@pytest.mark.soak
@pytest.mark.parametrize("seconds", [600, 3600])
def test_the_command_answers_clients_that_pause_while_versions_are_swapped(
    seconds, served, text_saved_model, text_model, pairs, tmp_path
):
    """Whatever clients do and whichever version is there: no wrong answer, no more memory, and
    requests at the end as quick as at the beginning."""
    sources = sorted(set(pairs.sources))
    versions = [texts_of(text_model, sources, search) for search in (SEARCH, BEAM)]
    assert versions[0] != versions[1]
    folders = [served / "speller" / "1", text_saved_model]
    folder = tmp_path / "speller"
    shutil.copytree(folders[0], folder / "1")
    swaps = []
    with command(folder, "--poll", "1") as (server, urls):
        soak = Soak(urls, server.pid, versions, seconds, pause=0.4)

        def swap():
            """Another version comes and the one before goes, eight times."""
            while not soak.is_over.wait(seconds / 9):
                number = len(swaps) + 2
                shutil.copytree(folders[number % 2 == 0], folder / f".{number}")
                os.rename(folder / f".{number}", folder / str(number))
                while f'"version": "{number}"' not in http_text(urls[0]):
                    time.sleep(1)
                shutil.rmtree(folder / str(number - 1))
                swaps.append(soak.megabytes(1.0))

        swapping = threading.Thread(target=swap)
        swapping.start()
        counts = soak.run()
        swapping.join()
        metrics = http_text(urls[0].replace("/v1/models/speller", "/metrics"))
    sizes = [soak.megabytes(share) for share in (0.1, 0.5, 1.0)]
    quantiles = [soak.slowest(part / 3, (part + 1) / 3) for part in range(3)]
    print(f"{dict(counts)}; {sizes} MB; 99 %: {quantiles} s; {len(swaps)} swaps {swaps}")
    print(*(line for line in metrics.splitlines() if "requests_total{" in line), sep="\n")
    assert not soak.mistakes and counts["good"] > 8 * seconds
    assert all(counts[kind] for kind in KINDS)
    assert len(swaps) == 8
    assert sizes[2] - sizes[1] < 30, soak.sizes
    assert quantiles[2] < 2 * max(quantiles[:2])


def test_a_version_swapped_under_load_loses_no_request(
    served, text_saved_model, text_model, pairs, tmp_path
):
    sources = sorted(set(pairs.sources))[:40]
    shutil.copytree(served / "speller" / "1", tmp_path / "1")
    old, new = (texts_of(text_model, sources, search) for search in (SEARCH, BEAM))
    differ = [source for source in sources if old[source] != new[source]]
    assert differ
    model = ServedModel("speller", lambda: find_versions(tmp_path), open_predictor)
    with both_doors(model, poll_seconds=0.1) as (url, grpc_url):
        swapped = threading.Event()
        asked = Counter()

        def ask(number):
            client = Client(url if number % 2 else grpc_url, 60)
            rng, sees_new, after = random.Random(number), False, 0
            while after < 20:
                after += swapped.is_set()
                words = [rng.choice(differ), *rng.choices(sources, k=2)]
                texts = [answer.texts for answer in client.generate(words)]
                wants = [[of[word] for word in words] for of in (old, new)]
                # Of one version all, and never again of the old one after the new.
                assert texts == wants[1] or (texts == wants[0] and not sees_new)
                sees_new = texts == wants[1]
                asked[sees_new] += 1
            return sees_new

        with futures.ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(ask, number) for number in range(4)]
            # As a writer of versions does: beside, then in one step.
            shutil.copytree(text_saved_model, tmp_path / ".2")
            os.rename(tmp_path / ".2", tmp_path / "2")
            try:
                while urllib.request.urlopen(url).read().count(b"AVAILABLE") != 1 or (
                    b'"version": "2"' not in urllib.request.urlopen(url).read()
                ):
                    time.sleep(0.05)
            finally:
                swapped.set()
            assert all(client.result() for client in clients)
    assert asked[False] and asked[True]


@pytest.mark.large
def test_the_command_serves_the_folder_and_answers_what_is_under_way_at_a_stop(served, pairs):
    with command(served) as (server, (url, grpc_url)):
        assert url.endswith("/v1/models/speller")
        assert grpc_url.startswith("grpc://127.0.0.1:") and grpc_url.endswith("/speller")
        sources = (pairs.sources * 2)[:256]
        with futures.ThreadPoolExecutor(4) as pool:
            clients = [Client(one, 60) for one in (url, grpc_url) * 2]
            waits = [pool.submit(client.generate, sources) for client in clients]
            metrics = url.replace("/v1/models/speller", "/metrics")
            # The first batch is run.
            while "keras_seq2seq_batch_sources_count" not in http_text(metrics):
                time.sleep(0.01)
            server.send_signal(signal.SIGTERM)
            for answers in waits:
                assert len(answers.result()) == len(sources)
        assert server.wait(30) == 0
        with pytest.raises(InputError, match="cannot be reached"):
            Client(url).generate(["cab"])


@pytest.mark.large
@pytest.mark.skipif(
    shutil.which("tensorflow_model_server") is None,
    reason="no tensorflow_model_server on this machine",
)
def test_the_real_server_answers_by_both_protocols(served, text_model, tmp_path):
    def free_port():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return free.getsockname()[1]

    ports = free_port(), free_port()
    config = (served / "models.config").read_text().replace("/models/", f"{served}/")
    (tmp_path / "models.config").write_text(config)
    server = subprocess.Popen(
        [
            "tensorflow_model_server",
            f"--port={ports[0]}",
            f"--rest_api_port={ports[1]}",
            f"--model_config_file={tmp_path / 'models.config'}",
            "--enable_batching=true",
            f"--batching_parameters_file={served / 'batching_parameters.txt'}",
            f"--monitoring_config_file={served / 'monitoring.config'}",
        ]
    )
    expected = [text_model.generate("cab", num_beams=2)]
    try:
        for address in (
            f"grpc://127.0.0.1:{ports[0]}/speller",
            f"http://127.0.0.1:{ports[1]}/v1/models/speller",
        ):
            client = Client(address)
            for attempt in range(60):
                try:
                    answers = client.generate(["cab"])
                    break
                except InputError:
                    if attempt == 59:
                        raise
                    time.sleep(1)
            assert [answer.texts[0] for answer in answers] == expected
    finally:
        server.terminate()
        server.wait(30)
