#!/usr/bin/env bash
# keras-hub 0.32.0: what Moonshine hears and is asked is not what it was taught.
#
# Expected: a sound's padding mask says where its padding is; the prompt of `generate` is what
# targets of `fit` begin with; `from_preset` loads what `save_to_preset` wrote. Seen: every
# sample that is exactly 0 counts as padding, so of a sound with one second of digital silence
# the last second is masked; padded to the length of its batch a sound has other logits, mask
# or not, since one normalization goes over the padding; `generate` begins with `<s><s>`, where
# `fit` begins with `<s>`; and `from_preset` raises AttributeError, but with a `dtype`.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "keras-hub==0.32.0" "keras==3.15.1" "tensorflow==2.21.0" "tensorflow-text==2.21.1" "tokenizers==0.23.3" "sentencepiece==0.2.3"
cd "$folder"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import io
import sys
from importlib.metadata import version

import keras
import keras_hub
import numpy as np
import sentencepiece


def show(what, seen, expected):
    print(f"{what} -> {seen!r}")
    if seen != expected:
        sys.exit(f"This has changed: expected {expected!r}.")


print("keras-hub", version("keras-hub"))
keras.utils.set_random_seed(1)
model = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(["the quick brown fox", "the earth is round"]),
    model_writer=model,
    vocab_size=24,
    minloglevel=2,
)
preprocessor = keras_hub.models.MoonshineAudioToTextPreprocessor(
    keras_hub.layers.MoonshineAudioConverter(),
    keras_hub.models.MoonshineTokenizer(proto=model.getvalue()),
    decoder_sequence_length=8,
)
backbone = keras_hub.models.MoonshineBackbone(
    vocabulary_size=24,
    filter_dim=16,
    encoder_num_layers=1,
    decoder_num_layers=1,
    hidden_dim=16,
    intermediate_dim=32,
    encoder_num_heads=2,
    decoder_num_heads=2,
)
task = keras_hub.models.MoonshineAudioToText(backbone, preprocessor)


def prepared(sounds):
    inputs, *_ = preprocessor({"audio": sounds, "text": ["fox"] * len(sounds)})
    return {name: np.asarray(value) for name, value in inputs.items()}


noise = np.random.default_rng(1).normal(0, 0.1, (1, 32000)).astype("float32")
paused = noise.copy()
paused[:, :16000] = 0
positions = lambda inputs: int(np.asarray(backbone(inputs)["encoder_attention_mask"]).sum())
show("positions of two seconds of noise", positions(prepared(noise)), 82)
show("the same, the first second silent", positions(prepared(paused)), 40)

alone = np.asarray(task(prepared(noise[:, :16000])))[0]
behind = np.zeros((2, 32000), "float32")
behind[0, :16000], behind[1] = noise[0, :16000], noise[0]
together = np.asarray(task(prepared(behind)))[0]
show("logits in a batch are those alone", bool(np.allclose(alone, together, atol=1e-3)), False)

taught = prepared(noise)["decoder_token_ids"][0, :2].tolist()
asked = np.asarray(preprocessor.generate_preprocess({"audio": noise})["decoder_token_ids"])
show("`fit` begins with", taught, [1, preprocessor.tokenizer("fox")[0]])
show("`generate` begins with", asked[0, :3].tolist(), [1, 1, 0])

task.save_to_preset("saved")
try:
    keras_hub.models.MoonshineAudioToText.from_preset("saved")
    seen = "loaded"
except AttributeError as error:
    seen = str(error)
show("from_preset of what was saved", seen, "'str' object has no attribute 'get'")
again = keras_hub.models.MoonshineAudioToText.from_preset("saved", dtype="float32")
same = all(np.array_equal(*pair) for pair in zip(task.get_weights(), again.get_weights()))
show("the same with dtype='float32' has the weights", same, True)
PYTHON
