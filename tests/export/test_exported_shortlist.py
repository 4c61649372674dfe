"""A shortlist inside exports: what the model gives with it."""

import numpy as np
import pytest
import tensorflow as tf

from export.onnx_export import export_onnx, export_onnx_loop
from export.signatures import TextSignatures
from export.tflite import convert
from export.web import export_web
from keras_seq2seq.data.shortlist import Shortlist, fingerprint
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings

SOURCES = ["cab", "bac", "a"]


@pytest.fixture(scope="module")
def settings(preprocessor, tmp_path_factory):
    """A token for each source token, by beam search."""
    path = tmp_path_factory.mktemp("lists") / "some"
    sizes = [one.vocabulary_size() for one in preprocessor.tokenizers.values()]
    table = np.random.default_rng(2).integers(4, sizes[1], (sizes[0], 1), dtype=np.int32)
    common, room = np.arange(4, dtype=np.int32), np.full(11, 9, np.int32)
    Shortlist(table, common, room, fingerprint(preprocessor)).write(path)
    return GenerationSettings(
        num_beams=2, num_hypotheses=2, shortlist=str(path), bias=(("AA", 1.0),)
    )


def test_the_graph_of_a_saved_model_has_the_list(text_model, settings):
    signatures = TextSignatures(text_model, settings)
    expected = text_model.search(SOURCES, settings)
    serve = tf.function(signatures.generate_text, autograph=False)
    found = serve(text=tf.constant(SOURCES))
    np.testing.assert_array_equal(found["token_ids"], expected.token_ids)
    np.testing.assert_allclose(found["log_probs"], expected.log_probs, atol=1e-4)
    assert not any(found["error"].numpy())
    free = text_model.search(SOURCES, num_beams=2, num_hypotheses=2, bias={"AA": 1.0})
    assert (free.token_ids != expected.token_ids).any()


def test_a_device_has_the_list_of_a_size(text_model, settings):
    content = convert(text_model, settings, "float32", batch_size=len(SOURCES))
    ids = text_model.preprocessor.encoder_inputs(SOURCES)["encoder_token_ids"].numpy()
    interpreter = tf.lite.Interpreter(model_content=content)
    runner = interpreter.get_signature_runner("serving_default")
    found = runner(encoder_token_ids=ids)
    expected = text_model.search(SOURCES, settings)
    np.testing.assert_array_equal(found["token_ids"], expected.token_ids)
    np.testing.assert_allclose(found["log_probs"], expected.log_probs, atol=1e-4)


def test_formats_without_lists_say_so(text_model, settings, tmp_path):
    for export in (export_onnx, export_onnx_loop, export_web):
        with pytest.raises(InputError, match="no --shortlist"):
            export(text_model, tmp_path / "out", settings)
    with pytest.raises(InputError, match="tflite_int8 has no --shortlist"):
        convert(text_model, settings, "int8")
