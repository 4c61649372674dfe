"""The SavedModel through TensorFlow's C API, the loader of TensorFlow Serving."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import c_session
from export import export_saved_model
from export.servable import NEWER_OPERATIONS, check_servable
from keras_seq2seq.errors import InputError
from tests.searches import BEAM

LIBRARY = Path(tf.__file__).parent


@pytest.fixture(scope="module", params=["text", "transformer"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def model(request, kind):
    return request.getfixturevalue(f"{kind}_model")


@pytest.fixture(scope="module")
def saved_model(request, kind):
    return request.getfixturevalue(f"{kind}_saved_model")


def call(path, signature, **inputs):
    """Runs a signature in a process that loads the C library and no Python of TensorFlow."""
    fed, fetched = c_session.signature_tensors(path, signature)
    request = {
        "library": str(LIBRARY),
        "path": str(path),
        "inputs": {fed[name]: value for name, value in inputs.items()},
        "outputs": list(fetched.values()),
    }
    done = subprocess.run(
        [sys.executable, c_session.__file__],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout)
    return answer if isinstance(answer, dict) else dict(zip(fetched, answer, strict=True))


@pytest.mark.large
def test_serving_default_gives_what_the_model_gives(saved_model, model, pairs):
    sources = pairs.sources[:20]
    expected = model.search(sources, BEAM)
    outputs = call(saved_model, "serving_default", text=sources)
    assert outputs["text"] == model.texts(expected)
    np.testing.assert_array_equal(outputs["length"], expected.lengths)
    np.testing.assert_allclose(outputs["log_probs"], expected.log_probs, atol=1e-4)
    np.testing.assert_allclose(outputs["scores"], expected.scores, atol=1e-4)


@pytest.mark.large
def test_inputs_with_defaults_may_be_left_out(text_saved_model, text_model, pairs):
    """What a request may change has its default in the graph, so the C API needs no more."""
    sources = pairs.sources[:5]
    expected = text_model.texts(text_model.search(sources, BEAM))
    assert call(text_saved_model, "generate", text=sources)["text"] == expected


@pytest.mark.large
def test_score_gives_what_the_model_gives(saved_model, model, pairs):
    sources, targets = pairs.sources[:10], pairs.targets[:10]
    outputs = call(saved_model, "score", source=sources, target=targets)
    np.testing.assert_allclose(outputs["log_probs"], model.score(sources, targets), atol=1e-4)


@pytest.mark.large
def test_a_broken_artefact_is_an_error_of_the_loader(text_saved_model, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(text_saved_model, broken)
    (broken / "variables" / "variables.index").unlink()
    fed, fetched = c_session.signature_tensors(broken)
    assert "code" in call(broken, "serving_default", text=["cab"])


def test_the_models_use_core_operations_alone(saved_model):
    check_servable(saved_model)


def save(tmp_path, function):
    module = tf.Module()
    module.call = tf.function(function, [tf.TensorSpec([], tf.string)], autograph=False)
    tf.saved_model.save(module, str(tmp_path / "saved_model"))
    return tmp_path / "saved_model"


@pytest.mark.parametrize(
    "function, operation",
    [
        (lambda text: tf.numpy_function(lambda t: t, [text], tf.string), "PyFunc"),
        (lambda text: tf.py_function(lambda t: t, [text], tf.string), "EagerPyFunc"),
        (lambda text: tf.raw_ops.DecodeJxl(contents=text), "DecodeJxl"),
    ],
)
def test_an_operation_that_the_server_lacks_is_named(tmp_path, function, operation):
    path = save(tmp_path, function)
    with pytest.raises(InputError, match=rf"lacks operations of this model: {operation} \(in"):
        check_servable(path)


def test_operations_of_tensorflow_text_that_the_server_has_are_allowed(tmp_path):
    text = pytest.importorskip("tensorflow_text")
    check_servable(save(tmp_path, lambda string: text.normalize_utf8(string)))


def test_operations_called_newer_exist():
    assert all(hasattr(tf.raw_ops, name) for name in NEWER_OPERATIONS)


def test_an_export_with_such_an_operation_leaves_nothing(text_model, tmp_path, monkeypatch):
    monkeypatch.setattr("export.servable.NEWER_OPERATIONS", frozenset({"MatMul"}))
    with pytest.raises(InputError, match="lacks operations of this model: MatMul"):
        export_saved_model(text_model, tmp_path / "saved_model")
    assert not list(tmp_path.iterdir())


@pytest.mark.large
def test_several_threads_share_a_session(text_saved_model, text_model, pairs):
    """In a process of its own: two copies of TensorFlow do not share one."""
    fed, fetched = c_session.signature_tensors(text_saved_model)
    program = f"""
import sys
sys.path.insert(0, {str(Path(c_session.__file__).parent)!r})
from concurrent.futures import ThreadPoolExecutor
from c_session import CSession
session = CSession({str(LIBRARY)!r}, {str(text_saved_model)!r})
def run(source):
    return session.run({{{fed["text"]!r}: [source]}}, [{fetched["text"]!r}])[0][0, 0].decode()
with ThreadPoolExecutor(4) as pool:
    print("\\n".join(pool.map(run, {pairs.sources[:40]!r})))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == text_model.generate(pairs.sources[:40], BEAM)
