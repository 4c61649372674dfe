"""Constants that loops of a `.tflite` file hand on from step to step."""

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema


def keep_constants(model: schema.ModelT) -> None:
    """Makes what a loop is given as a constant, and only hands on, a constant of the loop.

    TensorFlow's converter does so where one loop reads it. A constant that several read goes
    into each as a tensor, which costs a copy, and of 8 bits it would be widened as a whole.
    The data is shared, as between graphs.
    """
    for graph in model.subgraphs:
        for operator in graph.operators:
            if operator.builtinOptionsType == schema.BuiltinOptions.WhileOptions:
                _keep(model, graph, operator)


def _keep(model: schema.ModelT, graph: schema.SubGraphT, loop: schema.OperatorT) -> None:
    options = loop.builtinOptions
    condition, body = (
        model.subgraphs[index]
        for index in (options.condSubgraphIndex, options.bodySubgraphIndex)
    )
    left = []
    for place, index in enumerate(loop.inputs):
        tensor = graph.tensors[index]
        is_handed_on = body.outputs[place] == body.inputs[place]
        if not is_handed_on or model.buffers[tensor.buffer].data is None:
            left.append(place)
            continue
        for inner in (condition, body):
            kept = inner.tensors[inner.inputs[place]]
            kept.buffer, kept.name = tensor.buffer, tensor.name
            kept.shape, kept.shapeSignature = tensor.shape, tensor.shapeSignature
        _replace(graph, loop.outputs[place], index)
    for inner in (condition, body):
        inner.inputs = np.array(inner.inputs)[left]
    body.outputs = np.array(body.outputs)[left]
    loop.inputs, loop.outputs = np.array(loop.inputs)[left], np.array(loop.outputs)[left]


def _replace(graph: schema.SubGraphT, old: int, new: int) -> None:
    """Has what reads a tensor of a graph read another one."""
    for operator in graph.operators:
        operator.inputs = np.where(operator.inputs == old, new, operator.inputs)
    graph.outputs = np.where(graph.outputs == old, new, graph.outputs)
