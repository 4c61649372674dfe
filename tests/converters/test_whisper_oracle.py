"""Published weights of Whisper write what CTranslate2 writes.

Needs ctranslate2, and by these variables a folder of CTranslate2 and recordings with texts:

    KERAS_SEQ2SEQ_WHISPER=tiny.en KERAS_SEQ2SEQ_WHISPER_SOUNDS=prompts.tsv \\
        python -m pytest -s tests/converters/test_whisper_oracle.py

KERAS_SEQ2SEQ_WHISPER_COUNT is how many of the recordings, by default all;
KERAS_SEQ2SEQ_WHISPER_BEAM hypotheses live, by default 1. Elsewhere it is skipped.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_seq2seq.converters import from_ctranslate2
from keras_seq2seq.converters.ctranslate2_vocabulary import read_tokens
from keras_seq2seq.data.signals import read_signal
from keras_seq2seq.settings import GenerationSettings

FOLDER = os.environ.get("KERAS_SEQ2SEQ_WHISPER", "")
SOUNDS = os.environ.get("KERAS_SEQ2SEQ_WHISPER_SOUNDS", "")
COUNT = int(os.environ.get("KERAS_SEQ2SEQ_WHISPER_COUNT", "0")) or None
BEAM = int(os.environ.get("KERAS_SEQ2SEQ_WHISPER_BEAM", "1"))
# Two texts of log probabilities nearer than this may change places by rounding.
TIE = 1e-3


def log_prob(model, sound, tokens):
    """What the model gives a text, end and all, behind what every target begins with."""
    tokenizer = model.preprocessor.target_tokenizer
    ids = [tokenizer.token_to_id(token) for token in (*tokenizer.begin, *tokens)]
    inputs, labels, _ = model.preprocessor.pack_inputs(
        model.preprocessor.encoder_inputs([sound]),
        tf.ragged.constant([[*ids, tokenizer.end_token_id]], tf.int32),
    )
    return float(tf.reduce_sum(model.score_tokens(inputs, labels)))


def test_tokens_are_the_same():
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
    found = model.search(sounds, GenerationSettings(num_beams=BEAM), batch_size=4)
    front_end = model.encoder.embedding.embedding.front_end
    equal, ties, others = 0, 0, []
    for row, sound in enumerate(sounds):
        frames, _ = front_end(sound[None], np.ones((1, len(sound)), bool))
        features = ctranslate2.StorageView.from_array(
            np.ascontiguousarray(frames.numpy()[0].T[None])
        )
        (answer,) = other.generate(
            features, prompt, beam_size=BEAM, length_penalty=0, max_length=448
        )
        own = found.token_ids[row, 0, len(names) - 1 : found.lengths[row, 0]]
        written = [tokenizer.id_to_token(int(one)) for one in own]
        expected = [tokens[one] for one in answer.sequences_ids[0]]
        equal += written == expected
        if written != expected:
            ahead = log_prob(model, sound, written) - log_prob(model, sound, expected)
            ties += abs(ahead) <= TIE
            others.append((files[row], written, expected, f"ours ahead by {ahead:.5f}"))
    print(
        f"{equal} of {len(sounds)} the same with a beam of {BEAM}, {ties} ties",
        *others,
        sep="\n",
    )
    assert equal + ties >= 0.99 * len(sounds)
