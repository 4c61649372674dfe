import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from export import export_saved_model, export_tflite
from tests.searches import BEAM


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """`once(name, write)`: the path that `write` makes, made by one of the parallel workers,
    the first that asks. What is there is read alone."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def made(name: str, write: Callable[[Path], object]) -> Path:
        path = folder / name
        with open(folder / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                write(path)
        return path

    return made


@pytest.fixture(scope="session")
def text_saved_model(once, text_model) -> Path:
    return once("text_saved_model", lambda path: export_saved_model(text_model, path, BEAM))


@pytest.fixture(scope="session")
def text_device(once, text_model) -> Path:
    return once("text_device", lambda path: export_tflite(text_model, path, BEAM))


@pytest.fixture(scope="session")
def transformer_saved_model(once, transformer_model) -> Path:
    return once(
        "transformer_saved_model",
        lambda path: export_saved_model(transformer_model, path, BEAM),
    )


@pytest.fixture
def quick(monkeypatch):
    """Stands for the slow part, the tracing and converting."""

    def write_graph(path, functions, tables):
        os.makedirs(f"{path}/variables")
        Path(path, "saved_model.pb").write_bytes(b"x" * 1000)

    def warm_up(path):
        return 3

    class Writer:
        def __init__(self, path):
            self.file = open(path, "wb")

        def write(self, record):
            self.file.write(record)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

    monkeypatch.setattr("export.saved_model.write_graph", write_graph)
    monkeypatch.setattr("export.saved_model.check_servable", lambda folder: None)
    monkeypatch.setattr("export.signatures.TextSignatures.functions", lambda self: {})
    monkeypatch.setattr("export.tflite.WrittenGraph.convert", lambda *arguments: b"x" * 1000)
    monkeypatch.setattr("export.web._convert", lambda *arguments: b"x" * 1000)
    monkeypatch.setattr("export.serving.replay_warm_up", warm_up)
    monkeypatch.setattr("export.serving.tf.io.TFRecordWriter", Writer)
    vector = {"source": "a", "encoder_token_ids": [4, 3], "token_ids": [[4]], "texts": ["AA"]}
    for module in ("device_bundle", "web"):
        monkeypatch.setattr(
            f"export.{module}.make_test_vectors", lambda *arguments: {"vectors": [vector]}
        )
