#!/usr/bin/env bash
# ai-edge-litert 2.3.0, C API: two outputs of a signature that are one tensor have one name.
#
# Expected: LiteRtGetSignatureOutputName tells the names of the outputs, as Python's interpreter
# does. Seen: of "first" and "second", which are the same tensor, it says "second" twice and
# "first" never. A program that looks its outputs up by name does not find one of them; whether
# two outputs are one tensor may hang on a setting of what was converted.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "tensorflow==2.21.0" "ai-edge-litert==2.3.0"
cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import tensorflow as tf


class Model(tf.Module):
    @tf.function(
        input_signature=[tf.TensorSpec([3], tf.float32, name="x")], autograph=False
    )
    def call(self, x):
        y = tf.nn.relu(x) + 1.0
        return {"first": y, "second": y, "third": y * 2.0}


model = Model()
tf.saved_model.save(model, "saved", signatures=model.call.get_concrete_function())
with open("model.tflite", "wb") as file:
    file.write(tf.lite.TFLiteConverter.from_saved_model("saved").convert())
PYTHON
"$folder/venv/bin/python" - <<'PYTHON'
import ctypes
import importlib.metadata
import os
import sys

import ai_edge_litert
from ai_edge_litert.interpreter import Interpreter


def show(what, seen, expected):
    print(f"{what} -> {seen!r}")
    if seen != expected:
        sys.exit(f"This has changed: expected {expected!r}.")


print("ai-edge-litert", importlib.metadata.version("ai-edge-litert"))
runner = Interpreter("model.tflite").get_signature_runner()
show("Python", sorted(runner.get_output_details()), ["first", "second", "third"])

pointer, size = ctypes.c_void_p, ctypes.c_size_t
litert = ctypes.CDLL(os.path.join(os.path.dirname(ai_edge_litert.__file__), "libLiteRt.so"))
for name in ("LiteRtGetModelSignature", "LiteRtGetSignatureOutputName"):
    getattr(litert, name).argtypes = [pointer, size, pointer]


def call(name, *arguments):
    if status := getattr(litert, name)(*arguments):
        sys.exit(f"{name} gave {status}.")


environment, model, signature, count = pointer(), pointer(), pointer(), size()
call("LiteRtCreateEnvironment", 0, None, ctypes.byref(environment))
call("LiteRtCreateModelFromFile", environment, b"model.tflite", ctypes.byref(model))
call("LiteRtGetModelSignature", model, 0, ctypes.byref(signature))
call("LiteRtGetNumSignatureOutputs", signature, ctypes.byref(count))
names = []
for index in range(count.value):
    name = ctypes.c_char_p()
    call("LiteRtGetSignatureOutputName", signature, index, ctypes.byref(name))
    names.append(name.value.decode())
show("C", sorted(names), ["second", "second", "third"])
PYTHON
