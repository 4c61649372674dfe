"""What is not trained does not change by a bit; adapters add up to an ordinary model."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_seq2seq.data import training_data
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import load_model
from keras_seq2seq.models.rebuilding import rebuilt
from keras_seq2seq.models.trained_parts import (
    enable_lora,
    freeze,
    ordinary,
    part_names,
    trained_parameters,
    unmerged,
)


def values(model):
    return [keras.ops.convert_to_numpy(weight).copy() for weight in model.weights]


def trained(model, pairs):
    """The model after a few steps at a high rate."""
    # Tracing a graph takes longer than two steps.
    model.compile(keras.optimizers.Adam(0.05), jit_compile=False, run_eagerly=True)
    data = training_data(
        model.preprocessor, pairs.sources[:32], pairs.targets[:32], batch_size=16, num_buckets=1
    )
    model.fit(data.dataset, steps_per_epoch=2, epochs=1, verbose=0)
    return model


@pytest.fixture(scope="module")
def adapted(transformer_model, pairs):
    model = rebuilt(transformer_model, rates={"dropout": 0.0})
    freeze(model, ["encoder"])
    return model, enable_lora(model, 2), trained(model, pairs)


def test_adapters_change_their_matrices_alone(transformer_model, adapted):
    model, found, _ = adapted
    assert found.left == [] and "decoder_0_self_query" in found.reached
    assert found.parameters == trained_parameters(model)
    assert all("lora_" in weight.name for weight in model.trainable_variables)
    pairs = zip(transformer_model.weights, ordinary(model).weights, strict=True)
    for before, after in pairs:
        layer, name = before.path.split("/")[-2:]
        is_matrix = layer in found.reached and name in ("kernel", "embeddings")
        assert np.array_equal(before, after) != is_matrix, before.path
    assert not any(name.startswith("encoder") for name in found.reached)


def test_the_ordinary_copy_says_the_same(adapted, pairs):
    model, _, _ = adapted
    copy = ordinary(model)
    inputs, _, _ = model.preprocessor(pairs.sources[:8], pairs.targets[:8])
    np.testing.assert_array_equal(model(inputs), copy(inputs))
    assert len(copy.trainable_variables) == len(copy.weights)
    again = ordinary(model, copy)
    assert again is copy


def test_matrices_and_adapters_are_saved_one_by_one(adapted, tmp_path):
    model, _, _ = adapted
    before = values(model)
    file = tmp_path / "model.weights.h5"
    with unmerged(model):
        model.save_weights(file)
    for weight in model.weights:
        weight.assign(weight + 1)
    with unmerged(model):
        model.load_weights(file)
    for weight, expected in zip(values(model), before, strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert "save_own_variables" not in vars(model.get_layer("decoder_logits"))


def test_frozen_parts_keep_every_bit(text_model, pairs):
    model = rebuilt(text_model)
    frozen = freeze(model, ["encoder", "decoder_logits"])
    assert frozen == ["encoder_embedding", "encoder_lstm_0", "decoder_logits"]
    before = values(model)
    trained(model, pairs)
    for weight, old, new in zip(model.weights, before, values(model), strict=True):
        held = any(f"{name}/" in f"{weight.path}/" for name in frozen)
        assert np.array_equal(old, new) == held, weight.path


def test_what_cannot_be_frozen_or_adapted_is_said(text_model):
    model = rebuilt(text_model)
    assert "decoder_attention" in part_names(model)
    with pytest.raises(InputError, match="no part 'encode' to freeze.*decoder, decoder_attent"):
        freeze(model, ["encode"])
    with pytest.raises(InputError, match="No matrix of this model has more than 500"):
        enable_lora(rebuilt(text_model), 500)
    with pytest.raises(InputError, match="Nothing is left to train"):
        freeze(model, ["encoder", "decoder"])


def test_recurrent_cells_have_no_adapter_and_are_named(text_model):
    found = enable_lora(rebuilt(text_model), 2)
    assert [name.split("/")[-1] for name in found.left] == [
        "lstm_cell",
        "lstm_cell",
        "decoder_lstm_0_cell",
    ]
    assert "decoder_attention/decoder_attention_output" in found.reached


def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "fine_tuning.md").read_text("utf-8")
    (block,) = re.findall(r"<!-- tested -->\n```python\n(.*?)```", page, re.DOTALL)
    names: dict = {}
    exec(compile(block, "fine_tuning.md", "exec"), names)
    assert "decoder_0_self_query" in capsys.readouterr().out
    model = load_model("tuned.keras")
    assert model.decoder.vocabulary_size == 8 and len(model.generate(["abcd"])) == 1
