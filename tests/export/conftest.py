import os
from pathlib import Path

import pytest


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
    monkeypatch.setattr("export.tflite.convert", lambda *arguments: b"x" * 1000)
    monkeypatch.setattr("export.web._convert", lambda *arguments: b"x" * 1000)
    monkeypatch.setattr("export.serving.replay_warm_up", warm_up)
    monkeypatch.setattr("export.serving.tf.io.TFRecordWriter", Writer)
    vector = {"source": "a", "encoder_token_ids": [4, 3], "token_ids": [[4]], "texts": ["AA"]}
    for module in ("device_bundle", "web"):
        monkeypatch.setattr(
            f"export.{module}.make_test_vectors", lambda *arguments: {"vectors": [vector]}
        )
