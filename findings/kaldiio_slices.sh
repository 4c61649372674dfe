#!/usr/bin/env bash
# kaldiio 2.18.1: a range behind a matrix of Kaldi's has both ends in it.
#
# Kaldi writes a part of a matrix as `file.ark:OFFSET[rows,columns]`. Expected in Python: `[0:9]`
# is 9 rows, as of a slice. Seen: 10 rows, and `[0:9,2:3]` is 10 rows of 2 columns, as Kaldi's own
# tools have it. Segments that are written with Python's ends are one frame too long.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "kaldiio==2.18.1" "numpy==2.3.5"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import kaldiio
import numpy as np


def show(what, seen, expected):
    print(f"{what} -> {seen!r}")
    if seen != expected:
        sys.exit(f"This has changed: expected {expected!r}.")


print("kaldiio", version("kaldiio"))
matrix = np.arange(80, dtype=np.float32).reshape(20, 4)
kaldiio.save_ark("file.ark", {"utterance": matrix}, scp="file.scp")
place = open("file.scp").read().split()[1]
show("[0:9]", kaldiio.load_mat(place + "[0:9]").shape, (10, 4))
show("[0:9,2:3]", kaldiio.load_mat(place + "[0:9,2:3]").shape, (10, 2))
show("last row of [0:9]", kaldiio.load_mat(place + "[0:9]")[-1].tolist(), matrix[9].tolist())
PYTHON
