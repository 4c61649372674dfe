#!/usr/bin/env bash
# TensorFlow 2.21.0: `ConcreteFunction.variables` is in no order.
#
# Expected: the variables of a traced function come in the order in which the function reads
# them, or in which they were made. Seen: each trace of the same eight lines gives another order,
# since TensorFlow holds them in a set by address. Who saves this list and zips it with values in
# another process (a checkpoint of a list, weights by number) puts values of equal shapes into
# wrong places without an error. Sort it by name, or keep a list of your own.
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


def traced():
    variables = [tf.Variable(float(number), name=f"v{number}") for number in range(8)]
    total = tf.function(
        lambda: tf.add_n([1 * variable for variable in variables]), autograph=False
    )
    return variables, total.get_concrete_function()


# All are kept, so that no address is used again.
kept = [traced() for _ in range(20)]
orders = {tuple(one.name for one in concrete.variables) for _, concrete in kept}
print("two of the orders:", *sorted(orders)[:2], sep="\n  ")
show("20 traces gave more than 10 orders", len(orders) > 10, True)
show("each has all eight", {tuple(sorted(one)) for one in orders}, {
    tuple(f"v{number}:0" for number in range(8))
})
PYTHON
