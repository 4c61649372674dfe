"""An engine without TensorFlow, which tells what it was asked."""

import threading
import time
from pathlib import Path

import numpy as np

from keras_seq2seq.serving.client import AS_EXPORTED
from keras_seq2seq.serving.tensors import RequestError, Signature, Tensor
from keras_seq2seq.serving.versions import ServedModel

NOWHERE = Path("nowhere")
STRINGS = Tensor("string", (None,))
OUTPUTS = {
    "text": Tensor("string", (None, None)),
    "log_probs": Tensor("float32", (None, None)),
    "scores": Tensor("float32", (None, None)),
    "error": STRINGS,
}
OPTIONS = {"prefix": STRINGS} | {
    name: Tensor("int32" if isinstance(value, int) else "float32", (None,))
    for name, value in AS_EXPORTED.items()
    if name != "prefix"
}
SIGNATURES = {
    "serving_default": Signature({"text": STRINGS}, OUTPUTS),
    "generate": Signature({"text": STRINGS, **OPTIONS}, OUTPUTS),
    "encode": Signature({"text": STRINGS}, {"memory": Tensor("float32", (None, 2))}),
}


class Reverser:
    """Turns a source around. "" has an error, "poison" fails the batch that it is in."""

    joins = True
    threads = 1
    sample_rate = 0
    has_attention = True

    def __init__(self, mark=""):
        self.signatures = SIGNATURES
        self.mark, self.delay, self.streams = mark, 0.0, False
        self.batches = []
        self.go_on = threading.Event()
        self.go_on.set()

    def predict(self, signature, inputs):
        sources = [text.decode() for text in inputs["text"]]
        self.batches.append((signature, sources))
        time.sleep(self.delay)
        assert self.go_on.wait(10)
        if "poison" in sources:
            raise RequestError(400, "poisoned")
        if "broken" in sources:
            raise OSError("disk")
        if signature == "encode":
            return {"memory": np.zeros((len(sources), 2), np.float32)}
        n_best = int(inputs["n_best"][0]) or 1 if signature == "generate" else 1
        texts = [[(self.mark + text[::-1]).encode()] * n_best for text in sources]
        return {
            "text": np.array(texts, object),
            "log_probs": np.full((len(sources), n_best), -0.2, np.float32),
            "scores": np.full((len(sources), n_best), -0.1, np.float32),
            "error": np.array([b"" if text else b"empty" for text in sources], object),
        }

    def stream(self, inputs):
        text = inputs["text"][0].decode()[::-1]
        if text == "nekorb":
            raise OSError("disk")
        return (text[: i + 1] for i in range(len(text))) if self.streams else None

    def attention(self, inputs):
        text = inputs["text"][0].decode()
        weights = np.eye(len(text))[::-1].tolist()
        return {"source": [*text], "target": [*text[::-1]], "weights": weights}


def one_model(engine, limits=None, **settings):
    return ServedModel("m", lambda: {1: NOWHERE}, lambda path: engine, limits, **settings)
