"""A Whisper leaves as one file of builtin operations, and as a SavedModel: the same texts."""

import json
import subprocess
import wave

import numpy as np
import pytest
import tensorflow as tf

from export import export_saved_model, export_tflite
from export.flatbuffer import read_operations, unfit_operations
from export.litert_runner import LiteRTRunner
from export.request_options import DTYPES
from keras_seq2seq.converters import from_ctranslate2
from keras_seq2seq.serving.client import AS_EXPORTED
from tests.converters.whisper_files import weights, write_whisper
from tests.cpp import compiled_program

RANDOM = np.random.default_rng(5)
SOUNDS = [RANDOM.normal(0, 0.1, length).astype(np.float32) for length in (16000, 9000, 400)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    # Of the language that it hears, with times: every rule there is.
    folder = write_whisper(tmp_path_factory.mktemp("whisper") / "model", weights(6))
    return from_ctranslate2(folder, timestamps=True, max_target_length=12)


@pytest.fixture(scope="module")
def device(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("device") / "tflite"
    export_tflite(model, path)
    return path


def test_the_file_has_builtin_operations_alone(device):
    content = (device / "model.tflite").read_bytes()
    names = {one.name for one in read_operations(content)}
    assert not unfit_operations(content)
    assert {"CONV_2D", "WHILE"} <= names and not {"RFFT2D", "ERF"} & names


def test_the_runner_writes_what_the_model_writes(model, device):
    runner = LiteRTRunner(device)
    expected = model.search(SOUNDS)
    for row, sound in enumerate(SOUNDS):
        texts, outputs = runner.generate(sound)
        length = expected.lengths[row, 0]
        np.testing.assert_array_equal(
            outputs["token_ids"][0, 0, :length], expected.token_ids[row, 0, :length]
        )
        np.testing.assert_allclose(outputs["log_probs"][0], expected.log_probs[row], atol=2e-4)
        assert texts == model.texts(expected)[row]
        assert texts[0].startswith("<|")
    description = json.loads((device / "signatures.json").read_text("utf-8"))
    assert description["target"]["split"] == "TranscriptTokenizer"


def write_wav(path, samples, rate=16000, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def test_the_cpp_program_takes_a_wav_file_and_writes_text(device, tmp_path):
    program, runner = compiled_program(device, tmp_path), LiteRTRunner(device)

    def run(*arguments):
        return subprocess.run(
            [program, device / "model.tflite", *arguments], capture_output=True
        )

    text = "--text", device / "target_vocabulary.txt"
    samples = [(32767 * np.clip(sound, -1, 1)).round() for sound in SOUNDS]
    stereo = np.stack([samples[1], samples[1]], 1)
    files = [
        *(write_wav(tmp_path / f"{row}.wav", one) for row, one in enumerate(samples)),
        write_wav(tmp_path / "stereo.wav", stereo, channels=2),
    ]
    for file in files:
        (expected,), outputs = runner.generate(file)
        done = run(*text, file)
        assert done.stdout.decode("utf-8", "replace") == f"{expected}\n", done.stderr
        ids = outputs["token_ids"][0, 0, : outputs["length"][0, 0]]
        assert [int(one) for one in run(file).stdout.split()[1:]] == ids.tolist()
    (tmp_path / "no.wav").write_text("RIFF, but no sound")
    for path, message in (
        (write_wav(tmp_path / "slow.wav", samples[0], 8000), "16000 samples a second"),
        (tmp_path / "no.wav", "is no WAV file"),
        (tmp_path / "none.wav", "opening the file"),
    ):
        done = run(*text, path)
        assert done.returncode == 1 and message in done.stderr.decode()


def test_the_saved_model_writes_it_too_and_scores(model, tmp_path):
    export_saved_model(model, tmp_path / "saved_model")
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))
    padded = np.zeros((len(SOUNDS), 16000), np.float32)
    for row, sound in zip(padded, SOUNDS, strict=True):
        row[: len(sound)] = sound
    lengths = tf.constant([len(sound) for sound in SOUNDS], tf.int32)
    source = {"waveform": tf.constant(padded), "lengths": lengths}
    expected = model.generate(SOUNDS)
    request = {name: tf.constant([AS_EXPORTED[name]], DTYPES[name]) for name in DTYPES}
    request["prefix"] = tf.constant([""])
    for name, more in (("serving_default", {}), ("generate", request)):
        found = loaded.signatures[name](**source, **more)["text"].numpy()[:, 0]
        assert [text.decode("utf-8", "replace") for text in found] == expected
    scored = loaded.signatures["score"](**source, target=tf.constant(["the"] * 3))
    own = model.score(SOUNDS, ["the"] * 3)
    np.testing.assert_allclose(scored["log_probs"], own, atol=1e-3)
