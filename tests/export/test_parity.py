import json

import pytest
from rich.console import Console

from export import compare, export_formats, print_parity
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings

FORMATS = ["saved_model", "tflite", "tflite_int8"]


@pytest.fixture(scope="module")
def exports(text_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    console = Console(quiet=True)
    export_formats(text_model, folder, FORMATS, GenerationSettings(2, 2), console)
    return folder


@pytest.mark.large
def test_float32_artefacts_agree_in_every_token(text_model, exports, pairs, tmp_path):
    sources = list(pairs.references())[:100]
    console = Console(quiet=True)
    paths = [exports / name for name in FORMATS]
    assert print_parity(text_model, paths, sources, console, tmp_path / "parity.json")
    rows = json.loads((tmp_path / "parity.json").read_text())
    assert [row["quantization"] for row in rows] == ["float32"] * 3 + ["int8"]
    for row in rows[:3]:
        assert row["agreement"] == 1
        assert row["largest_score_difference"] < 1e-4
        assert row["sources"] == 100 and row["milliseconds"] > 0


@pytest.mark.large
@pytest.mark.parametrize("search", [GenerationSettings(), GenerationSettings(3, 2, 0.5)])
def test_a_transformer_agrees_too(transformer_model, pairs, tmp_path, search):
    export_formats(transformer_model, tmp_path, FORMATS[:2], search, Console(quiet=True))
    paths = [tmp_path / name for name in FORMATS[:2]]
    rows = compare(transformer_model, paths, list(pairs.references())[:50])
    assert all(row.passes for row in rows), rows


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
    with pytest.raises(InputError, match="saved_model exists"):
        console = Console(quiet=True)
        export_formats(text_model, exports, FORMATS, GenerationSettings(), console)


def test_what_is_no_artefact_is_refused(text_model, tmp_path):
    with pytest.raises(InputError, match="is no artefact: it has neither"):
        compare(text_model, [tmp_path], ["a"])


def test_no_sources_are_refused(text_model):
    with pytest.raises(InputError, match="at least one source"):
        compare(text_model, [], [])
