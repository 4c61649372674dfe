import json
from collections import Counter

import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import load_model
from keras_seq2seq.pictures import plot_accuracy_by_length
from training.bottleneck import (
    MODELS,
    accuracy_by_length,
    cmudict_splits,
    reversal_pairs,
    reversal_splits,
)
from training.run.building import build_model, build_preprocessor


def test_targets_are_their_sources_backwards():
    pairs = reversal_pairs(500, 24, seed=0)
    assert len(set(pairs.sources)) == 500
    for source, target in zip(pairs.sources, pairs.targets, strict=True):
        assert target.split() == list(source)[::-1]
    assert {len(source) for source in pairs.sources} == set(range(1, 25))
    assert reversal_pairs(500, 24, seed=0) == pairs != reversal_pairs(500, 24, seed=1)


def test_no_held_out_source_is_trained_on(tmp_path):
    lexicon = tmp_path / "lexicon.dict"
    lexicon.write_text("".join(f"w{i} W AH{i % 3}\n" for i in range(200)), "utf-8")
    for splits in (reversal_splits(80, 1), cmudict_splits(80, 1, lexicon)):
        assert splits.test is not None
        parts = [splits.train, splits.validation, splits.test]
        assert [len(part) for part in parts] == [80, 2, 20]
        assert len(set().union(*(part.sources for part in parts))) == 102


def test_the_models_are_of_about_equal_size():
    splits = reversal_splits(400, 1)
    sizes = [
        build_model(config, build_preprocessor(config, splits.train)).count_params()
        for config in MODELS.values()
    ]
    assert max(sizes) < 1.1 * min(sizes)


def test_accuracy_is_counted_by_length(text_model):
    right = {source: text_model.generate(source) for source in ("cab", "fed", "a")}
    pairs = Pairs(
        ["cab", "fed", "fed", "a"], [right["cab"], "AA", right["fed"] + " AA", right["a"]]
    )
    rows = accuracy_by_length(text_model, pairs)
    assert [(row["length"], row["sources"], row["accuracy"]) for row in rows] == [
        (1, 1, 1.0),
        (3, 2, 0.5),
    ]
    assert rows[0]["token_error_rate"] == 0.0 < rows[1]["token_error_rate"]


@pytest.mark.parametrize("suffix, start", [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_a_picture_has_the_format_of_its_name(tmp_path, suffix, start):
    path = tmp_path / "folder" / f"picture{suffix}"
    lines = {"first": [(1, 1.0), (2, 0.5)], "second": []}
    plot_accuracy_by_length({"one": lines, "two": lines}, path)
    assert path.read_bytes().startswith(start)


def test_a_picture_that_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(InputError, match="must end in .png or .svg"):
        plot_accuracy_by_length({"one": {}}, tmp_path / "picture.gif")
    with pytest.raises(ValueError, match="at least one panel"):
        plot_accuracy_by_length({}, tmp_path / "picture.png")


@pytest.mark.large
def test_the_command_draws_a_tiny_slice_and_trains_nothing_twice(tmp_path, monkeypatch):
    small = {
        name: MODELS[name].replace(embedding_dim=4, hidden_dim=8, num_layers=1, num_buckets=1)
        for name in ("lstm", "lstm_attention")
    }
    monkeypatch.setattr("keras_seq2seq.training.bottleneck.MODELS", small)
    lexicon = tmp_path / "lexicon.dict"
    words = Counter(reversal_pairs(60, 6, seed=3).sources)
    lexicon.write_text("".join(f"{word} K AE{len(word) % 3}\n" for word in words), "utf-8")
    folder = tmp_path / "run"
    command = ["bottleneck", "--run-dir", str(folder), "--data", str(lexicon)]
    command += ["--training-pairs", "40", "--epochs", "1"]
    first = CliRunner().invoke(main, command, catch_exceptions=False)
    assert first.exit_code == 0, first.output
    result = json.loads((folder / "accuracy_by_length.json").read_text())
    assert set(result["data"]) == {"reversal", "cmudict"}
    for name, models in result["data"].items():
        assert set(models) == set(small)
        for model, numbers in models.items():
            assert sum(row["sources"] for row in numbers["by_length"]) == 10
            load_model(folder / name / model / "model.keras")
    for suffix in ("png", "svg"):
        assert (folder / f"accuracy_by_length.{suffix}").stat().st_size > 1000
    again = CliRunner().invoke(main, command, catch_exceptions=False)
    assert again.exit_code == 0
    assert json.loads((folder / "accuracy_by_length.json").read_text()) == result
