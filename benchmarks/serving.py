"""What a SavedModel costs to serve: size, loading, the first request, throughput, tokenization.

    python benchmarks/serving.py exports/demo/saved_model --file words.txt --model MODEL.keras

Requests go through TensorFlow's C API, the code that TensorFlow Serving runs; what a network
and the server's own queue add is not in the figures. Each measurement of loading and of a
first request is of a new process. One JSON object is printed. With --http it is our own server
that is measured, with its queue and the network of this machine.
"""

import argparse
import json
import platform
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from c_session import CSession, signature_tensors

HEAD = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


def measure(request: dict) -> dict:
    """Runs in a process of its own that never imports TensorFlow's Python."""
    sources, fed, fetched = request["sources"], request["fed"], request["fetched"]
    begin = time.perf_counter()
    session = CSession(request["library"], request["path"])
    result: dict[str, Any] = {"load_seconds": time.perf_counter() - begin}

    def run(batch: list[str]) -> float:
        begin = time.perf_counter()
        session.run({fed: batch}, fetched)
        return 1000 * (time.perf_counter() - begin)

    for texts in request["warm_up"]:
        run(texts)
    result["warm_up_requests"] = len(request["warm_up"])
    result["first_request_ms"] = run(sources[:1])
    result["second_request_ms"] = run(sources[:1])
    if not request["throughput"]:
        return result
    one = [run([source]) for source in sources]
    shares = dict(zip(("p50", "p90", "p99"), np.percentile(one, (50, 90, 99)), strict=True))
    result["one_source_ms"] = {name: float(value) for name, value in shares.items()}
    result["throughput"] = []
    for clients, size in ((1, 1), (2, 1), (8, 1), (1, 8), (1, 32), (2, 32)):
        batches = [sources[i : i + size] for i in range(0, len(sources), size)]
        begin = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(run, batches))
        rate = len(sources) / (time.perf_counter() - begin)
        row = {"clients": clients, "batch_size": size, "sources_per_second": rate}
        result["throughput"].append(row)
    return result


def run_alone(request: dict) -> dict:
    done = subprocess.run(
        [sys.executable, __file__, "--measure"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout)


def read_answer(connection: socket.socket) -> None:
    """One answer of HTTP, which must be right."""
    head, _, body = connection.recv(1 << 16).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(1 << 16)


def over_http(path: Path, sources: list[str]) -> list[dict]:
    """Sources a second through `keras-seq2seq serve`, joined into batches and one at a time.

    The clients, which ask for one source after the other, run on the same machine.
    """
    rows = []
    for batch, clients in ((1, 1), (1, 8), (32, 8), (32, 32)):
        command = [sys.executable, "-m", "keras_seq2seq", "serve", str(path), "--port", "0"]
        command += ["--max-batch-size", str(batch), "--model-name", "m"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            url = server.stdout.readline().removeprefix("Serving http://").strip()
            address = url.partition("/")[0]

            def ask(share: list[str], address: str = address) -> None:
                # Its own lines, since http.client takes as much of the processor as the server.
                host, port = address.split(":")
                with socket.create_connection((host, int(port))) as connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    for source in share:
                        body = json.dumps({"instances": [source]}).encode()
                        connection.sendall(HEAD % len(body) + body)
                        read_answer(connection)

            def together(chosen: list[str], clients: int = clients) -> None:
                with ThreadPoolExecutor(clients) as pool:
                    list(pool.map(ask, [chosen[i::clients] for i in range(clients)]))

            together(sources[:300])  # Shapes of batches are met for the first time.
            begin = time.perf_counter()
            together(sources)
            rate = len(sources) / (time.perf_counter() - begin)
        finally:
            server.terminate()
            server.wait()
        row = {"max_batch_size": batch, "clients": clients, "sources_per_second": rate}
        rows.append(row)
    return rows


def warm_up_texts(path: Path) -> list[list[str]]:
    """The sources of the warm-up requests of an artefact, if it has some."""
    file = path / "assets.extra" / "tf_serving_warmup_requests"
    if not file.exists():
        return []
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    batches = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        text = tf.make_ndarray(log.predict_log.request.inputs["text"])
        batches.append([value.decode() for value in text])
    return batches


def tokenization_share(path: Path, model_file: Path, sources: list[str]) -> float:
    """Time of the graph from strings to padded ids and from ids to strings, over that of the
    whole signature; both one source a call."""
    import tensorflow as tf

    from keras_seq2seq.models import load_model

    preprocessor = load_model(model_file).preprocessor

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def tokenize(text):
        ids = preprocessor.encoder_inputs(text)["encoder_token_ids"]
        # As many target ids as source ids: what is timed is the kind of work.
        return preprocessor.target_tokenizer.detokenize(ids)

    serving = tf.saved_model.load(str(path)).signatures["serving_default"]
    times = []
    for function in (tokenize, lambda text: serving(text=text)):
        batches = [tf.constant([source]) for source in sources]
        function(batches[0])
        begin = time.perf_counter()
        for text in batches:
            function(text)
        times.append(time.perf_counter() - begin)
    return times[0] / times[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="A SavedModel of export_saved_model.")
    parser.add_argument("--file", type=Path, required=True, help="Sources, one a line.")
    parser.add_argument(
        "--model", type=Path, help="Its model.keras: adds the share of tokenization."
    )
    parser.add_argument("--count", type=int, default=500, help="Sources at most.")
    parser.add_argument(
        "--http", action="store_true", help="Measure `keras-seq2seq serve` alone, over HTTP."
    )
    parser.add_argument("--json", type=Path, help="Write the result there too.")
    arguments = parser.parse_args()
    sources = arguments.file.read_text("utf-8").splitlines()[: arguments.count]

    if arguments.http:
        print(json.dumps(over_http(arguments.path, sources), indent=2))
        return

    import tensorflow as tf

    fed, fetched = signature_tensors(arguments.path)
    request = {
        "library": str(Path(tf.__file__).parent),
        "path": str(arguments.path),
        "fed": fed["text"],
        "fetched": list(fetched.values()),
        "sources": sources,
        "warm_up": [],
        "throughput": False,
    }
    files = [file for file in arguments.path.rglob("*") if file.is_file()]
    result = {
        "machine": f"{platform.machine()}, {platform.processor() or platform.system()}",
        "tensorflow": tf.__version__,
        "sources": len(sources),
        "bytes": sum(file.stat().st_size for file in files),
        "cold": run_alone(request),
        "warmed_up": run_alone(
            request | {"warm_up": warm_up_texts(arguments.path), "throughput": True}
        ),
    }
    if arguments.model:
        result["tokenization_share"] = tokenization_share(
            arguments.path, arguments.model, sources
        )
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--measure"]:
        print(json.dumps(measure(json.load(sys.stdin))))
    else:
        main()
