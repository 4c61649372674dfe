"""Training on the JAX backend of Keras, in a process of its own: a backend is for life."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from keras_seq2seq.export import export_saved_model
from keras_seq2seq.models import load_model
from keras_seq2seq.settings import GenerationSettings
from tests.conftest import QUICK_XLA

TRAIN = """
import sys
import keras
import numpy as np
from keras_seq2seq.data import TextPreprocessor, training_data
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import recurrent, transformer
from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer

assert keras.backend.backend() == "jax"
words = ["ab", "ba", "aab", "abb", "bab", "b", "a", "bba"] * 8
targets = [" ".join(word.upper()) for word in words]
text = TextPreprocessor.from_pairs(words, targets, CharacterTokenizer, SymbolTokenizer)
data = training_data(text, words, targets, batch_size=16, num_buckets=1)
models = {
    "recurrent": lambda: recurrent(text, embedding_dim=8, hidden_dim=16, dropout=0.1),
    "fed": lambda: recurrent(
        text, embedding_dim=8, hidden_dim=16, attention="location", input_feeding="context"
    ),
    "transformer": lambda: transformer(
        text, hidden_dim=16, num_layers=1, num_heads=2, sentence_ends="a"
    ),
}
for name, build in models.items():
    keras.utils.set_random_seed(1)
    model = build()
    model.compile(keras.optimizers.Adam(0.02), jit_compile=True)
    history = model.fit(data.dataset, steps_per_epoch=data.steps, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0], history
    model.save(f"{sys.argv[1]}/{name}.keras")
    inputs, _, _ = text(["ab", "bab"], ["A B", "B A B"])
    inputs = {key: np.asarray(value) for key, value in inputs.items()}
    np.save(f"{sys.argv[1]}/{name}.npy", np.asarray(model(inputs, training=False)))
try:
    model.generate("ab")
except InputError as error:
    assert "TensorFlow backend" in str(error), error
else:
    raise AssertionError("generation ran on JAX")
"""


@pytest.mark.large
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_models_train_on_jax_and_load_and_export_under_tensorflow(tmp_path):
    subprocess.run(
        [sys.executable, "-c", TRAIN, tmp_path],
        env={**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": QUICK_XLA},
        check=True,
    )
    for name in ("recurrent", "fed", "transformer"):
        model = load_model(tmp_path / f"{name}.keras")
        inputs, _, _ = model.preprocessor(["ab", "bab"], ["A B", "B A B"])
        logits = np.asarray(model(inputs, training=False))
        np.testing.assert_allclose(logits, np.load(tmp_path / f"{name}.npy"), atol=1e-4)
        assert model.generate(["ab", "bab"])
    export_saved_model(model, tmp_path / "exported", GenerationSettings(num_beams=2))
