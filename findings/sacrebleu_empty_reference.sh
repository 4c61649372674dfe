#!/usr/bin/env bash
# sacreBLEU 2.6.0: an empty reference is not a missing one.
#
# Where texts have unequally many references the shorter lists are filled, by `None` or, as the
# documentation allows, by "". Expected: the same score. Seen: "" is a reference of length 0,
# which is the closest one to a short hypothesis, so the brevity penalty is gone.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "sacrebleu==2.6.0"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

from sacrebleu.metrics import BLEU


def show(what, seen, expected):
    print(f"{what} -> {seen!r}")
    if seen != expected:
        sys.exit(f"This has changed: expected {expected!r}.")


print("sacrebleu", version("sacrebleu"))
hypotheses = ["the cat sat on the mat", "a dog ran home"]
first = ["the cat sat on the mat", "a dog ran home after a long day out there"]


def bleu(missing):
    streams = [first, ["the cat sat on a mat", missing]]
    return round(BLEU().corpus_score(hypotheses, streams).score, 2)


show("second reference of the second text None", bleu(None), 54.88)
show('second reference of the second text ""', bleu(""), 100.0)
PYTHON
