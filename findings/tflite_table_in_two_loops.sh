#!/usr/bin/env bash
# TensorFlow 2.21.0: an embedding of 8 bits that two loops read is widened whole at every call.
#
# Expected of a conversion with `Optimize.DEFAULT`: each loop gathers a row of 8 bits and widens
# that one, as a file with one loop does. Seen: with two loops in a row (a decoder whose caches
# grow between them) the file widens the whole table to 32 bits before the first, at every call,
# and hands it to both. Its size on disk hides it; memory and time do not: a vocabulary of 32,000
# and a width of 512 are 64 MB a call. In a conversion to 32 bits each loop has its own constant.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "tensorflow==2.21.0"
cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

ROWS, WIDTH, LENGTH = 1000, 64, 8
table = tf.constant(np.random.default_rng(1).normal(size=(ROWS, WIDTH)), tf.float32)
names = {number: name for name, number in vars(schema.BuiltinOperator).items()}


def show(what, seen, expected):
    print(f"{what} -> {seen!r}")
    if seen != expected:
        sys.exit(f"This has changed: expected {expected!r}.")


def file_of(loops, is_8_bits):
    def total(ids):
        def add(i, total):
            token = tf.slice(ids, [0, i], [1, 1])[:, 0]
            return i + 1, total + tf.gather(table, token)

        i, total = tf.constant(0), tf.zeros([1, WIDTH])
        for stop in (4, 8)[:loops]:
            i, total = tf.while_loop(lambda i, _, stop=stop: i < stop, add, [i, total])
        return {"total": total}

    spec = tf.TensorSpec([1, LENGTH], tf.int32, "ids")
    function = tf.function(total, autograph=False).get_concrete_function(spec)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    if is_8_bits:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return schema.ModelT.InitFromPackedBuf(converter.convert(), 0)


def widened(model):
    """(in the main graph or a loop, rows) of every operation that widens 8 bits."""
    codes = [max(one.builtinCode, one.deprecatedBuiltinCode) for one in model.operatorCodes]
    return [
        ("loop" if number else "main", int(graph.tensors[operator.inputs[0]].shape[0]))
        for number, graph in enumerate(model.subgraphs)
        for operator in graph.operators
        if names[codes[operator.opcodeIndex]] == "DEQUANTIZE"
    ]


print("tensorflow", tf.__version__)
show("32 bits, two loops", widened(file_of(2, False)), [])
show("8 bits, one loop", widened(file_of(1, True)), [("loop", 1)])
show("8 bits, two loops", widened(file_of(2, True)), [("main", ROWS)])
PYTHON
