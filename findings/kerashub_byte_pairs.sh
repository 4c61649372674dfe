#!/usr/bin/env bash
# keras-hub 0.32.0: a byte-pair tokenizer reads a text in one way by itself, in another in a graph.
#
# Expected: `BartTokenizer` (GPT-2's and RoBERTa's are the same class) gives one list of ids for
# a text, whoever calls it. Seen: inside `tf.data` or `tf.function`, so in `fit` and in an
# exported model, the Devanagari digit six is not there; called directly, so in `generate`, it
# is. And of two spaces a direct call joins both, as no words are split; in a graph the second
# belongs to the next word, as in GPT-2. A model is asked with other ids than it was taught.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "keras-hub==0.32.0" "keras==3.15.1" "tensorflow==2.21.0" "tensorflow-text==2.21.1" "tokenizers==0.23.3"
cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import keras_hub
import tensorflow as tf


def show(what, seen, expected):
    print(f"{what} -> {seen!r}")
    if seen != expected:
        sys.exit(f"This has changed: expected {expected!r}.")


print("keras-hub", version("keras-hub"), "tokenizers", version("tokenizers"))
# The characters that stand for bytes, as in every vocabulary of GPT-2's kind.
shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
hidden = [byte for byte in range(256) if byte not in shown]
characters = [chr(byte) for byte in shown] + [chr(256 + i) for i in range(len(hidden))]
merges = ["Ġ Ġ", "Ġ b"]
tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *characters, "ĠĠ", "Ġb"]
tokenizer = keras_hub.tokenizers.BartTokenizer(
    vocabulary={token: index for index, token in enumerate(tokens)}, merges=merges
)


def directly(text):
    return [tokens[index] for index in tokenizer(text)]


def in_a_pipeline(text):
    dataset = tf.data.Dataset.from_tensors(text).map(tokenizer)
    return [tokens[index] for index in next(iter(dataset)).numpy()]


show("'7 is ७' directly", directly("7 is ७")[-3:], ["à", "¥", "Ń"])
show("'7 is ७' in tf.data", in_a_pipeline("7 is ७")[-3:], ["à", "¥", "Ń"])
show("'6 is ६' directly", directly("6 is ६")[-3:], ["à", "¥", "¬"])
show("'6 is ६' in tf.data", in_a_pipeline("6 is ६"), ["6", "Ġ", "i", "s", "Ġ"])
show("'a  b' directly", directly("a  b"), ["a", "ĠĠ", "b"])
show("'a  b' in tf.data", in_a_pipeline("a  b"), ["a", "Ġ", "Ġb"])
PYTHON
