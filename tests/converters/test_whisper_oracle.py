"""Published weights of Whisper write what CTranslate2 writes.

Needs ctranslate2, and by these variables a folder of CTranslate2 and recordings with texts:

    KERAS_SEQ2SEQ_WHISPER=tiny.en KERAS_SEQ2SEQ_WHISPER_SOUNDS=prompts.tsv \\
        python -m pytest -s tests/converters/test_whisper_oracle.py

KERAS_SEQ2SEQ_WHISPER_COUNT is how many of the recordings, by default all. Elsewhere it is
skipped.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from keras_seq2seq.converters import from_ctranslate2
from keras_seq2seq.converters.ctranslate2_vocabulary import read_tokens
from keras_seq2seq.data.signals import read_signal

FOLDER = os.environ.get("KERAS_SEQ2SEQ_WHISPER", "")
SOUNDS = os.environ.get("KERAS_SEQ2SEQ_WHISPER_SOUNDS", "")
COUNT = int(os.environ.get("KERAS_SEQ2SEQ_WHISPER_COUNT", "0")) or None


def test_greedy_tokens_are_the_same():
    if not (FOLDER and SOUNDS):
        pytest.skip("needs a Whisper and recordings: KERAS_SEQ2SEQ_WHISPER and _SOUNDS")
    ctranslate2 = pytest.importorskip("ctranslate2")
    other = ctranslate2.models.Whisper(FOLDER, compute_type="float32", intra_threads=1)
    model = from_ctranslate2(FOLDER, language="en" if other.is_multilingual else None)
    tokenizer = model.preprocessor.target_tokenizer
    tokens = read_tokens(Path(FOLDER), "vocabulary")
    names = ["<|startoftranscript|>", *tokenizer.begin]
    prompt = [[tokens.index(name) for name in names]]
    files = [line.split("\t")[0] for line in Path(SOUNDS).read_text("utf-8").splitlines()]
    sounds = [read_signal(file, 16000)[: model.preprocessor.window] for file in files[:COUNT]]
    found = model.search(sounds, batch_size=4)
    front_end = model.encoder.embedding.embedding.front_end
    equal, others = 0, []
    for row, sound in enumerate(sounds):
        frames, _ = front_end(sound[None], np.ones((1, len(sound)), bool))
        features = ctranslate2.StorageView.from_array(
            np.ascontiguousarray(frames.numpy()[0].T[None])
        )
        (answer,) = other.generate(features, prompt, beam_size=1, max_length=448)
        own = found.token_ids[row, 0, len(names) - 1 : found.lengths[row, 0]]
        written = [tokenizer.id_to_token(int(one)) for one in own]
        expected = [tokens[one] for one in answer.sequences_ids[0]]
        equal += written == expected
        if written != expected:
            others.append((files[row], written, expected))
    print(f"{equal} of {len(sounds)} the same", *others, sep="\n")
    assert equal >= 0.99 * len(sounds)
