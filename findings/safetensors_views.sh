#!/usr/bin/env bash
# safetensors 0.8.0 (NumPy): a view is saved as the memory behind it.
#
# `save_file` takes a transposed array, one in Fortran's order or one with strides without a word.
# Expected: the values that the array shows, or an error. Seen: the right shape with other values.
# A kernel that was turned round for another framework has to be made contiguous first.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "safetensors==0.8.0" "numpy==2.3.5"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from safetensors.numpy import load_file, save_file


def show(what, seen, expected):
    print(f"{what} -> {seen!r}")
    if seen != expected:
        sys.exit(f"This has changed: expected {expected!r}.")


print("safetensors", version("safetensors"))
kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
save_file({"kernel": kernel.T}, "view.safetensors")
read = load_file("view.safetensors")["kernel"]
show("shape of the transposed view", read.shape, (3, 2))
show("its values", read.tolist(), [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
show("what the array shows", kernel.T.tolist(), [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]])
save_file({"kernel": np.ascontiguousarray(kernel.T)}, "copy.safetensors")
show("made contiguous", load_file("copy.safetensors")["kernel"].tolist(), kernel.T.tolist())
PYTHON
