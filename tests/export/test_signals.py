"""Artefacts of models whose sources are frames or sound."""

import json
import subprocess
import sys
import wave
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from export import (
    LiteRTRunner,
    compare,
    export_saved_model,
    export_serving,
    export_tflite,
)
from export.predictors import open_predictor
from export.request_options import AS_EXPORTED, DTYPES
from keras_seq2seq.cli import main
from keras_seq2seq.data import FramePreprocessor, WaveformPreprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import recurrent, transformer
from keras_seq2seq.serving import Client
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.tokenizers import CharacterTokenizer
from tests.cpp import assert_program_gives

RNG = np.random.default_rng(7)
FRAMES = [RNG.normal(size=(length, 5)).astype("float32") for length in (9, 4, 17, 1, 12)]
SOUNDS = [RNG.normal(0, 0.1, length).astype("float32") for length in (900, 400, 1601, 80, 3)]
TARGETS = ["abcd", "cab", "dabcab", "a", "badc"]
SETTINGS = GenerationSettings(num_beams=3, num_hypotheses=2)
JOINT = replace(SETTINGS, ctc_weight=0.4)


def stronger(model):
    """Random weights, large enough that the choices of a search differ."""
    for weight in model.trainable_weights:
        weight.assign(weight * 2)
    return model


@pytest.fixture(scope="module")
def frame_model():
    keras.utils.set_random_seed(5)
    preprocessor = FramePreprocessor.from_pairs(FRAMES, TARGETS, CharacterTokenizer)
    return stronger(
        recurrent(
            preprocessor,
            embedding_dim=8,
            hidden_dim=12,
            encoder_layers=2,
            cell="gru",
            attention="location",
            time_reduction=2,
            spec_augment=True,
            ctc_weight=0.5,
        )
    )


@pytest.fixture(scope="module")
def sound_model():
    keras.utils.set_random_seed(6)
    preprocessor = WaveformPreprocessor.from_pairs(
        SOUNDS, TARGETS, CharacterTokenizer, sample_rate=8000
    )
    return stronger(
        transformer(
            preprocessor,
            hidden_dim=8,
            num_layers=1,
            num_heads=2,
            convolutions=1,
            spec_augment=True,
            ctc_weight=0.5,
        )
    )


@pytest.fixture(scope="module", params=["frame_model", "sound_model"])
def case(request, tmp_path_factory):
    """`(model, its sources, folder with both artefacts)`; of sound they search with CTC."""
    model = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    export_saved_model(model, folder / "saved_model", searched(model))
    export_tflite(model, folder / "tflite", searched(model))
    return model, FRAMES if request.param == "frame_model" else SOUNDS, folder


@pytest.fixture(scope="module")
def loaded(case):
    return tf.saved_model.load(case[2] / "saved_model")


def searched(model):
    """The settings of the artefacts."""
    return JOINT if model.preprocessor.kind == "waveform" else SETTINGS


def batch_of(sources):
    longest = max(map(len, sources))
    padded = [np.pad(s, [(0, longest - len(s))] + [(0, 0)] * (s.ndim - 1)) for s in sources]
    return np.stack(padded), np.array([len(source) for source in sources], "int32")


def test_every_artefact_agrees_with_the_model(case):
    model, sources, folder = case
    references = [[target] for target in TARGETS]
    rows = compare(
        model, [folder / "saved_model", folder / "tflite"], sources, references=references
    )
    assert [row.engine for row in rows] == ["Keras model", "saved_model", "tflite"]
    assert all(row.passes and row.agreement == 1 for row in rows)
    assert len({row.token_error_rate for row in rows}) == 1
    assert len(set(model.generate(sources, searched(model)))) > 1


def test_a_batch_answers_as_its_rows_and_says_what_does_not_fit(case, loaded):
    model, sources, _ = case
    kind = model.preprocessor.kind
    serving = loaded.signatures["serving_default"]
    array, lengths = batch_of([sources[2], *sources[:2], sources[0], sources[0]])
    wide = np.pad(array, [(0, 0), (0, 5)] + [(0, 0)] * (array.ndim - 2), constant_values=9)
    lengths[3], wide[4, 0] = 0, np.nan
    outputs = serving(**{kind: tf.constant(wide), "lengths": tf.constant(lengths)})
    unit, longest = model.preprocessor.unit, model.preprocessor.max_source_length
    texts = model.texts(model.search([sources[i] for i in (2, 0, 1)], searched(model)))
    received = [[text.decode() for text in row] for row in outputs["text"].numpy()]
    assert received == [*texts, ["", ""], ["", ""]]
    errors = [error.decode() for error in outputs["error"].numpy()]
    assert errors == [
        "",
        "",
        "",
        f"the source is empty; give it {unit}",
        "the source holds NaN or infinity",
    ]
    lengths[3:] = longest + 1, 2
    lengths[0] = wide.shape[1] + 1 if longest > wide.shape[1] else longest + 2
    outputs = serving(**{kind: tf.constant(wide), "lengths": tf.constant(lengths)})
    errors = [error.decode() for error in outputs["error"].numpy()]
    assert (
        errors[3] == f"the source has {longest + 1} {unit}; this model takes at most {longest}"
    )
    assert errors[0] and not errors[1]
    assert outputs["log_probs"].numpy()[3].max() < -5e8


def test_the_other_signatures_take_the_same_source(case, loaded):
    model, sources, folder = case
    array, lengths = batch_of(sources[:2])
    source = {model.preprocessor.kind: tf.constant(array), "lengths": tf.constant(lengths)}
    scored = loaded.signatures["score"](**source, target=tf.constant(TARGETS[:2]))
    expected = model.score(sources[:2], TARGETS[:2])
    np.testing.assert_allclose(scored["log_probs"], expected, atol=1e-4)
    assert set(loaded.signatures["encode"](**source)) == {
        tensor.name for tensor in model.decoder_model.inputs if tensor.name != "token"
    }
    spec = loaded.signatures["generate"].structured_input_signature[1]
    assert {*source, "prefix", "max_length", "n_best"} <= set(spec)
    options = {name: tf.constant([AS_EXPORTED[name]], DTYPES[name]) for name in DTYPES}
    options["max_length"] = tf.constant([2])
    outputs = loaded.signatures["generate"](**source, prefix=tf.constant(["a"]), **options)
    texts = [row[0].decode() for row in outputs["text"].numpy()]
    assert all(text.startswith("a") for text in texts)
    assert outputs["length"].numpy().max() <= 2 < model.preprocessor.max_target_length


def test_the_runner_reads_files_and_refuses_what_the_model_was_not_made_for(case, tmp_path):
    model, sources, folder = case
    runner = LiteRTRunner(folder / "tflite")
    expected = model.texts(model.search(sources[:1], searched(model)))[0]
    np.save(tmp_path / "source.npy", sources[0])
    assert runner.generate(tmp_path / "source.npy")[0] == expected
    longest = model.preprocessor.max_source_length
    shape = sources[0].shape[1:]
    for wrong, message in (
        (np.zeros((longest + 1, *shape)), f"a length from 1 to {longest}. Received"),
        (np.zeros((0, *shape)), f"a length from 1 to {longest}. Received: 0"),
        (np.zeros((4, 7)), "must have the shape"),
        (np.full((4, *shape), np.nan), "finite numbers"),
        (tmp_path / "missing.npy", "missing.npy: cannot be read"),
    ):
        with pytest.raises(ValueError, match=message):
            runner.generate(wrong)


def write_wav(path, samples, rate=8000):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).round().astype("<i2").tobytes())


@pytest.fixture
def sound_bundle(case):
    model, _, folder = case
    if model.preprocessor.kind != "waveform":
        pytest.skip("a model of frames")
    return model, folder / "tflite"


def test_the_bundle_alone_says_what_is_in_a_sound_file(sound_bundle, tmp_path):
    model, folder = sound_bundle
    assert not (folder / "source_vocabulary.txt").exists()
    samples = np.clip(SOUNDS[0], -1, 1)
    write_wav(tmp_path / "sound.wav", samples)
    write_wav(tmp_path / "other.wav", samples, 16000)
    done = subprocess.run(
        [sys.executable, "litert_runner.py", tmp_path / "sound.wav", tmp_path / "other.wav"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    rounded = (samples * 32767).round() / 32768
    (expected,) = model.texts(model.search([rounded.astype("float32")], searched(model)))
    columns = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(name, text) for name, _, text in columns] == [
        (str(tmp_path / "sound.wav"), text) for text in expected
    ]
    assert done.returncode == 1 and "expected 16 bits and 8000 Hz" in done.stderr


def test_a_row_of_a_batch_is_the_source_alone_in_every_artefact(case, loaded):
    model, sources, folder = case
    expected = model.search(sources, searched(model))
    serving = loaded.signatures["serving_default"]
    array, lengths = batch_of(sources)
    received = serving(**{model.preprocessor.kind: array, "lengths": lengths})
    np.testing.assert_allclose(received["log_probs"], expected.log_probs, atol=1e-4)
    runner = LiteRTRunner(folder / "tflite")
    for row, source in enumerate(sources):
        # In a batch as alone, where less is padded.
        alone = model.search([source], searched(model))
        np.testing.assert_allclose(alone.log_probs[0], expected.log_probs[row], atol=1e-4)
        device = runner.generate(source)[1]["log_probs"][0]
        np.testing.assert_allclose(device, alone.log_probs[0], atol=1e-4)


@pytest.mark.large
def test_an_interpreter_that_read_another_length_before_gives_the_same(case):
    # What a delegate keeps of the call before depends on where memory lies: many tries.
    model, sources, folder = case
    order = np.random.default_rng(3)
    expected = model.search(sources, searched(model)).log_probs
    for _ in range(15):
        runner = LiteRTRunner(folder / "tflite")
        for row in order.permutation(len(sources)):
            received = runner.generate(sources[row])[1]["log_probs"][0]
            np.testing.assert_allclose(received, expected[row], atol=1e-3)


def test_the_card_tells_the_inputs(case):
    model, _, folder = case
    card = (folder / "tflite" / "MODEL_CARD.md").read_text("utf-8")
    assert f"`{model.preprocessor.key}`" in card and "$" not in card
    is_sound = model.preprocessor.kind == "waveform"
    assert ("pipeline_tag: automatic-speech-recognition\n" in card) == is_sound
    source = json.loads((folder / "tflite" / "signatures.json").read_text("utf-8"))["source"]
    assert source["kind"] == model.preprocessor.kind


def test_the_cpp_program_of_the_folder_compiles_and_agrees(case, tmp_path):
    model, sources, folder = case
    files = [tmp_path / f"{number}.f32" for number in range(len(sources))]
    for file, source in zip(files, sources, strict=True):
        source.tofile(file)
    expected = model.search(sources, searched(model))
    assert_program_gives(folder / "tflite", [[file] for file in files], expected, tmp_path)


def test_inference_models_have_no_ctc_and_no_augmentation(case):
    model, sources, _ = case
    assert "ctc" in {layer.name for layer in model.layers}
    for inner in (model.encoder_model, model.decoder_model):
        assert "ctc" not in {layer.name for layer in inner.layers}
    assert model.generate(sources) == model.generate(sources)


@pytest.fixture(scope="module")
def service(case):
    pytest.importorskip("tensorflow_serving")
    from tests.servers import PredictionService

    return PredictionService(case[2] / "saved_model")


@pytest.mark.large
@pytest.mark.parametrize("server", ["rest_server", "grpc_server"])
def test_the_client_and_its_command_send_signals(case, service, server, tmp_path):
    from tests import servers

    model, sources, _ = case
    kind = model.preprocessor.kind
    files = [tmp_path / f"{number}.npy" for number in range(len(sources))]
    for file, source in zip(files, sources, strict=True):
        np.save(file, source)
    expected = model.texts(model.search(sources, searched(model)))
    with getattr(servers, server)(service) as url:
        received = Client(url).generate([*sources, sources[0][:0]])
        first = Client(url).generate(sources, n_best=1)
        command = ["request", url, *map(str, files), "--source", kind]
        result = CliRunner().invoke(main, command)
    assert [answer.texts for answer in received] == [*expected, []]
    assert received[-1].error.startswith("the source is empty")
    assert [answer.texts for answer in first] == [texts[:1] for texts in expected]
    assert result.stdout == "".join(
        f"{file}\t{text}\n"
        for file, texts in zip(files, expected, strict=True)
        for text in texts
    )


def test_the_client_refuses_signals_that_do_not_go_together():
    client = Client("http://localhost:1/v1/models/m")
    for sources in ([FRAMES[0], SOUNDS[0]], [np.float32(1)], ["a", FRAMES[0]]):
        with pytest.raises(InputError, match="one shape|all arrays of numbers"):
            client.generate(sources)
    wrong = ["request", client.url, "a.wav", "--source", "waveform"]
    result = CliRunner().invoke(main, wrong)
    assert result.exit_code == 2 and "--sample-rate" in result.stderr


@pytest.mark.large
def test_a_folder_of_tensorflow_serving_is_warmed_up_with_signals(frame_model, tmp_path):
    pytest.importorskip("tensorflow_serving")
    written = export_serving(frame_model, tmp_path, batch_sizes=(1, 2))
    assert (written / "assets.extra" / "tf_serving_warmup_requests").exists()


def test_unknown_tokens_cannot_be_copied_from_a_signal(frame_model):
    with pytest.raises(InputError, match="copies source tokens, and the sources .* features"):
        frame_model.generate(FRAMES[:1], replace_unknown=True)


def test_predictors_of_both_artefacts_answer_every_row(case):
    model, sources, folder = case
    arrays, lengths = batch_of(sources[:3])
    flat = arrays.reshape(*arrays.shape[:2], -1) if arrays.ndim > 2 else arrays
    flat = flat.astype(np.float32)
    flat = np.concatenate([flat, flat])
    lengths = np.concatenate([lengths, [0, flat.shape[1] + 1, lengths[0]]]).astype(np.int32)
    flat[5] = np.nan
    inputs = {model.preprocessor.kind: flat, "lengths": lengths}
    expected, found = (
        open_predictor(folder / name).predict("serving_default", inputs)
        for name in ("saved_model", "tflite")
    )
    for outputs in (expected, found):
        assert [text != b"" for text in outputs["error"]] == [False] * 3 + [True] * 3
        assert not any(outputs["text"][3:].ravel())
        assert (outputs["log_probs"][3:] == -1e9).all()
    assert found["text"][:3].tolist() == expected["text"][:3].tolist()
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-3)
