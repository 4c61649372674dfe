"""What the server counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SOURCES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Measures:
    """Counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "keras_seq2seq_requests",
            "Requests by model, kind and HTTP status; 499: the client left.",
            ["model", "kind", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "keras_seq2seq_request_seconds",
            "Seconds from a request to its answer.",
            ["model", "kind"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "keras_seq2seq_batch_sources",
            "Sources of a batch.",
            ["model"],
            buckets=_SOURCES,
            registry=self._registry,
        )
        self._errors = Counter(
            "keras_seq2seq_source_errors",
            "Sources that have an error in the place of an answer.",
            ["model"],
            registry=self._registry,
        )
        self._waiting = Gauge(
            "keras_seq2seq_waiting_sources",
            "Sources that wait.",
            ["model"],
            registry=self._registry,
        )

    def request(self, model: str, kind: str, status: int, seconds: float) -> None:
        """Counts one request."""
        self._requests.labels(model, kind, str(status)).inc()
        self._seconds.labels(model, kind).observe(seconds)

    def batch(self, model: str, sources: int) -> None:
        """Counts one batch."""
        self._batches.labels(model).observe(sources)

    def source_errors(self, model: str, count: int) -> None:
        """Counts sources that were wrong."""
        self._errors.labels(model).inc(count)

    def text(self, waiting: dict[str, int]) -> bytes:
        """All of it, with the sources that wait now by model."""
        for model, count in waiting.items():
            self._waiting.labels(model).set(count)
        return generate_latest(self._registry)
