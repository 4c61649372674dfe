"""The `.tflite` file in ai-edge-litert gives what the Keras model gives."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from export import LiteRTRunner, export_tflite
from export.tflite import convert
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings

SEARCHES = [GenerationSettings(), GenerationSettings(3, 2, 0.5)]


@pytest.fixture(scope="module", params=SEARCHES, ids=["greedy", "beam"])
def exported(request, text_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "device"
    export_tflite(text_model, path, request.param)
    return path, request.param


@pytest.mark.large
def test_the_whole_loop_is_that_of_the_model(exported, text_model, pairs):
    path, search = exported
    runner = LiteRTRunner(path)
    sources = pairs.sources[:30]
    expected = text_model.search(sources, search)
    texts = text_model.texts(expected)
    for row, source in enumerate(sources):
        received, outputs = runner.generate(source)
        assert received == texts[row]
        np.testing.assert_array_equal(outputs["token_ids"][0], expected.token_ids[row])
        np.testing.assert_array_equal(outputs["length"][0], expected.lengths[row])
        np.testing.assert_allclose(outputs["log_probs"][0], expected.log_probs[row], atol=1e-4)
        np.testing.assert_allclose(outputs["scores"][0], expected.scores[row], atol=1e-4)


@pytest.mark.large
def test_a_loop_written_by_hand_over_the_step_gives_the_greedy_result(
    exported, text_model, pairs
):
    interpreter = Interpreter(str(exported[0] / "model.tflite"))
    encode = interpreter.get_signature_runner("encode")
    step = interpreter.get_signature_runner("decode_step")
    for source in pairs.sources[:10]:
        ids = text_model.preprocessor.tokenize_source([source]).to_tensor().numpy()
        state = encode(encoder_token_ids=ids)
        token, tokens = text_model.start_id, []
        for _ in range(text_model.max_length - 1):
            outputs = step(token=np.array([token], np.int32), **state)
            logits = outputs["logits"][0]
            logits[[0, text_model.start_id]] = -np.inf
            token = int(logits.argmax())
            tokens.append(token)
            state |= {name: value for name, value in outputs.items() if name in state}
        text = text_model.preprocessor.target_tokenizer.detokenize([tokens])
        assert text.numpy()[0].decode() == text_model.generate(source)


def test_padding_does_not_matter(exported, text_model):
    interpreter = Interpreter(str(exported[0] / "model.tflite"))
    generate = interpreter.get_signature_runner("serving_default")
    ids = text_model.preprocessor.tokenize_source(["cab"]).to_tensor().numpy()
    expected = generate(encoder_token_ids=ids)
    received = generate(encoder_token_ids=np.pad(ids, [(0, 0), (0, 3)]))
    np.testing.assert_array_equal(received["token_ids"], expected["token_ids"])


def test_signatures_share_one_copy_of_the_weights_and_need_builtin_operations_alone(
    exported, text_model
):
    content = (exported[0] / "model.tflite").read_bytes()
    interpreter = Interpreter(model_content=content)
    assert set(interpreter.get_signature_list()) == {"serving_default", "encode", "decode_step"}
    operations = {operation["op_name"] for operation in interpreter._get_ops_details()}
    assert not [name for name in operations if "Flex" in name or "Var" in name.title()[:3]]
    small = 4 * text_model.count_params()
    # A second copy would show: the graph itself takes about 100 kB.
    assert len(content) < small + 150_000


def test_int8_weights_are_smaller_and_close(text_model, pairs, tmp_path):
    export_tflite(text_model, tmp_path / "float32")
    export_tflite(text_model, tmp_path / "int8", quantization="int8")
    runner, quantized = LiteRTRunner(tmp_path / "float32"), LiteRTRunner(tmp_path / "int8")
    differences = [
        runner.generate(source)[1]["log_probs"] - quantized.generate(source)[1]["log_probs"]
        for source in pairs.sources[:20]
    ]
    assert np.median(np.abs(differences)) < 0.5
    sizes = [(tmp_path / n / "model.tflite").stat().st_size for n in ("int8", "float32")]
    assert sizes[0] < sizes[1]


def test_an_unknown_quantization_is_refused(text_model):
    with pytest.raises(ValueError, match="`quantization` must be one of.*Received: 'int3'"):
        convert(text_model, quantization="int3")


def test_sampling_is_refused(text_model):
    with pytest.raises(InputError, match="Sampling cannot be exported to TFLite"):
        convert(text_model, GenerationSettings(sample=True))


def test_nothing_is_overwritten(exported, text_model):
    with pytest.raises(InputError, match="exists"):
        export_tflite(text_model, exported[0])


@pytest.mark.parametrize("text", ["", "abcabcab"])
def test_the_runner_refuses_a_source_that_does_not_fit(exported, text):
    with pytest.raises(ValueError, match=f"from 1 to 7 tokens. Received {len(text)}"):
        LiteRTRunner(exported[0]).generate(text)


@settings(deadline=None, max_examples=60)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=7))
def test_the_runner_tokenizes_as_the_graph_does(text, runner_and_preprocessor):
    runner, preprocessor = runner_and_preprocessor
    expected = preprocessor.tokenize_source([text]).to_list()[0]
    assert runner.tokenize(text) == expected


@pytest.fixture(scope="module")
def runner_and_preprocessor(text_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "device"
    export_tflite(text_model, path)
    return LiteRTRunner(path), text_model.preprocessor
