"""The `.tflite` file in ai-edge-litert gives what the Keras model gives."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.lite.python import schema_py_generated as schema

from export import LiteRTRunner, export_tflite, tflite
from export.flatbuffer import Operation, compact, read_operations, unfit_operations
from export.predictors import open_predictor
from export.tflite import convert, convert_signatures
from keras_seq2seq.errors import InputError
from keras_seq2seq.pictures.attention import attention_of
from keras_seq2seq.settings import GenerationSettings
from tests.searches import BEAM, EVERY_RULE

SEARCHES = [GenerationSettings(), BEAM]
CONSTRAINED = GenerationSettings(
    num_beams=2, num_hypotheses=2, allowed=("AA", "AA CC", "FF EE DD"), alignments=True
)


@pytest.fixture(scope="module")
def greedy(text_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "device"
    export_tflite(text_model, path)
    return path


@pytest.fixture(scope="module", params=SEARCHES, ids=["greedy", "beam"])
def exported(request):
    is_beam = request.param == BEAM
    return request.getfixturevalue("text_device" if is_beam else "greedy"), request.param


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
@pytest.mark.parametrize(
    "name, search", [("transformer_model", EVERY_RULE), ("text_model", CONSTRAINED)]
)
def test_every_search_rule_and_output_converts(request, pairs, tmp_path, name, search):
    model = request.getfixturevalue(name)
    export_tflite(model, tmp_path / "device", search)
    runner = LiteRTRunner(tmp_path / "device")
    for source in pairs.sources[:6]:
        expected = model.search([source], search)
        texts, outputs = runner.generate(source)
        copied = [source] if search.replace_unknown else None
        assert texts == model.texts(expected, copied)[0]
        for key in ("token_ids", "scores", "log_probs", "token_log_probs", "alignments"):
            np.testing.assert_allclose(outputs[key], getattr(expected, key), atol=1e-4)
    # A server shows its attention.
    shown = open_predictor(tmp_path / "device").attention(
        {"text": np.array([source.encode()], object)}
    )
    _, pieces, target, weights = attention_of(model, source, search)
    assert (shown["source"], shown["target"]) == (pieces, target)
    np.testing.assert_allclose(shown["weights"], weights, atol=2e-4)


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
    assert unfit_operations(content) == []
    names = {operation.name for operation in read_operations(content)}
    assert "FULLY_CONNECTED" in names and "WHILE" in names
    small = 4 * text_model.count_params()
    # A second copy would show: the graph itself takes about 100 kB.
    assert len(content) < small + 150_000


def test_int8_weights_are_smaller_and_close(text_model, greedy, pairs, tmp_path):
    export_tflite(text_model, tmp_path / "int8", quantization="int8")
    runner, quantized = LiteRTRunner(greedy), LiteRTRunner(tmp_path / "int8")
    differences = [
        runner.generate(source)[1]["log_probs"] - quantized.generate(source)[1]["log_probs"]
        for source in pairs.sources[:20]
    ]
    assert np.median(np.abs(differences)) < 0.5
    sizes = [(path / "model.tflite").stat().st_size for path in (tmp_path / "int8", greedy)]
    assert sizes[0] < sizes[1]


def test_a_compact_file_has_the_same_tables(text_model, monkeypatch):
    monkeypatch.setattr(tflite, "_convert", tflite._converted)
    content = convert(text_model, quantization="int8")
    smaller = compact(schema.ModelT.InitFromPackedBuf(content, 0))
    assert _tables(smaller) == _without_inner_names(_tables(content))
    assert len(smaller) < len(content)
    model = schema.Model.GetRootAsModel(smaller, 0)
    start = np.frombuffer(smaller, np.uint8).ctypes.data
    for index in range(model.BuffersLength()):
        data = model.Buffers(index).DataAsNumpy()
        if not isinstance(data, int):
            assert (data.ctypes.data - start) % 16 == 0


def _tables(content):
    """A `.tflite` file as plain values; each user of a buffer with its data."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    buffers, model.buffers = model.buffers, []
    for user in [
        tensor for graph in model.subgraphs for tensor in graph.tensors
    ] + model.metadata:
        user.buffer = buffers[user.buffer].data
    return _plain(model)


def _without_inner_names(tables):
    """Only what has a value, and what goes in and out, keeps its name; what nothing reads has
    no value."""
    for graph, subgraph in enumerate(tables["subgraphs"]):
        read = {index for operator in subgraph["operators"] for index in operator["inputs"]}
        for index, tensor in enumerate(subgraph["tensors"]):
            if index not in read | {*subgraph["outputs"]}:
                tensor["buffer"] = None
        outer = [
            one["tensorIndex"]
            for signature in tables["signatureDefs"]
            if signature["subgraphIndex"] == graph
            for one in signature["inputs"] + signature["outputs"]
        ]
        for index, tensor in enumerate(subgraph["tensors"]):
            if tensor["buffer"] is None and index not in outer:
                tensor["name"] = None
    return tables


def _plain(value):
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if hasattr(value, "__dict__"):
        return {name: _plain(item) for name, item in vars(value).items()}
    return value


def test_an_unknown_quantization_is_refused(text_model):
    with pytest.raises(ValueError, match="`quantization` must be one of.*Received: 'int3'"):
        convert(text_model, quantization="int3")
    with pytest.raises(InputError, match='8-bit activations cannot be exported.*Use "int8"'):
        convert(text_model, quantization="full-int8")


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\0b", "holds a NUL character, which is no text"),
        ("a\ud83d", "holds '.ud83d', half of a surrogate pair"),
        (b"abc", "must be one string. Received: bytes b'abc'"),
        (None, "must be one string. Received: NoneType None"),
    ],
)
def test_the_runner_refuses_what_the_model_refuses(exported, text_model, text, message):
    runner = LiteRTRunner(exported[0])
    with pytest.raises(ValueError, match=message):
        runner.generate_all(["cab", text])
    with pytest.raises(InputError):
        text_model.generate(["cab", text])


def test_a_line_that_is_no_text_costs_the_runner_no_other(exported, tmp_path):
    done = subprocess.run(
        [sys.executable, "litert_runner.py"],
        cwd=exported[0],
        input=b"\xef\xbb\xbfcab\r\nca\xff\na\0b\nfee\n",
        capture_output=True,
        check=False,
    )
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 1
    assert {line.split("\t")[0] for line in lines} == {"cab", "fee"}
    found = [line for line in done.stderr.decode().splitlines() if "A source" in line]
    assert len(found) == 2 and "surrogate" in found[0] and "NUL" in found[1]


def test_float16_weights_are_half_as_large_and_agree(greedy, text_model, pairs, tmp_path):
    export_tflite(text_model, tmp_path / "float16", quantization="float16")
    runner, half = LiteRTRunner(greedy), LiteRTRunner(tmp_path / "float16")
    sources = pairs.sources[:20]
    differences = [
        runner.generate(source)[1]["log_probs"][0, 0]
        - half.generate(source)[1]["log_probs"][0, 0]
        for source in sources
    ]
    assert np.abs(differences).max() < 0.05
    sizes = [
        (folder / "model.tflite").stat().st_size for folder in (tmp_path / "float16", greedy)
    ]
    assert sizes[0] < sizes[1] - text_model.count_params()
    assert unfit_operations((tmp_path / "float16" / "model.tflite").read_bytes()) == []


def lite_file(layer, supported=()):
    """A file of one layer between two dense ones."""
    vector = keras.Input((4,), batch_size=1)
    output = keras.layers.Dense(2)(layer(keras.layers.Dense(4)(vector)))
    model = keras.Model(vector, output)
    function = tf.function(lambda x: {"y": model(x)}, [tf.TensorSpec((1, 4))], autograph=False)
    if not supported:
        traced = function.get_concrete_function()
        return convert_signatures({"serving_default": traced}, "float32")
    concrete = [function.get_concrete_function()]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(concrete, model)
    converter.target_spec.supported_ops = supported
    return converter.convert()


class Inverse(keras.layers.Layer):
    def call(self, x):
        return tf.linalg.inv(x[:, :, None] * x[:, None] + tf.eye(4))


def test_an_operation_that_tflite_lacks_is_named_with_its_layer():
    with pytest.raises(
        InputError,
        match=r"TFLite lacks operations of this model: MatrixInverse \(at .*my_layer",
    ):
        lite_file(Inverse(name="my_layer"))


def test_an_operation_of_tensorflow_inside_a_file_is_found():
    content = lite_file(
        Inverse(name="my_layer"),
        [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS],
    )
    places = {operation.name: operation.place for operation in unfit_operations(content)}
    assert "my_layer" in places["FlexMatrixInverse"]


def test_a_variable_inside_a_file_is_found():
    counter = tf.Variable(0.0)

    class Counter(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([])])
        def __call__(self, x):
            return counter.assign_add(x)

    module = Counter()
    module.counter = counter
    concrete = [module.__call__.get_concrete_function()]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(concrete, module)
    converter.experimental_enable_resource_variables = True
    names = {operation.name for operation in unfit_operations(converter.convert())}
    assert "VAR_HANDLE" in names


class LoopedConvolution(keras.layers.Layer):
    def build(self, shape):
        self.kernel = self.add_weight((3, 1, 1))
        self.built = True

    def call(self, x):
        def step(count, sequence):
            return count + 1, tf.nn.conv1d(sequence, self.kernel, 1, "SAME")

        count = tf.cast(x[0, 0] * 0 + 3, "int32")
        counts = tf.while_loop(lambda n, _: n < count, step, (0, x[:, :, None]))
        return counts[1][:, :, 0]


def test_a_convolution_in_a_loop_is_refused():
    with pytest.raises(InputError, match=r"not reliably: CONV_2D in a loop \(at "):
        lite_file(LoopedConvolution())
    # Outside of loops it stays.
    flat = keras.Sequential([keras.layers.Reshape((4, 1)), keras.layers.Conv1D(2, 3)])
    content = lite_file(keras.Sequential([flat, keras.layers.Flatten()]))
    assert "CONV_2D" in {operation.name for operation in read_operations(content)}


def test_a_builtin_operation_has_its_place(monkeypatch):
    monkeypatch.setattr(tflite, "_convert", tflite._converted)
    content = lite_file(keras.layers.Dense(3, name="my_layer"))
    places = [o.place for o in read_operations(content) if o.name == "FULLY_CONNECTED"]
    assert len(places) == 3 and any("my_layer" in place for place in places)
    assert all(isinstance(o, Operation) and o.is_builtin for o in read_operations(content))


def test_the_runner_imports_no_tensorflow():
    code = (
        "import sys; from keras_seq2seq.export import LiteRTRunner\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
