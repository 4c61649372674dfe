"""Sixteen clients of all kinds against one server, for as long as wanted."""

import contextlib
import http.client
import json
import os
import random
import threading
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any

import numpy as np

from keras_seq2seq.serving import Client

BAD = (b"{", b'{"instances": [1]}', b'{"instances": []}', b'{"inputs": {"x": ["a"]}}')
KINDS = {"bad": 1, "left": 1, "slow": 1, "stream": 1, "good": 16}


def resident_bytes(process: int) -> int:
    """Memory of a process."""
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Soak:
    """Of twenty requests one is bad, one is left before its answer, one is read slowly, one is
    a stream. Every fourth client asks over gRPC.

    Args:
        urls: Of the model, over HTTP and over gRPC.
        process: The server's.
        versions: Of each version that may answer, the texts of every source.
        seconds: How long.
        pause: Mean seconds of a client between two requests.
    """

    def __init__(
        self,
        urls: Sequence[str],
        process: int,
        versions: Sequence[Mapping[str, list[str]]],
        seconds: float,
        pause: float = 0.0,
    ):
        self.url, self.grpc_url = urls
        self.address = self.url.removeprefix("http://").partition("/")[0]
        self.path = self.url[len(f"http://{self.address}") :]
        self.process, self.versions = process, versions
        self.sources = [*versions[0], ""]
        self.seconds, self.pause, self.begin = seconds, pause, time.monotonic()
        # Of every second the bytes of the process; of every thirtieth of the time the seconds
        # that requests took.
        self.sizes: dict[int, int] = {}
        self.times: dict[int, array] = defaultdict(lambda: array("f"))
        self.is_over = threading.Event()
        # Of requests that were answered wrongly, what was asked and what came.
        self.mistakes: list[tuple[str, list[str], Any]] = []

    def run(self, clients: int = 16) -> Counter:
        """How many requests there were of each kind, and how many answers were wrong."""
        with futures.ThreadPoolExecutor(clients) as pool:
            counts = sum(pool.map(self._client, range(clients)), Counter())
        self.is_over.set()
        return counts

    def _client(self, number: int) -> Counter:
        rng, counts = random.Random(number), Counter()
        over_grpc = Client(self.grpc_url, 60) if number % 4 == 0 else None
        while (passed := time.monotonic() - self.begin) < self.seconds:
            self.sizes.setdefault(int(passed), resident_bytes(self.process))
            (kind,) = rng.choices([*KINDS], [*KINDS.values()])
            words = rng.choices(self.sources, k=rng.randint(1, 4))
            begin = time.monotonic()
            if over_grpc is not None and kind == "good":
                answers = over_grpc.generate(words)
                came: Any = [one.texts for one in answers]
                right = self._are_right(words, came, empty=[])
            else:
                right, came = self._over_http(kind, words, rng)
            if not right:
                self.mistakes.append((kind, words, came))
            counts[kind if right else "wrong"] += 1
            if kind == "good":
                self.times[int(30 * passed / self.seconds)].append(time.monotonic() - begin)
            time.sleep(rng.uniform(0, 2 * self.pause))
        return counts

    def _over_http(self, kind: str, words: list[str], rng: random.Random) -> tuple[bool, Any]:
        path, body = f"{self.path}:predict", json.dumps({"instances": words})
        if kind == "bad":
            body = rng.choice(BAD)
        if kind == "stream":
            path, words = f"{self.path}/generate_stream", words[:1]
            body = json.dumps({"text": words[0]})
        connection = http.client.HTTPConnection(self.address, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", path, body)
            if kind == "left":
                return True, b""
            response = connection.getresponse()
            content = b""
            while piece := response.read(40 if kind == "slow" else 1 << 20):
                content += piece
                time.sleep(0.01 * (kind == "slow"))
        if kind == "bad" or (kind == "stream" and not words[0]):
            told = ["error"] if kind == "bad" else ["error", "of_source"]
            return response.status == 400 and list(json.loads(content)) == told, content
        if kind == "stream":
            *_, (name, data) = [event.split(b"\n") for event in content.split(b"\n\n")[:-1]]
            done = json.loads(data.removeprefix(b"data: "))
            return name == b"event: done" and self._are_right(words, [done["text"]]), content
        texts = [row["text"] for row in json.loads(content)["predictions"]]
        return self._are_right(words, texts), texts

    def _are_right(
        self, words: list[str], texts: list[list[str]], empty: list[str] | None = None
    ) -> bool:
        """Whether one version has said all of them."""

        def said(version: Mapping[str, list[str]]) -> list[list[str]]:
            nothing = [""] * len(next(iter(version.values()))) if empty is None else empty
            return [version.get(word, nothing) for word in words]

        return any(texts == said(version) for version in self.versions)

    def slowest(self, begin: float, end: float) -> float:
        """The 99 % quantile of the seconds of requests between two shares of the time."""
        chosen = [
            one
            for part, times in self.times.items()
            if begin <= part / 30 < end
            for one in times
        ]
        return float(np.percentile(chosen, 99))

    def megabytes(self, share: float) -> float:
        """Memory of the server when that share of the time was over."""
        at = min(self.sizes, key=lambda second: abs(second - share * self.seconds))
        return self.sizes[at] / 1e6
