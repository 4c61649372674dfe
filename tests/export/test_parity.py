import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from rich.console import Console

from export import LiteRTRunner, compare, export_formats, export_tflite, print_parity
from export.description import generation_of
from export.parity import parity_table
from export.predictors import KerasPredictor, open_predictor
from keras_seq2seq.cli import main
from keras_seq2seq.errors import InputError
from keras_seq2seq.serving import Client
from keras_seq2seq.serving.client import AS_EXPORTED
from keras_seq2seq.serving.messages import read_source
from keras_seq2seq.serving.versions import warm_up
from keras_seq2seq.settings import GenerationSettings
from tests.searches import BEAM
from tests.servers import PredictionService, grpc_server, rest_server
from training.run_directory import RunDirectory
from training.settings import TrainingConfig

FORMATS = ["saved_model", "tflite", "tflite_float16", "tflite_int8"]


@pytest.fixture(scope="module")
def exports(text_model, text_saved_model, text_device, tmp_path_factory):
    """A folder as `export_formats` leaves it; what other tests read too is linked."""
    folder = tmp_path_factory.mktemp("exports")
    (folder / "saved_model").symlink_to(text_saved_model)
    (folder / "tflite").symlink_to(text_device)
    export_formats(text_model, folder, FORMATS[2:], BEAM, Console(quiet=True))
    return folder


@pytest.mark.large
def test_float32_artefacts_agree_in_every_token(text_model, exports, pairs, tmp_path):
    answers = pairs.references()
    sources, references = list(answers)[:40], list(answers.values())[:40]
    console = Console(quiet=True)
    paths = [exports / name for name in FORMATS]
    assert print_parity(
        text_model,
        paths,
        sources,
        console,
        tmp_path / "parity.json",
        references=references,
        threads=(1, 2),
    )
    rows = json.loads((tmp_path / "parity.json").read_text())
    described = [(row["engine"], row["quantization"], row["threads"]) for row in rows]
    assert described == [
        ("Keras model", "float32", 0),
        ("saved_model", "float32", 0),
        ("tflite", "float32", 1),
        ("tflite", "float32", 2),
        ("tflite_float16", "float16", 1),
        ("tflite_float16", "float16", 2),
        ("tflite_int8", "int8", 1),
        ("tflite_int8", "int8", 2),
    ]
    for row in rows[:4]:
        assert row["agreement"] == 1
        assert row["largest_score_difference"] < 1e-4
        assert row["sources"] == 40
        # The same texts make the same errors.
        assert row["token_error_rate"] == rows[0]["token_error_rate"] > 0
        assert row["sequence_error_rate"] == rows[0]["sequence_error_rate"]
    for row in rows:
        p50, p90, p99 = (row[f"milliseconds{end}"] for end in ("", "_p90", "_p99"))
        assert 0 < p50 <= p90 <= p99
    assert all(row["peak_megabytes"] is None for row in rows)


@pytest.mark.large
def test_memory_is_that_of_a_process_of_its_own(text_model, exports):
    paths = [exports / name for name in FORMATS[:2]]
    keras_model, saved, device = compare(text_model, paths, ["cab"], memory=True)
    assert math.isnan(keras_model.peak_megabytes)
    if Path("/proc/self/status").exists():
        assert 10 < device.peak_megabytes < saved.peak_megabytes  # No TensorFlow.


def test_error_rates_are_those_of_the_texts(text_model, exports):
    answers = [[text] for text in text_model.generate(["cab", "fee"], BEAM)]
    rows = compare(text_model, [exports / "tflite"], ["cab", "fee"], references=answers)
    assert [row.token_error_rate for row in rows] == [0.0, 0.0]
    answers[1] = ["XX"]
    rows = compare(text_model, [exports / "tflite"], ["cab", "fee"], references=answers)
    assert [row.sequence_error_rate for row in rows] == [0.5, 0.5]


def test_the_table_leaves_out_what_was_not_measured(text_model, exports):
    rows = compare(text_model, [exports / "tflite"], ["cab"])
    headers = [column.header for column in parity_table(rows).columns]
    assert "peak MB" not in headers and "threads" not in headers
    assert not any("errors" in header for header in headers)


def test_a_number_of_threads_below_one_is_refused(text_model, exports):
    with pytest.raises(
        InputError, match="threads must be at least 1 and at most 1024. Received: \\[0\\]"
    ):
        compare(text_model, [exports / "tflite"], ["cab"], threads=[0])


@pytest.mark.large
def test_a_transformer_agrees_too(transformer_model, transformer_saved_model, pairs, tmp_path):
    """As a SavedModel with a beam, on a device greedily; the other two ways the rules of
    `test_tflite` and `test_the_loop_of_a_model_converts` go."""
    device = tmp_path / "device"
    export_tflite(transformer_model, device, GenerationSettings())
    paths = [transformer_saved_model, device]
    rows = compare(transformer_model, paths, list(pairs.references())[:20])
    assert [row.search for row in rows] == [BEAM.description] * 2 + ["greedy"] * 2
    assert all(row.passes for row in rows), rows
    assert exit_status(transformer_model, [device], pairs, tmp_path, changed=0.01) == 1


@pytest.mark.large
def test_the_exit_status_tells_whether_float32_artefacts_agree(
    text_model, exports, pairs, tmp_path
):
    paths = [exports / name for name in FORMATS]
    assert exit_status(text_model, paths, pairs, tmp_path / "same") == 0
    # What is quantized may differ.
    changed = paths[2:]
    assert exit_status(text_model, changed, pairs, tmp_path / "other", changed=0.01) == 0
    changed = paths[1:]
    assert exit_status(text_model, changed, pairs, tmp_path / "third", changed=0.01) == 1


def exit_status(model, paths, pairs, folder, changed=0.0):
    """Of the command on a run of this model, whose weights are a little larger."""
    run = RunDirectory(folder / "run")
    run.begin(TrainingConfig(), pairs, pairs)
    run.write_pairs(run.validation_file, pairs)
    original = model.get_weights()
    model.set_weights([weight + changed for weight in original])
    model.save(run.model_file)
    model.set_weights(original)
    result = CliRunner().invoke(
        main, ["parity", str(run.path), *map(str, paths), "--count", "3"]
    )
    assert ("DIFFERS" in result.output) == (result.exit_code == 1), result.output
    return result.exit_code


def test_a_changed_model_is_found_out(text_model, exports, pairs):
    weight = text_model.get_layer("decoder_logits").kernel
    original = weight.numpy()
    weight.assign(original[::-1])
    try:
        rows = compare(text_model, [exports / "tflite"], pairs.sources[:20])
    finally:
        weight.assign(original)
    assert not rows[-1].passes


def test_an_export_into_an_existing_folder_changes_nothing(text_model, exports):
    before = {file: file.stat().st_mtime_ns for file in exports.rglob("*")}
    with pytest.raises(InputError, match="saved_model and .* exists .* was left as it is"):
        console = Console(quiet=True)
        export_formats(text_model, exports, FORMATS, GenerationSettings(), console)
    assert {file: file.stat().st_mtime_ns for file in exports.rglob("*")} == before


def test_what_is_no_artefact_is_refused(text_model, tmp_path):
    with pytest.raises(InputError, match="is no artefact: it has neither"):
        compare(text_model, [tmp_path], ["a"])


def test_what_cannot_be_compared_is_told_apart(text_model, exports, tmp_path):
    (tmp_path / "model.tflite").touch()
    with pytest.raises(InputError, match="not exported by this package: no signatures.json"):
        compare(text_model, [tmp_path], ["a"])
    (tmp_path / "model.json").touch()
    with pytest.raises(InputError, match="is a web page, which runs in a browser"):
        compare(text_model, [tmp_path], ["a"])
    version = tmp_path / "speller" / "3"
    version.parent.mkdir()
    version.symlink_to(exports / "tflite")
    (_, row) = compare(text_model, [version], ["cab"])
    assert row.engine == "speller/3"


def test_no_sources_are_refused(text_model):
    with pytest.raises(InputError, match="at least one source"):
        compare(text_model, [], [])


def damaged(path, file, content):
    content = content(path / file) if callable(content) else content
    (path / file).write_bytes(content)


DESCRIPTION = Path("signatures.json")
OF_SAVED_MODEL = Path("assets.extra") / DESCRIPTION


def without(key):
    def change(file):
        description = json.loads(file.read_text())
        del description[key]
        return json.dumps(description).encode()

    return change


def half(file):
    content = file.read_bytes()
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("tflite", DESCRIPTION, b""),
        ("tflite", DESCRIPTION, b"{"),
        ("tflite", DESCRIPTION, b"[]"),
        ("tflite", DESCRIPTION, b"[" * 100_000),
        ("tflite", DESCRIPTION, b"\xff"),
        ("tflite", DESCRIPTION, b'{"generation": {"num_beams": "x"}}'),
        ("tflite", DESCRIPTION, b'{"generation": {"unheard": 1}}'),
        ("tflite", DESCRIPTION, without("source")),
        ("tflite", DESCRIPTION, without("max_source_length")),
        ("tflite", Path("model.tflite"), half),
        ("tflite", Path("source_vocabulary.txt"), half),
        ("saved_model", OF_SAVED_MODEL, without("generation")),
        ("saved_model", Path("saved_model.pb"), half),
        ("saved_model", Path("saved_model.pb"), b""),
        ("saved_model", Path("variables") / "variables.index", half),
        ("saved_model", Path("variables") / "variables.data-00000-of-00001", half),
    ],
)
def test_a_damaged_artefact_is_one_line(text_model, exports, tmp_path, name, file, content):
    path = shutil.copytree(exports / name, tmp_path / name)
    damaged(path, file, content)
    with pytest.raises(InputError, match=f"{name}.*Export it again, or copy it anew") as raised:
        compare(text_model, [path], ["cab"])
    assert len(str(raised.value)) < 700


def test_the_file_of_the_table_is_looked_at_before_the_work(text_model, exports, tmp_path):
    (tmp_path / "file").touch()
    for name, message in ((".", "is a folder"), ("file/x.json", "cannot be written")):
        with pytest.raises(InputError, match=message):
            print_parity(None, [], [], Console(quiet=True), tmp_path / name)
    console, file = Console(quiet=True), tmp_path / "new" / "parity.json"
    assert print_parity(text_model, [exports / "tflite"], ["cab"], console, file)
    assert json.loads(file.read_text())


@pytest.mark.parametrize(
    "rounds",
    [1, pytest.param(400, marks=[pytest.mark.large, pytest.mark.soak])],
    ids=["short", "long"],
)
def test_threads_share_every_engine(text_model, exports, pairs, rounds):
    """Four threads ask one Keras model, SavedModel, runner and client at the same time."""
    sources = list(pairs.references())[:8]
    expected = dict(zip(sources, text_model.generate(sources, BEAM), strict=True))
    serving = tf.saved_model.load(str(exports / "saved_model")).signatures["serving_default"]
    runner = LiteRTRunner(exports / "tflite")
    service = PredictionService(exports / "saved_model")

    with rest_server(service) as rest_url, grpc_server(service) as grpc_url:
        rest, grpc = Client(rest_url, 60), Client(grpc_url, 60)
        engines = {
            "Keras": lambda source: text_model.generate(source, BEAM),
            "SavedModel": lambda source: (
                serving(text=tf.constant([source]))["text"].numpy()[0, 0].decode()
            ),
            "runner": lambda source: runner.generate(source)[0][0],
            "REST": lambda source: rest.generate([source])[0].texts[0],
            "gRPC": lambda source: grpc.generate([source])[0].texts[0],
        }
        for name, engine in engines.items():
            orders = [np.random.default_rng(i).permutation(sources) for i in range(4)]

            def ask(order, engine=engine):
                return [(s, engine(s)) for _ in range(rounds) for s in map(str, order)]

            with ThreadPoolExecutor(4) as pool:
                for answers in pool.map(ask, orders):
                    assert all(text == expected[source] for source, text in answers), name


def test_an_earlier_export_wrote_an_empty_list_for_all_targets():
    described = {"generation": {**GenerationSettings(2, 2).to_dict(), "allowed": []}}
    assert generation_of(described, Path("x")) == GenerationSettings(2, 2)


def test_predictors_of_all_engines_answer_as_the_model(text_model, exports, pairs):
    sources = [*pairs.sources[:6], "", "a" * 50]
    hypotheses = text_model.search(sources[:6], BEAM)
    engines = {name: open_predictor(exports / name) for name in ("saved_model", "tflite")}
    engines["keras"] = KerasPredictor(text_model, BEAM)
    inputs = {"text": np.array([text.encode() for text in sources], object)}
    for name, engine in engines.items():
        warm_up(engine)
        outputs = engine.predict("serving_default", inputs)
        assert set(outputs) == set(engine.signatures["serving_default"].outputs), name
        texts = [[text.decode() for text in row] for row in outputs["text"]]
        assert texts == [*text_model.texts(hypotheses), ["", ""], ["", ""]], name
        np.testing.assert_allclose(outputs["scores"][:6], hypotheses.scores, atol=1e-4)
        assert [error != b"" for error in outputs["error"]] == [False] * 6 + [True] * 2
    keras, saved_model = engines["keras"], engines["saved_model"]
    assert keras.signatures == saved_model.signatures
    pair = {"source": inputs["text"][:1], "target": np.array([b"AA BB"], object)}
    scores = [engine.predict("score", pair)["log_probs"][0] for engine in (keras, saved_model)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


@pytest.mark.large
def test_a_run_compiled_by_xla_answers_as_without(text_model, pairs):
    """Three sources, padded to four."""
    inputs = {"text": np.array([text.encode() for text in [*pairs.sources[:2], ""]], object)}
    plain, compiled = (
        KerasPredictor(text_model, GenerationSettings(), jit) for jit in (False, True)
    )
    assert compiled.signatures.keys() == plain.signatures.keys()
    expected, found = (one.predict("serving_default", inputs) for one in (plain, compiled))
    for name in ("text", "error"):
        assert found[name].tolist() == expected[name].tolist()
    np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-4)


def test_only_the_keras_model_streams_and_ends_with_its_answer(text_model, exports, pairs):
    search = GenerationSettings(2, 2)
    engine = KerasPredictor(text_model, search)
    body = {"text": pairs.sources[0], "prefix": "AA", "max_length": 4}
    inputs = read_source(json.dumps(body).encode(), engine.signatures).inputs
    assert set(inputs) == {"text", *AS_EXPORTED}
    texts = list(engine.stream(inputs))
    (answer,) = engine.predict("generate", inputs)["text"]
    assert len(texts) > 1 and texts[-1] == answer[0].decode()
    assert texts[-1].startswith("AA") and len(texts[-1].split()) <= 4
    # What is wrong is worded by `predict`.
    inputs = read_source(b'{"text": "", "n_best": 2}', engine.signatures).inputs
    assert engine.stream(inputs) is None
    assert engine.predict("generate", inputs)["error"][0] != b""
    assert open_predictor(exports / "tflite").stream({}) is None
