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
from export.flatbuffer import builtin_number
from export.graph import write_graph
from export.signatures import IdSignatures
from export.tflite import convert_signatures
from tests.searches import BEAM

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
        logits = tf.matmul(hidden, weights["table"], transpose_b=True)
        return {"logits": tf.where(ids > 3, -np.inf, logits), "small": small}

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


def by_the_converter(folder, functions):
    """A file of 8 bits as TensorFlow alone makes it."""
    converter = tf.lite.TFLiteConverter.from_saved_model(folder, list(functions))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def test_every_kind_of_weight_is_as_the_converter_makes_it(tmp_path):
    weights, folder = made_up_weights(), str(tmp_path)
    functions = function_of(weights)
    write_graph(folder, functions)
    files = tflite._convert(folder, functions, "int8"), by_the_converter(folder, functions)
    assert described(files[0]) == described(files[1])
    numbers = [tensor.type for graph in tables(files[0]).subgraphs for tensor in graph.tensors]
    assert numbers.count(schema.TensorType.INT8) == 5  # Four weights, and a gathered row.
    inputs = np.random.default_rng(2).normal(size=FLOATS.shape).astype(np.float32)
    answers = []
    for content in files:
        run = Interpreter(model_content=content)
        run.allocate_tensors()
        answers.append(
            run.get_signature_runner()(inputs=inputs, ids=np.array([[1], [5]], np.int32))
        )
    np.testing.assert_array_equal(answers[0]["logits"], answers[1]["logits"])


def test_a_whole_model_is_as_the_converter_makes_it(text_model):
    with tflite.WrittenGraph(text_model, BEAM) as graph:
        made = graph.convert("int8")
        expected = by_the_converter(graph._folder.name, IdSignatures.NAMES)
    assert described(made) == described(expected)


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
        elements=st.floats(-(2.0**90), 2.0**90, width=32),
    ),
    st.booleans(),
)
def test_no_weight_is_off_by_more_than_half_a_step(values, by_row):
    numbers, scales = quantized(values, by_row)
    assert numbers.shape == values.shape and len(scales) == (len(values) if by_row else 1)
    steps = scales.astype(np.float64).reshape((-1,) + (1,) * (values.ndim - 1))
    assert (np.abs(numbers * steps - values) <= 0.5 * steps * (1 + 1e-4)).all()


def test_loops_in_a_row_have_their_embedding_inside(tmp_path):
    table = made_up_weights()["table"]

    @tf.function(input_signature=[tf.TensorSpec((2,), tf.int32, name="ids")])
    def run(ids):
        rows = tf.convert_to_tensor(table)
        step, total = tf.constant(0), tf.zeros((2, 48))

        def body(step, total):
            return step + 1, total + tf.gather(rows, ids + step)

        for most in (3, 8):
            step, total = tf.while_loop(
                lambda step, total, most=most: step < most, body, (step, total)
            )
        return {"total": total}

    functions, folder = {"serving_default": run.get_concrete_function()}, str(tmp_path)
    write_graph(folder, functions)
    # The converter widens all of it before the loops.
    assert handed_to_loops(tflite._converted(folder, functions, "int8")) == [[70, 48]] * 2
    content = tflite._convert(folder, functions, "int8")
    assert handed_to_loops(content) == []
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    ids = np.array([1, 60], np.int32)
    received = interpreter.get_signature_runner()(ids=ids)["total"]
    # Eight rows, each off by half a step at most.
    step = np.abs(table.numpy()).max() / 127
    np.testing.assert_allclose(received, run(ids)["total"], atol=4 * step + 1e-5)


def handed_to_loops(content):
    """Shapes of the matrices that loops are given and hand on."""
    model = tables(content)
    found = []
    for graph in model.subgraphs:
        for operator in graph.operators:
            if operator.builtinOptionsType == schema.BuiltinOptions.WhileOptions:
                body = model.subgraphs[operator.builtinOptions.bodySubgraphIndex]
                places = np.flatnonzero(np.equal(body.inputs, body.outputs))
                shapes = [[*graph.tensors[operator.inputs[place]].shape] for place in places]
                found += [shape for shape in shapes if shape == [70, 48]]
    return found
