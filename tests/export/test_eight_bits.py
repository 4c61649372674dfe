"""Weights of 8 bits are those of TensorFlow's converter, and loops keep their constants."""

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorflow.lite.python import schema_py_generated as schema

from export import tflite
from export.eight_bits import give_8_bits, quantized
from export.flatbuffer import builtin_number, compact, read_operations
from export.graph import write_graph
from export.tflite import convert, convert_signatures
from keras_seq2seq.settings import GenerationSettings

FLOATS = tf.TensorSpec((2, 12, 40), tf.float32, name="inputs")


def tables(content):
    return schema.ModelT.InitFromPackedBuf(content, 0)


def described(content):
    """Each graph by what it computes: operations, their options, and the content of tensors;
    what goes from one to the next by the order in which it appears."""
    model = tables(content)
    graphs = []
    for graph in model.subgraphs:
        order: dict[int, int] = {}

        def seen(index, graph=graph, order=order):
            if index < 0:
                return None
            tensor = graph.tensors[index]
            data, scales = model.buffers[tensor.buffer].data, tensor.quantization
            number = order.setdefault(int(index), len(order)) if data is None else "constant"
            if scales is not None and scales.scale is not None:
                scales = [*scales.scale], [*scales.zeroPoint], scales.quantizedDimension
            else:
                scales = None
            shape = [] if tensor.shape is None else [*tensor.shape]
            return number, tensor.type, shape, None if data is None else bytes(data), scales

        first = [seen(index) for index in graph.inputs]
        rows = []
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            options = vars(operator.builtinOptions) if operator.builtinOptions else {}
            rows.append(
                (builtin_number(code), code.version, {k: str(v) for k, v in options.items()})
                + tuple([seen(i) for i in side] for side in (operator.inputs, operator.outputs))
            )
        graphs.append((graph.name, first, rows, [seen(index) for index in graph.outputs]))
    return graphs


def function_of(weights):
    """A convolution, dense layers, an embedding that is a matrix of logits too."""

    @tf.function(input_signature=[FLOATS, tf.TensorSpec((2, 1), tf.int32, name="ids")])
    def run(inputs, ids):
        hidden = tf.nn.conv1d(inputs, weights["filters"], stride=2, padding="VALID")
        hidden = tf.nn.relu(tf.matmul(hidden, weights["dense"]) + weights["bias"])
        hidden = hidden[:, 0] + tf.gather(weights["table"], ids)[:, 0]
        small = tf.matmul(hidden, weights["small"])
        return {"logits": tf.matmul(hidden, weights["table"], transpose_b=True), "s": small}

    return {"serving_default": run.get_concrete_function()}


def made_up_weights():
    random = np.random.default_rng(1)
    # Numbers of half precision, as trained models have them: ties are frequent.
    values = {
        name: random.normal(size=shape).astype(np.float16).astype(np.float32)
        for name, shape in (
            ("filters", (3, 40, 64)),
            ("dense", (64, 48)),
            ("table", (70, 48)),
            ("small", (48, 3)),
            ("bias", (48,)),
        )
    }
    values["dense"][:, 3] = 0
    values["dense"][:, 4] = 1e-7
    values["table"][5] = 0
    return {name: tf.Variable(value) for name, value in values.items()}


def both(functions, folder):
    """A file of 8 bits as it is made here, and as the converter makes it."""
    write_graph(folder, functions)
    made = tflite._convert(folder, functions, "int8")
    return made, compact(tables(tflite._converted(folder, functions, "int8")))


def test_every_kind_of_weight_is_as_the_converter_makes_it(tmp_path):
    made, expected = both(function_of(made_up_weights()), str(tmp_path))
    assert described(made) == described(expected)
    numbers = [tensor.type for graph in tables(made).subgraphs for tensor in graph.tensors]
    assert numbers.count(schema.TensorType.INT8) == 5  # Four weights, and a gathered row.
    runs = [Interpreter(model_content=content) for content in (made, expected)]
    inputs = np.random.default_rng(2).normal(size=FLOATS.shape).astype(np.float32)
    answers = []
    for run in runs:
        run.allocate_tensors()
        answers.append(
            run.get_signature_runner()(inputs=inputs, ids=np.array([[1], [5]], np.int32))
        )
    np.testing.assert_array_equal(answers[0]["logits"], answers[1]["logits"])


def test_a_whole_model_is_as_the_converter_makes_it(text_model, monkeypatch):
    made = convert(text_model, quantization="int8")
    monkeypatch.setattr(tflite, "give_8_bits", lambda model: False)
    assert described(made) == described(convert(text_model, quantization="int8"))


@pytest.mark.parametrize("kind", ["other operation", "not finite"])
def test_what_is_left_to_the_converter_has_8_bits_too(kind, tmp_path):
    weights = made_up_weights()
    if kind == "not finite":
        weights["dense"].assign(tf.where(weights["dense"] == 0, np.inf, weights["dense"]))

    @tf.function(input_signature=[FLOATS])
    def run(inputs):
        if kind == "not finite":
            return {"output": tf.matmul(inputs[:, 0, :40], weights["dense"][:40])}
        shape = (1, 3, 40, 16)
        filters = tf.reshape(weights["filters"][..., :16], shape)
        return {"output": tf.nn.depthwise_conv2d(inputs[:, None], filters, [1] * 4, "VALID")}

    functions = {"serving_default": run.get_concrete_function()}
    write_graph(str(tmp_path), functions)
    assert not give_8_bits(tables(tflite._converted(str(tmp_path), functions, "float32")))
    assert len(convert_signatures(functions, "int8")) > 0


def test_values_by_hand():
    rows = np.array([[127, 0.5, -0.5, 1.5, 63.499], [0, 0, 0, 0, 0], [-254, 1, 3, -5, 254]])
    numbers, scales = quantized(rows.astype(np.float32), by_row=True)
    assert numbers.tolist() == [[127, 1, -1, 2, 63], [0] * 5, [-127, 1, 2, -3, 127]]
    np.testing.assert_array_equal(scales, np.float32([1, 5e-7 / 127, 2]))
    numbers, scales = quantized(rows.astype(np.float32), by_row=False)
    assert numbers.tolist() == [[64, 0, 0, 1, 32], [0] * 5, [-127, 1, 2, -3, 127]]
    np.testing.assert_array_equal(scales, np.float32([2]))


@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=2, max_dims=3, max_side=9),
        elements=st.floats(-1e30, 1e30, width=32),
    ),
    st.booleans(),
)
def test_no_weight_is_off_by_more_than_half_a_step(values, by_row):
    numbers, scales = quantized(values, by_row)
    assert numbers.shape == values.shape and len(scales) == (len(values) if by_row else 1)
    steps = scales.astype(np.float64).reshape((-1,) + (1,) * (values.ndim - 1))
    assert (np.abs(numbers * steps - values) <= 0.5 * steps * (1 + 1e-4)).all()


def test_loops_in_a_row_have_the_embedding_as_a_constant(transformer_model):
    settings = GenerationSettings()
    with tflite.WrittenGraph(transformer_model, settings, 2) as graph:
        files = {kind: graph.convert(kind) for kind in ("float32", "int8")}
        raw = tables(tflite._wide(graph._folder.name, ()))
    size = transformer_model.decoder.embedding.vocabulary_size

    def handed_to_loops(model):
        return [
            [*graph.tensors[index].shape]
            for graph in model.subgraphs
            for operator in graph.operators
            if operator.builtinOptionsType == schema.BuiltinOptions.WhileOptions
            for index in operator.inputs
            if [
                *(graph.tensors[index].shape if graph.tensors[index].shape is not None else [])
            ][:1]
            == [size]
        ]

    assert len(handed_to_loops(raw)) > 1
    for content in files.values():
        assert handed_to_loops(tables(content)) == []
    names = {operation.name for operation in read_operations(files["float32"])}
    assert "WHILE" in names
