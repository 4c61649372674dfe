"""A `.tflite` file of a chosen batch gives, source by source, what the model gives alone."""

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from export import LiteRTRunner, compare, export_tflite
from export.flatbuffer import unfit_operations
from export.litert_runner import check
from export.parity import parity_table
from export.predictors import open_predictor
from export.tflite import convert
from keras_seq2seq.cli import main
from keras_seq2seq.data import FramePreprocessor
from keras_seq2seq.models import transformer
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.tokenizers import CharacterTokenizer
from tests.searches import BEAM, EVERY_RULE
from training.run_directory import RunDirectory
from training.settings import TrainingConfig

GREEDY = GenerationSettings()
EXPORTS = {
    "recurrent": ("text_model", BEAM, 4),
    "transformer": ("transformer_model", GREEDY, 3),
    "transformer-rules": ("transformer_model", EVERY_RULE, 3),
}


@pytest.fixture(scope="module", params=EXPORTS)
def batched(request, once):
    model_name, search, size = EXPORTS[request.param]
    model = request.getfixturevalue(model_name)
    path = once(
        f"batches_{request.param}",
        lambda path: export_tflite(model, path, search, batch_size=size),
    )
    return path, model, search, size


def test_each_source_of_a_batch_has_the_answer_that_it_has_alone(batched, pairs):
    path, model, search, size = batched
    # Ragged, of any order, and a last batch that is not full.
    sources = [*dict.fromkeys(pairs.sources)][: 4 * size + 1]
    assert len({len(source) for source in sources}) > 3
    runner = LiteRTRunner(path)
    assert runner.batch_size == size
    answers = runner.generate_all(sources)
    for source, (texts, outputs) in zip(sources, answers, strict=True):
        expected = model.search([source], search)
        copied = [source] if search.replace_unknown else None
        assert texts == model.texts(expected, copied)[0]
        np.testing.assert_array_equal(outputs["token_ids"], expected.token_ids)
        for name in ("log_probs", "scores", "token_log_probs"):
            np.testing.assert_allclose(outputs[name], getattr(expected, name), atol=1e-4)
    texts, outputs = runner.generate(sources[1])
    assert texts == answers[1][0] and outputs["token_ids"].shape[0] == 1
    assert runner.generate_all([]) == []


def test_the_folder_says_its_batch_and_its_vectors_agree(batched):
    path, _, _, size = batched
    assert json.loads((path / "signatures.json").read_text())["batch_size"] == size
    assert unfit_operations((path / "model.tflite").read_bytes()) == []
    assert check(path) == []
    # Programs of one source do not fit it.
    card = (path / "MODEL_CARD.md").read_text()
    assert f"`[{size}, S]`" in card and "generate.cpp" not in card and "Kotlin" not in card
    assert not (path / "generate.cpp").exists()


def test_parity_runs_it_in_batches(batched, pairs):
    path, model, _, size = batched
    rows = compare(model, [path], pairs.sources[: 2 * size + 1])
    assert [row.batch_size for row in rows] == [1, size]
    assert rows[1].passes and rows[1].agreement == 1
    assert "batch" in [column.header for column in parity_table(rows).columns]


def test_a_predictor_answers_what_it_can_of_a_batch(once, text_model, pairs):
    path = once(
        "batches_recurrent",
        lambda path: export_tflite(text_model, path, BEAM, batch_size=4),
    )
    sources = [pairs.sources[0], "", "cab", "z" * 900, *pairs.sources[3:7]]
    found = open_predictor(path).predict(
        "serving_default", {"text": np.array([one.encode() for one in sources], object)}
    )
    errors = [bool(error) for error in found["error"]]
    assert errors == [False, True, False, True, False, False, False, False]
    for row, source in enumerate(sources):
        texts = [text.decode() for text in found["text"][row]]
        expected = (
            ["", ""] if errors[row] else text_model.texts(text_model.search([source], BEAM))[0]
        )
        assert texts == expected


def test_lines_of_a_file_go_through_it(once, text_model, tmp_path):
    path = once(
        "batches_recurrent",
        lambda path: export_tflite(text_model, path, BEAM, batch_size=4),
    )
    lines = ["cab", "fee", "", "badge", "a", "decade"]
    (tmp_path / "words.txt").write_text("".join(f"{line}\n" for line in lines))
    command = ["generate", str(path), "--file", str(tmp_path / "words.txt")]
    result = CliRunner().invoke(main, command)
    expected = [
        f"{line}\t{text}\n"
        for line in lines
        for text in (text_model.texts(text_model.search([line], BEAM))[0] if line else [""])
    ]
    assert result.exit_code == 1 and result.stdout == "".join(expected)


def test_signals_are_padded_within_a_batch(tmp_path):
    rng = np.random.default_rng(7)
    frames = [rng.normal(size=(length, 5)).astype("float32") for length in (9, 4, 17, 1, 12)]
    keras.utils.set_random_seed(5)
    preprocessor = FramePreprocessor.from_pairs(
        frames, ["abcd", "cab", "dabcab", "a", "badc"], CharacterTokenizer
    )
    model = transformer(preprocessor, hidden_dim=8, num_layers=1, num_heads=2)
    for weight in model.trainable_weights:
        weight.assign(weight * 2)
    export_tflite(model, tmp_path / "device", GREEDY, batch_size=2)
    runner = LiteRTRunner(tmp_path / "device")
    for source, (_, outputs) in zip(frames, runner.generate_all(frames), strict=True):
        expected = model.search([source], GREEDY)
        np.testing.assert_array_equal(outputs["token_ids"], expected.token_ids)
        np.testing.assert_allclose(outputs["log_probs"], expected.log_probs, atol=1e-4)


def test_8_bits_in_a_batch_are_near_8_bits_alone(transformer_model, pairs, tmp_path):
    for name, size in (("alone", 1), ("batch", 3)):
        export_tflite(transformer_model, tmp_path / name, GREEDY, "int8", batch_size=size)
    alone, batch = (LiteRTRunner(tmp_path / name) for name in ("alone", "batch"))
    sources = pairs.sources[:12]
    # Activations are quantized row by row, so a row does not see the others.
    for source, (texts, outputs) in zip(sources, batch.generate_all(sources), strict=True):
        expected, numbers = alone.generate(source)
        assert texts == expected
        np.testing.assert_allclose(outputs["log_probs"], numbers["log_probs"], atol=1e-4)


@pytest.mark.parametrize("size", [0, -1, 1025])
def test_a_batch_that_cannot_be_is_refused(text_model, size):
    with pytest.raises(ValueError, match=f"at least 1 and at most 1024. Received: {size}"):
        convert(text_model, batch_size=size)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--batch", "0"], "'--batch': 0 is not in the range 1<=x<=1024"),
        (["--batch", "2000"], "2000 is not in the range 1<=x<=1024"),
        (["--batch", "8", "--format", "saved_model"], "--batch is of the .tflite formats"),
    ],
)
def test_the_command_refuses_it_in_one_line(text_model, tmp_path, pairs, options, said):
    run = RunDirectory(tmp_path / "run")
    run.begin(TrainingConfig(), pairs, pairs)
    text_model.save(run.model_file)
    command = ["export", str(tmp_path / "run"), str(tmp_path / "out"), *options]
    result = CliRunner().invoke(main, command)
    assert result.exit_code != 0 and said in result.output and not (tmp_path / "out").exists()
