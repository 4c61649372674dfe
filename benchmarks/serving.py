"""What a SavedModel costs to serve: size, loading, the first request, throughput, tokenization.

    python benchmarks/serving.py exports/demo/saved_model --file words.txt --model MODEL.keras

Requests go through TensorFlow's C API, the code that TensorFlow Serving runs; what a network
and the server's own queue add is not in the figures. Each measurement of loading and of a
first request is of a new process. One JSON object is printed. With --http it is our own server
that is measured, with its queue and the network of this machine; any number of exports and
runs, each with options of `serve` ("runs/demo --engine xla"), take turns.
"""

import argparse
import contextlib
import json
import os
import platform
import selectors
import shlex
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


class OurServer:
    """`keras-seq2seq serve`, and how fast it answers.

    Args:
        what: An export or a run, and options of `serve`: `"runs/demo --engine xla"`.
    """

    def __init__(self, what: str):
        command = [sys.executable, "-m", "keras_seq2seq", "serve", *shlex.split(what)]
        command += ["--port", "0", "--model-name", "m"]
        self.name, self.address = what, ("", 0)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def wait(self) -> None:
        """Until it is ready."""
        url = self.process.stdout.readline().removeprefix("Serving http://").strip()
        host, port = url.partition("/")[0].split(":")
        self.address = host, int(port)

    def ask(self, sources: list[str], clients: int) -> dict[str, float]:
        """Sources one a request, by clients that each wait for an answer before they ask on.

        They are lines of one thread, since `http.client` takes as much of the processor as
        the server; they run on the same machine, and what they take of it is told.
        """
        left, waits = iter(sources), {}
        before, mine = self._processor_seconds(), time.process_time()
        busy, begin = busy_seconds(), time.perf_counter()
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:

            def next_source(connection: socket.socket) -> None:
                source = next(left, None)
                if source is None:
                    selector.unregister(connection)
                    return
                waits[connection] = b""
                body = json.dumps({"instances": [source]}).encode()
                connection.sendall(HEAD % len(body) + body)

            for _ in range(clients):
                connection = stack.enter_context(socket.create_connection(self.address))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ)
                next_source(connection)
            while selector.get_map():
                for key, _ in selector.select():
                    connection = key.fileobj
                    waits[connection] += connection.recv(1 << 16)
                    head, _, body = waits[connection].partition(b"\r\n\r\n")
                    assert head.startswith(b"HTTP/1.1 200 "), head
                    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    if len(body) == length:
                        next_source(connection)
        seconds = time.perf_counter() - begin
        mine = time.process_time() - mine
        server = self._processor_seconds() - before
        others = busy_seconds() - busy - mine - server
        count = len(sources)
        return {
            "sources_per_second": count / seconds,
            "server_ms": 1000 * server / count,
            "client_ms": 1000 * mine / count,
            "others": others / seconds / (os.cpu_count() or 1),
        }

    def _processor_seconds(self) -> float:
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def busy_seconds() -> float:
    """Of all processors of the machine since it started."""
    words = Path("/proc/stat").read_text().splitlines()[0].split()
    return sum(map(int, [*words[1:4], *words[6:8]])) / os.sysconf("SC_CLK_TCK")


def over_http(paths: list[str], sources: list[str], rounds: int) -> list[dict]:
    """Medians of rounds in which the servers and the numbers of clients take turns.

    `ratio` is that of the rate to the rate of one client, `processor_ratio` that of the
    server's processor time a source; `others` is the share of the processors that other
    processes took, which make rates worthless where it is not small.
    """
    servers = [OurServer(path) for path in paths]
    counts = (1, 8, 16, 32)
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    try:
        for server in servers:
            server.wait()
            for clients in counts:  # Shapes of batches are met for the first time.
                server.ask(sources[:300], clients)
        for _ in range(rounds):
            for server in servers:
                for clients in counts:
                    share = sources if clients > 1 else sources[: len(sources) // 3]
                    row = server.ask(share, clients)
                    found.setdefault((server.name, clients), []).append(row)
    finally:
        for server in servers:
            server.process.terminate()
            server.process.wait()
    rows = []
    for (name, clients), measured in found.items():
        alone = found[name, 1]
        pairs = list(zip(measured, alone, strict=True))
        ratios = {
            "ratio": [a["sources_per_second"] / b["sources_per_second"] for a, b in pairs],
            "processor_ratio": [b["server_ms"] / a["server_ms"] for a, b in pairs],
        }
        medians = {key: np.median([row[key] for row in measured]) for key in measured[0]}
        medians |= {key: np.median(values) for key, values in ratios.items()}
        numbers = {key: round(float(value), 2) for key, value in medians.items()}
        rows.append({"server": name, "clients": clients, **numbers, "rounds": measured})
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
    parser.add_argument("path", nargs="+", help="A SavedModel; with --http anything.")
    parser.add_argument("--file", type=Path, required=True, help="Sources, one a line.")
    parser.add_argument(
        "--model", type=Path, help="Its model.keras: adds the share of tokenization."
    )
    parser.add_argument("--count", type=int, default=500, help="Sources at most.")
    parser.add_argument(
        "--http", action="store_true", help="Measure `keras-seq2seq serve` alone, over HTTP."
    )
    parser.add_argument("--rounds", type=int, default=5, help="Of --http.")
    parser.add_argument("--json", type=Path, help="Write the result there too.")
    arguments = parser.parse_args()
    sources = arguments.file.read_text("utf-8").splitlines()[: arguments.count]

    if arguments.http:
        rows = over_http(arguments.path, sources, arguments.rounds)
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
        for row in rows:
            print(json.dumps({key: value for key, value in row.items() if key != "rounds"}))
        return
    path = Path(arguments.path[0])

    import tensorflow as tf

    fed, fetched = signature_tensors(path)
    request = {
        "library": str(Path(tf.__file__).parent),
        "path": str(path),
        "fed": fed["text"],
        "fetched": list(fetched.values()),
        "sources": sources,
        "warm_up": [],
        "throughput": False,
    }
    files = [file for file in path.rglob("*") if file.is_file()]
    result = {
        "machine": f"{platform.machine()}, {platform.processor() or platform.system()}",
        "tensorflow": tf.__version__,
        "sources": len(sources),
        "bytes": sum(file.stat().st_size for file in files),
        "cold": run_alone(request),
        "warmed_up": run_alone(request | {"warm_up": warm_up_texts(path), "throughput": True}),
    }
    if arguments.model:
        result["tokenization_share"] = tokenization_share(path, arguments.model, sources)
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--measure"]:
        print(json.dumps(measure(json.load(sys.stdin))))
    else:
        main()
