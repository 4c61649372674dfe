#!/usr/bin/env bash
# ctranslate2 4.8.5: a `translate_batch` with default arguments gives scores that no model gives.
#
# Expected of the score of a hypothesis: the sum of the log probabilities of its tokens, which
# `score_batch` says of the same tokens. Seen: it is higher. By default `min_decoding_length` is
# 1, and the end token is taken out of the first step before its softmax, so the others share
# its probability: -log(1 - P(end at once)) more. With `min_decoding_length=0` both agree.
# A comparison of scores with another engine, or of hypotheses from both calls, needs the 0.
# The model is the smallest Transformer, made of random numbers by CTranslate2's own classes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "ctranslate2==4.8.5" "numpy==2.2.6"
cd "$folder"
mkdir model
"$folder/venv/bin/python" - <<'PYTHON'
import itertools
import math
import sys

import ctranslate2
import numpy as np
from ctranslate2.specs import TransformerSpec


def show(what, seen, expected):
    print(f"{what} -> {seen!r}")
    if seen != expected:
        sys.exit(f"This has changed: expected {expected!r}.")


print("ctranslate2", ctranslate2.__version__)
random = np.random.default_rng(6)
tokens = ["<blank>", "<unk>", "<s>", "</s>", *"abcdefgh"]
width = 8


def normal(*shape):
    return random.normal(0, 0.6, shape).astype(np.float32)


def dense(layer, size):
    layer.weight, layer.bias = normal(size, width), np.zeros(size, np.float32)


def norm(layer):
    layer.gamma, layer.beta = np.ones(width, np.float32), np.zeros(width, np.float32)


def attention(layer, sizes):
    norm(layer.layer_norm)
    for part, size in zip(layer.linear, sizes, strict=True):
        dense(part, size)


def feed_forward(layer):
    norm(layer.layer_norm)
    dense(layer.linear_0, width)
    dense(layer.linear_1, width)


spec = TransformerSpec.from_config(num_layers=1, num_heads=2)
spec.encoder.embeddings[0].weight = normal(len(tokens), width)
spec.decoder.embeddings.weight = normal(len(tokens), width)
for side in (spec.encoder, spec.decoder):
    side.position_encodings.encodings = normal(16, width)
    norm(side.layer_norm)
    attention(side.layer[0].self_attention, [3 * width, width])
    feed_forward(side.layer[0].ffn)
attention(spec.decoder.layer[0].attention, [width, 2 * width, width])
dense(spec.decoder.projection, len(tokens))
spec.register_source_vocabulary(tokens)
spec.register_target_vocabulary(tokens)
spec.validate()
spec.optimize()
spec.save("model")

translator = ctranslate2.Translator("model")
apart, same = [], []
for pair in itertools.product("abcdefgh", repeat=2):
    source = [list(pair)]
    options = {"beam_size": 1, "max_decoding_length": 8, "length_penalty": 0}
    (found,) = translator.translate_batch(source, return_scores=True, **options)
    (given,) = translator.score_batch(source, found.hypotheses)
    if len(given.log_probs) > 8:  # Cut at the greatest length: the end was not chosen.
        continue
    (at_once,) = translator.score_batch(source, [[]])
    missing = -math.log1p(-math.exp(at_once.log_probs[0]))
    apart.append(found.scores[0] - sum(given.log_probs) - missing)
    if len(apart) <= 3:
        print(*found.hypotheses[0], found.scores[0], "score_batch:", sum(given.log_probs))
    options["min_decoding_length"] = 0
    (found,) = translator.translate_batch(source, return_scores=True, **options)
    (given,) = translator.score_batch(source, found.hypotheses)
    if len(given.log_probs) <= 8:
        same.append(found.scores[0] - sum(given.log_probs))
show("some hypotheses ended", len(apart) > 0, True)
show("default: higher by -log(1 - P(end at once))", max(map(abs, apart)) < 1e-4, True)
show("min_decoding_length=0: the same", max(map(abs, same)) < 1e-4, True)
PYTHON
