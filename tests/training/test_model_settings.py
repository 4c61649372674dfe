"""From settings of a run to the model that they describe."""

import dataclasses
import inspect

import pytest

from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import BahdanauAttention, MonotonicAttention
from keras_seq2seq.models import ARCHITECTURES as BUILDERS
from keras_seq2seq.models import PRESETS, architectures
from keras_seq2seq.settings.declarations import settings_of
from keras_seq2seq.training.run.building import build_model
from keras_seq2seq.training.settings import TrainingConfig
from keras_seq2seq.training.settings.model import ARCHITECTURES as SETTINGS

SMALL = {"hidden_dim": 8, "num_layers": 1}
OWN = {"transformer": {"num_heads": 2}}


def built(preprocessor, **settings):
    own = OWN.get(settings.get("architecture", ""), {"embedding_dim": 4})
    return build_model(TrainingConfig(**SMALL, **own, **settings), preprocessor)


def test_sizes_reach_every_architecture(preprocessor):
    for architecture in ("lstm", "lstm_attention", "recurrent", "transformer"):
        model = built(preprocessor, architecture=architecture)
        assert model.decoder.hidden_dim == 8
        assert model.decoder.dropout == TrainingConfig().model.dropout


@pytest.mark.parametrize("name", BUILDERS)
def test_the_settings_of_an_architecture_are_the_arguments_of_its_builder(name):
    arguments = []
    for parameter in list(inspect.signature(BUILDERS[name]).parameters.values())[1:]:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            declared = getattr(architectures, parameter.name.title())  # Shared or Sizes.
            arguments += [field.name for field in dataclasses.fields(declared)]
        else:
            arguments.append(parameter.name)
    assert sorted(arguments) == sorted(settings_of(SETTINGS[name]))


def test_a_recurrent_model_is_made_of_the_parts_that_are_asked_for(preprocessor):
    model = built(
        preprocessor,
        architecture="recurrent",
        cell="gru",
        attention="additive",
        input_feeding="context",
        bidirectional=False,
    )
    assert isinstance(model.decoder.attention, BahdanauAttention)
    assert (model.encoder.cell, model.encoder.bidirectional) == ("gru", False)
    assert model.decoder.input_feeding == "context"
    monotonic = built(preprocessor, architecture="recurrent", attention="monotonic")
    assert isinstance(monotonic.decoder.attention, MonotonicAttention)


def test_a_transformer_too(preprocessor):
    model = built(
        preprocessor,
        architecture="transformer",
        positions="rotary",
        normalize_first=False,
        tie_output=True,
        intermediate_dim=12,
        attention_dropout=0.0,
        sentence_ends="a b",
    )
    assert model.decoder.attention_dropout == 0 < model.decoder.dropout
    assert len(model.encoder.embedding.end_ids) == 2
    assert (model.encoder.positions, model.encoder.normalize_first) == ("rotary", False)
    assert model.decoder.tie_output and model.decoder.intermediate_dim == 12


def test_scheduled_sampling_reaches_the_model(preprocessor):
    model = built(preprocessor, scheduled_sampling="linear", sampling_steps=7)
    assert model.scheduled_sampling.schedule == "linear"
    assert model.scheduled_sampling.steps == 7
    assert built(preprocessor).scheduled_sampling is None


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"architecture": "lstm", "attention": "dot"},
            "--attention does not apply to --architecture lstm. Received: 'dot'",
        ),
        (
            {"architecture": "transformer", "residual": True},
            "--residual does not apply to --architecture transformer",
        ),
        (
            {"architecture": "transformer", "share_embeddings": True},
            "Embeddings can be shared by source and target of one vocabulary",
        ),
        (
            {"architecture": "recurrent", "tie_output": True},
            "embedding_dim=4, output 8",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(preprocessor, settings, message):
    with pytest.raises(InputError, match=message):
        built(preprocessor, **settings)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_configuration(name):
    preset = PRESETS[name]
    config = TrainingConfig(architecture=preset.architecture, **preset.settings)
    assert config.model.hidden_dim == preset.settings["hidden_dim"]
