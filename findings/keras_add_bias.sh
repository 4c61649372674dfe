#!/usr/bin/env bash
# Keras 3.15.1 with TensorFlow 2.21.0: a column that is added is taken for a bias.
#
# `keras.ops.add(x, column)`, and `+` of symbolic tensors. Expected: NumPy's broadcasting, as its
# page says; `(3, 3)` and `(3, 1)` give each row a summand of its own. Seen: a second operand with
# one axis longer than 1 goes to `tf.nn.bias_add` where it is as long as the first operand's second
# or last axis: the summands run along the rows, and `(1, 3, 1, 2)` and `(3, 1)` have the shape
# `(1, 3, 1, 2)` in place of `(1, 3, 3, 2)`. Of other lengths, and with the operands swapped, it is
# right: a model can be wrong for one size alone. `subtract` is right.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "keras==3.15.1" "tensorflow==2.21.0" "numpy==2.3.5"
cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow "$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import keras
import numpy as np


def show(what, seen, expected):
    print(f"{what} -> {seen!r}")
    if seen != expected:
        sys.exit(f"This has changed: expected {expected!r}.")


for name in ("keras", "tensorflow"):
    print(name, version(name))
zeros, column = np.zeros((3, 3), np.float32), np.array([[1], [2], [3]], np.float32)
rows, bias = (zeros + column).tolist(), (zeros + column.T).tolist()
show("NumPy", rows, [[1.0] * 3, [2.0] * 3, [3.0] * 3])
show("add(x, column)", keras.ops.add(zeros, column).numpy().tolist(), bias)
show("add(column, x)", keras.ops.add(column, zeros).numpy().tolist(), rows)
show("subtract(x, -column)", keras.ops.subtract(zeros, -column).numpy().tolist(), rows)
given = keras.Input((3,), batch_size=3)
model = keras.Model(given, given + keras.ops.convert_to_tensor(column))
show("a model of x + column", model(zeros).numpy().tolist(), bias)
four = np.zeros((4, 4), np.float32)[:, :3], np.ones((4, 1), np.float32)
show("(4, 3) and (4, 1)", keras.ops.add(*four).shape == (four[0] + four[1]).shape, True)
cache, places = np.zeros((1, 3, 1, 2), np.float32), column
show("shape in NumPy", (cache + places).shape, (1, 3, 3, 2))
show("shape of add(x, column)", tuple(keras.ops.add(cache, places).shape), (1, 3, 1, 2))
PYTHON
