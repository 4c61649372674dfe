"""A model of subwords: saved, served without Keras, through the C API, and on a device."""

import json
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text

from benchmarks import c_session
from export import LiteRTRunner, export_saved_model, export_tflite
from export.web import export_web
from keras_seq2seq.data import Pairs, TextPreprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import ARCHITECTURES, load_model
from keras_seq2seq.settings import GenerationSettings
from training.run.vocabularies import text_tokenizers
from training.settings import TrainingConfig

PAIRS = Pairs(
    ["the black cat sat, on the mat.", "a cat sees the dog", "the dog sat on a cat!"] * 4,
    ["die schwarze Katze saß auf der Matte.", "eine Katze sieht den Hund", "der Hund!"] * 4,
)
SOURCES = ["the cat sat", "a dog, a mat ☃ on it", "  cats\u3000and Dogs "]
FOLDER = Path(tensorflow_text.__file__).parent / "python" / "ops"
OPERATIONS = [str(FOLDER / f"_{name}_tokenizer.so") for name in ("sentencepiece", "wordpiece")]
SEARCH = GenerationSettings(num_beams=2, num_hypotheses=2, replace_unknown=True)


@cache
def built(kind):
    config = TrainingConfig(
        source_tokenizer=kind,
        target_tokenizer=kind,
        vocabulary_size=90,
        joint_vocabulary=True,
        lowercase_source=True,
    )
    keras.utils.set_random_seed(2)
    preprocessor = TextPreprocessor(*text_tokenizers(config, PAIRS), 40, 12)
    model = ARCHITECTURES["lstm_attention"](preprocessor, embedding_dim=8, hidden_dim=16)
    for weight in model.weights:
        weight.assign(weight * 3)
    return model


@cache
def exported(kind, folder):
    path = folder / kind
    export_saved_model(built(kind), path, SEARCH)
    return path


@pytest.fixture(params=["sentencepiece", "wordpiece"])
def model(request):
    return built(request.param)


@pytest.fixture
def sentencepiece_model():
    return built("sentencepiece")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


def test_both_sides_have_one_vocabulary(model):
    source, target = model.preprocessor.tokenizers.values()
    assert source.vocabulary == target.vocabulary
    assert (source.lowercase, target.lowercase) == (True, False)
    assert source.name != target.name


def test_a_saved_model_generates_the_same(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert loaded.generate(SOURCES, SEARCH) == model.generate(SOURCES, SEARCH)


def test_prefixes_allowed_targets_and_unknown_words_work(model):
    prefix = "die Katze"
    for text in model.generate(SOURCES, prefixes=prefix):
        assert text.startswith(prefix)
    allowed = ["der Hund!", "die Matte."]
    written = set(restored(model, allowed))
    assert set(model.generate(SOURCES, allowed=allowed)) <= written
    assert [token for token in model.preprocessor.count_unknown(SOURCES) if "☃" in token]
    with pytest.raises(InputError, match="'☃', which the target vocabulary lacks"):
        model.generate(SOURCES[0], prefixes="die ☃")


def restored(model, texts):
    tokenizer = model.preprocessor.target_tokenizer
    return [t.decode() for t in tokenizer.detokenize(tokenizer.tokenize(texts)).numpy()]


@pytest.mark.large
def test_the_artefact_runs_in_a_process_without_keras(sentencepiece_model, folder):
    model, saved_model = sentencepiece_model, exported("sentencepiece", folder)
    # The Python of tensorflow-text would import Keras; its operations need none.
    program = textwrap.dedent(
        f"""
        import json, sys
        sys.modules["keras"] = sys.modules["keras_seq2seq"] = None
        import tensorflow as tf
        for library in {OPERATIONS!r}:
            tf.load_op_library(library)
        function = tf.saved_model.load({str(saved_model)!r}).signatures["serving_default"]
        texts = function(text=tf.constant({SOURCES!r}))["text"].numpy()
        print(json.dumps([[text.decode() for text in row] for row in texts]))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = model.texts(model.search(SOURCES, SEARCH), SOURCES)
    assert json.loads(done.stdout.splitlines()[-1]) == expected


@pytest.mark.large
@pytest.mark.parametrize("kind", ["sentencepiece", "wordpiece"])
def test_the_artefact_runs_through_the_c_api(kind, folder):
    """With the operation libraries of tensorflow-text, which TensorFlow Serving links."""
    model, saved_model = built(kind), exported(kind, folder)
    fed, fetched = c_session.signature_tensors(saved_model)
    request = {
        "library": str(Path(tf.__file__).parent),
        "path": str(saved_model),
        "inputs": {fed["text"]: SOURCES},
        "outputs": [fetched["text"]],
        "operations": OPERATIONS,
    }
    done = subprocess.run(
        [sys.executable, c_session.__file__],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = model.texts(model.search(SOURCES, SEARCH), SOURCES)
    assert json.loads(done.stdout.splitlines()[-1]) == [expected]


@pytest.mark.large
def test_the_runner_of_the_device_folder_gives_the_same_text(sentencepiece_model, tmp_path):
    model = sentencepiece_model
    export_tflite(model, tmp_path / "device", SEARCH)
    # Pieces side by side are no text: the program in C++ says so.
    assert "kJoins = false;" in (tmp_path / "device" / "generate.cpp").read_text("utf-8")
    runner = LiteRTRunner(tmp_path / "device")
    expected = model.search(SOURCES, SEARCH)
    for row, source in enumerate(SOURCES):
        texts, outputs = runner.generate(source)
        assert texts == model.texts(expected, SOURCES)[row]
        np.testing.assert_allclose(outputs["log_probs"][0], expected.log_probs[row], atol=1e-4)


@pytest.mark.large
def test_the_web_page_has_what_its_tokenizers_need(sentencepiece_model, tmp_path):
    model = sentencepiece_model
    export_web(model, tmp_path / "page")
    description = json.loads((tmp_path / "page" / "model.json").read_text("utf-8"))
    for side, tokenizer in model.preprocessor.tokenizers.items():
        own = description[side]
        assert own["vocabulary"] == tokenizer.vocabulary
        assert own.get("scores") == getattr(tokenizer, "scores", None)
        assert tokenizer.description.items() <= own.items()
    assert (tmp_path / "page" / "tokenizers.js").exists()


def test_a_joint_vocabulary_needs_one_tokenizer():
    config = TrainingConfig(source_tokenizer="bpe", joint_vocabulary=True)
    with pytest.raises(
        InputError, match="needs one tokenizer for both sides. Received: --sour"
    ):
        text_tokenizers(config, PAIRS)
    config = TrainingConfig(target_tokenizer="wordpiece", min_count=2)
    with pytest.raises(
        InputError, match="--min-count does not apply to wordpiece: its size is"
    ):
        text_tokenizers(config, PAIRS)
    with pytest.raises(InputError, match="--joint-vocabulary does not apply to --source feat"):
        TrainingConfig(source="features", joint_vocabulary=True)
