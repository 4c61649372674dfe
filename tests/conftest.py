import gc
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Machine code that runs once need not be fast: XLA's own passes are those of any run.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
)

# isort: off
import keras_seq2seq.first_import  # noqa: F401  # It imports Keras without what few tests need.

# isort: on
import keras
import numpy as np
import pytest

from keras_seq2seq.data import Pairs, TextPreprocessor
from keras_seq2seq.layers import LuongAttention
from keras_seq2seq.models import (
    RecurrentDecoder,
    RecurrentEncoder,
    Seq2Seq,
    TokenEmbedding,
    load_model,
    transformer,
)
from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer

# Of the processes that tests start, too.
QUICK_XLA = os.environ["XLA_FLAGS"]

# Of a parallel run a worker takes file after file: one that begins last is waited for.
LONG_FILES = [
    "models/test_seq2seq.py",
    "training/test_distribution.py",
    "converters/test_kerashub.py",
    "export/test_families.py",
    "models/test_compiled.py",
    "training/test_trainer.py",
    "export/test_parity.py",
    "export/test_signals.py",
    "converters/test_ctranslate2.py",
    "training/test_recipe_runs.py",
    "test_cli.py",
    "export/test_serving.py",
    "training/test_killed_runs.py",
    "export/test_saved_model.py",
    "models/test_jax_backend.py",
    "test_generate_command.py",
    "training/test_signal_recipes.py",
    "models/test_constraints.py",
    "training/test_tuning.py",
    "training/test_jax_runs.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each worker of a parallel run collects the tests anew: their names have to agree."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"An address in a test's name, give it ids: {item.nodeid}")
    places = {f"tests/{file}": place for place, file in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.nodeid.split("::")[0], len(places)))


def pytest_collection_finish() -> None:
    """What is imported is garbage never, and a graph has many thousands of objects: looking
    at all of them for every 700 new ones was a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


@pytest.fixture
def loaded_once(monkeypatch) -> None:
    """Commands that one process gives on the same file get one model, with the searches that
    it has already traced. What a file holds when it is written anew is another model."""

    def load(path: Path, compile: bool = True) -> Seq2Seq:
        found = os.stat(path)
        key = (os.fspath(path), found.st_ino, found.st_mtime_ns, found.st_size, compile)
        if key not in _loaded:
            for old in [*_loaded][:-4]:
                del _loaded[old]
            _loaded[key] = load_model(path, compile)
        return _loaded[key]

    monkeypatch.setattr("keras_seq2seq.models.load_model", load)


_loaded: dict[tuple, Seq2Seq] = {}


def spelled_pairs(count: int, seed: int = 0) -> Pairs:
    """Words over a to f whose target is one symbol a letter: "cab" -> "CC AA BB"."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("abcdef"), rng.integers(1, 8))) for _ in range(count)]
    return Pairs(words, [" ".join(letter.upper() * 2 for letter in word) for word in words])


@pytest.fixture(scope="session")
def pairs() -> Pairs:
    return spelled_pairs(400)


@pytest.fixture(scope="session")
def preprocessor(pairs) -> TextPreprocessor:
    return TextPreprocessor.from_pairs(
        pairs.sources, pairs.targets, CharacterTokenizer, SymbolTokenizer, max_target_length=12
    )


@pytest.fixture(scope="session")
def text_model(preprocessor) -> Seq2Seq:
    """An attention model with random weights, large enough that its choices differ."""
    keras.utils.set_random_seed(3)
    model = Seq2Seq(
        RecurrentEncoder(
            TokenEmbedding(preprocessor.source_tokenizer.vocabulary_size(), 8),
            16,
            bidirectional=True,
        ),
        RecurrentDecoder(
            TokenEmbedding(preprocessor.target_tokenizer.vocabulary_size(), 8),
            24,
            attention=LuongAttention(24, name="decoder_attention"),
        ),
        preprocessor,
    )
    for weight in model.weights:
        weight.assign(weight * 2)
    return model


@pytest.fixture(scope="session")
def transformer_model(preprocessor) -> Seq2Seq:
    """A Transformer with random weights."""
    keras.utils.set_random_seed(4)
    model = transformer(preprocessor, hidden_dim=16, num_layers=2, num_heads=2)
    for weight in model.weights:
        weight.assign(weight * 1.5)
    return model
