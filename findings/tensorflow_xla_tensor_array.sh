#!/usr/bin/env bash
# TensorFlow 2.21.0: under XLA a `tf.TensorArray` that grows loses what is written.
#
# Expected of a loop that writes five values, compiled with `jit_compile=True`: the five values
# that the same graph gives, or an error that XLA needs the size. Seen: it compiles and runs, and
# an array that began with size 0 is empty, one of size 1 holds the last value alone, of size 2
# the first and the last: a write past the size goes to the last place. With its size given and
# `dynamic_size=False` all is right.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "tensorflow==2.21.0"
cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import tensorflow as tf


def show(what, seen, expected):
    print(f"{what} -> {seen!r}")
    if seen != expected:
        sys.exit(f"This has changed: expected {expected!r}.")


print("tensorflow", tf.__version__)


def squares(size, dynamic_size, jit_compile):
    @tf.function(jit_compile=jit_compile)
    def function(count):
        def write(i, array):
            return i + 1, array.write(i, 10 + i * i)

        array = tf.TensorArray(tf.int32, size, dynamic_size, element_shape=[])
        return tf.while_loop(lambda i, _: i < count, write, [0, array])[1].stack()

    return function(5).numpy().tolist()


right = [10, 11, 14, 19, 26]
show("a graph, size 0, grows", squares(0, True, False), right)
show("XLA, size 5, fixed", squares(5, False, True), right)
show("XLA, size 0, grows", squares(0, True, True), [])
show("XLA, size 1, grows", squares(1, True, True), [26])
show("XLA, size 2, grows", squares(2, True, True), [10, 26])
PYTHON
