#!/usr/bin/env bash
# jiwer 4.0.0: against an empty reference an error rate is no rate.
#
# Expected: nothing (division by zero), 1 (all wrong) or infinity. Seen: the number of
# insertions, so 2 for two characters and 3 for three words, and 0 for an empty hypothesis.
# The mean of such "rates" over sentences weighs a babbled silence by its length; over a whole
# corpus the insertions are counted and the empty reference adds nothing to divide by.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "jiwer==4.0.0"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import jiwer


def show(what, seen, expected):
    print(f"{what} -> {seen!r}")
    if seen != expected:
        sys.exit(f"This has changed: expected {expected!r}.")


print("jiwer", version("jiwer"))
show('cer("", "ab")', jiwer.cer("", "ab"), 2)
show('wer("", "one two three")', jiwer.wer("", "one two three"), 3)
show('wer("", "")', jiwer.wer("", ""), 0)
# Over a corpus: 1 insertion against the 2 words of the other reference.
show('wer(["", "a b"], ["x", "a b"])', jiwer.wer(["", "a b"], ["x", "a b"]), 0.5)
PYTHON
