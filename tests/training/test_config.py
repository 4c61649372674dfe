import dataclasses
import json
import math
import subprocess
import sys

import pytest

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import option_name
from keras_seq2seq.wording import counted, plural
from training.settings import TrainingConfig
from training.settings.monitors import cost, mode_of

LOWEST = {
    "embedding_dim": 1,
    "hidden_dim": 1,
    "num_layers": 1,
    "min_count": 1,
    "max_source_length": 0,
    "max_target_length": 0,
    "epochs": 1,
    "batch_size": 1,
    "batch_tokens": 0,
    "num_buckets": 1,
    "warmup_steps": 0,
    "clipnorm": 0,
    "global_clipnorm": 0,
    "weight_decay": 0,
    "gradient_accumulation": 1,
    "plateau_patience": 1,
    "average": 0,
    "patience": 1,
    "validation_sources": 1,
    "validation_decoded": 0,
    "seed": 0,
}


@pytest.mark.parametrize(("name", "lowest"), LOWEST.items())
def test_the_lowest_value_is_accepted_and_one_less_refused(name, lowest):
    assert getattr(TrainingConfig().replace(**{name: lowest}), name) == lowest
    expected = f"{option_name(name)} must be at least {lowest}. Received: {lowest - 1}."
    with pytest.raises(InputError, match=expected):
        TrainingConfig().replace(**{name: lowest - 1})


@pytest.mark.parametrize("name", ["dropout", "label_smoothing", "beta_2", "ema"])
@pytest.mark.parametrize("value", [-0.1, 1, 1.5, math.nan])
def test_a_share_outside_its_range_is_refused(name, value):
    expected = rf"{option_name(name)} must be in \[0, 1\). Received: {value}"
    with pytest.raises(InputError, match=expected):
        TrainingConfig().replace(**{name: value})


@pytest.mark.parametrize("value", [0, 1, -0.5, math.nan])
def test_a_plateau_factor_that_lowers_nothing_is_refused(value):
    expected = rf"--plateau-factor must be in \(0, 1\). Received: {value}"
    with pytest.raises(InputError, match=expected):
        TrainingConfig(plateau_factor=value)


@pytest.mark.parametrize("value", [0, 0.999])
def test_a_dropout_in_its_range_is_accepted(value):
    assert TrainingConfig(dropout=value).dropout == value


@pytest.mark.parametrize("value", [0, -1e-3, math.inf, math.nan])
def test_a_learning_rate_that_cannot_train_is_refused(value):
    with pytest.raises(InputError, match=f"--learning-rate must be above 0. Received: {value}"):
        TrainingConfig(learning_rate=value)


def test_a_clipnorm_that_is_no_number_is_refused():
    with pytest.raises(InputError, match="--clipnorm must be at least 0. Received: nan"):
        TrainingConfig(clipnorm=math.nan)


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("architecture", "lstm, lstm_attention, recurrent, transformer"),
        ("source_tokenizer", "characters, symbols, words, sentencepiece, bpe, wordpiece"),
        ("target_tokenizer", "characters, symbols, words, sentencepiece, bpe, wordpiece"),
        ("precision", "float32, mixed_float16, mixed_bfloat16"),
        ("optimizer", "adam, sgd"),
        ("schedule", "cosine, inverse_square_root, constant, plateau"),
        ("metric", "none, bleu, bleu_lowercase, chrf, rouge, wer"),
        ("references", "source, pair"),
        ("average_of", "best, last"),
    ],
)
def test_an_unknown_choice_is_refused_and_the_valid_ones_named(name, choices):
    expected = f"{option_name(name)} must be one of {choices}. Received: 'other'."
    with pytest.raises(InputError, match=expected):
        TrainingConfig().replace(**{name: "other"})
    for choice in choices.split(", "):
        assert getattr(TrainingConfig().replace(**{name: choice}), name) == choice


@pytest.mark.parametrize("monitor", ["bleu", "rouge_l"])
def test_a_score_that_is_not_computed_cannot_be_monitored(monitor):
    metric = monitor.removesuffix("_l")
    assert TrainingConfig(monitor=monitor, metric=metric).monitor == monitor
    expected = f"--monitor {monitor} needs --metric {metric}. Received: --metric chrf."
    with pytest.raises(InputError, match=expected):
        TrainingConfig(monitor=monitor, metric="chrf")


def test_what_is_monitored_has_a_direction():
    assert cost("val_loss", 2.0) == 2 and cost("val_bleu", 2.0) == cost("chrf", 2.0) == -2
    assert [mode_of(name) for name in ("sequence_error_rate", "val_rouge_l")] == ["min", "max"]


def test_an_unknown_monitor_is_refused():
    with pytest.raises(InputError, match="--monitor must be one of sequence_error_rate, tok"):
        TrainingConfig(monitor="other")


def test_every_setting_has_a_help_text():
    assert all(setting.metadata["help"] for setting in dataclasses.fields(TrainingConfig))


def test_a_configuration_survives_json():
    config = TrainingConfig(learning_rate=0.1 + 0.2, lowercase_source=True, token_name="Ä")
    assert TrainingConfig(**json.loads(json.dumps(config.to_dict()))) == config


def test_replacing_changes_a_copy_and_checks_it():
    config = TrainingConfig(epochs=3)
    assert config.replace(epochs=4) == TrainingConfig(epochs=4)
    assert config.epochs == 3
    with pytest.raises(InputError, match="--epochs must be at least 1. Received: 0."):
        config.replace(epochs=0)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainingConfig().epochs = 2  # pyright: ignore[reportAttributeAccessIssue]


def test_option_names_have_hyphens():
    assert option_name("max_source_length") == "--max-source-length"


def test_the_configuration_imports_no_tensorflow(pytestconfig):
    code = "import sys, training.settings.config; sys.exit('tensorflow' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=pytestconfig.rootpath).returncode == 0
    )


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ({"source": "features", "source_tokenizer": "symbols"}, "--source-tokenizer"),
        ({"source": "waveform", "lowercase_source": True}, "--lowercase-source"),
        ({"source": "features", "sample_rate": 8000}, "--sample-rate"),
        ({"sample_rate": 8000}, "--sample-rate"),
    ],
)
def test_a_setting_of_another_kind_of_source_is_refused(settings, option):
    with pytest.raises(InputError, match=f"{option} does not apply to --source"):
        TrainingConfig(**settings)
    assert TrainingConfig(source="waveform", sample_rate=8000).sample_rate == 8000


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("word", "words"),
        ("synopsis", "synopses"),
        ("summary", "summaries"),
        ("key", "keys"),
        ("epoch", "epochs"),
        ("batch", "batches"),
        ("training pair", "training pairs"),
    ],
)
def test_names_of_several(one, many):
    assert plural(one) == many
    assert (counted(1, one), counted(1200, one)) == (f"1 {one}", f"1,200 {many}")
