"""The declared settings of a run: bounds, types, choices, and what is said of a wrong value."""

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.settings.declarations import Bounds, option_name, settings_of
from keras_seq2seq.wording import counted, plural
from training.settings import TrainingConfig, resolve, training_settings
from training.settings.data import AUGMENTATION
from training.settings.model import ARCHITECTURES
from training.settings.monitors import cost, mode_of

DECLARED = {
    name: declared
    for section in training_settings().values()
    for name, declared in section.items()
}
# An architecture that has the setting.
HOME = {
    name: {"architecture": key}
    for key, declared in reversed(ARCHITECTURES.items())
    for name in settings_of(declared)
}
RESULTS = sorted((Path(__file__).parents[2] / "docs" / "results").glob("*/config.json"))


# Other settings that give it a use.
USES = {
    "sample_rate": {"source": "waveform"},
    **dict.fromkeys(AUGMENTATION, {"source": "waveform"}),
    "swap_aligned": {},
    "convolution_strides": {"convolutions": 1},
    "plateau_patience": {"schedule": "plateau"},
    "plateau_factor": {"schedule": "plateau"},
    "sampling_steps": {"scheduled_sampling": "linear"},
    "sampling_floor": {"scheduled_sampling": "linear"},
    "average_of": {"average": 2},
    "lora_rank": {"base": "run"},
    "model_devices": {"distribute": True},
}


def value_of(name, value, **others):
    others = USES.get(name, {}) | others
    return TrainingConfig(**HOME.get(name, {}), **others, **{name: value}).values[name]


def bounded(kind, interval):
    return [
        name
        for name, declared in DECLARED.items()
        if declared.plain_type is kind
        and declared.bounds is not None
        and declared.bounds.interval.startswith(interval)
    ]


@pytest.mark.parametrize("name", bounded(int, "["))
def test_the_bounds_of_a_whole_number_are_accepted_and_one_beyond_is_refused(name):
    bounds = DECLARED[name].bounds
    low, high = int(bounds.low), int(bounds.high)
    for value in (low, high):
        assert value_of(name, value) == value
    with pytest.raises(InputError) as error:
        value_of(name, low - 1)
    expected = f"{option_name(name)} must be at least {low}. Received: {low - 1}."
    assert str(error.value) == expected
    with pytest.raises(InputError, match=f"must be at most {high}. Received: {high + 1}"):
        value_of(name, high + 1)


@pytest.mark.parametrize("name", bounded(float, "[0, 1)"))
@pytest.mark.parametrize("value", [-0.1, 1, 1.5, math.nan, math.inf])
def test_a_share_outside_its_range_is_refused(name, value):
    expected = rf"{option_name(name)} must be in \[0, 1\). Received: {value}"
    with pytest.raises(InputError, match=expected):
        value_of(name, value)


@pytest.mark.parametrize("value", [0, 1, -0.5, math.nan])
def test_a_plateau_factor_that_lowers_nothing_is_refused(value):
    expected = rf"--plateau-factor must be in \(0, 1\). Received: {value}"
    with pytest.raises(InputError, match=expected):
        TrainingConfig(plateau_factor=value)


@pytest.mark.parametrize("value", [0, 0.999])
def test_a_dropout_in_its_range_is_accepted(value):
    assert TrainingConfig(dropout=value).model.dropout == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "above 0"),
        (-1e-3, "above 0"),
        (math.nan, "above 0"),
        (math.inf, "finite"),
        (1e300, r"0 or between 1e-37 and 1e\+38 in size"),
        (1e-300, r"0 or between 1e-37 and 1e\+38 in size"),
    ],
)
def test_a_learning_rate_that_cannot_train_is_refused(value, expected):
    with pytest.raises(InputError, match=f"--learning-rate must be {expected}. Received: "):
        TrainingConfig(learning_rate=value)


def test_a_clipnorm_that_is_no_number_is_refused():
    with pytest.raises(InputError, match="--clipnorm must be at least 0. Received: nan"):
        TrainingConfig(clipnorm=math.nan)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden_dim": 64.0}, "--hidden-dim must be a whole number. Received: 64.0."),
        ({"epochs": True}, "--epochs must be a whole number. Received: True."),
        ({"epochs": "3"}, "--epochs must be a whole number. Received: '3'."),
        ({"dropout": False}, "--dropout must be a number. Received: False."),
        ({"lowercase_target": "yes"}, "--lowercase-target must be true or false. Received: "),
        ({"lowercase_target": 1}, "--lowercase-target must be true or false. Received: 1."),
        ({"token_name": 3}, "--token-name must be text. Received: 3."),
        ({"token_name": "\ud800"}, "--token-name must be text. Received: "),
        ({"seed": None}, "--seed must be a whole number. Received: None."),
        ({"metric": ["bleu"]}, "--metric must be one of none, bleu, "),
        ({"seed": 10**5000}, "--seed must be at most 2147483647. Received: a number of thou"),
        ({"hidden_dim": 2**31}, "--hidden-dim must be at most 65536. Received: 2147483648."),
        ({"num_layers": 2**31 - 1}, "--num-layers must be at most 1000. Received: 2147483647"),
        ({"hiden_dim": 8}, "There is no setting 'hiden_dim'. Did you mean hidden_dim?"),
        ({"zzz": 8}, "There is no setting 'zzz'."),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(wrong, message):
    with pytest.raises(InputError) as error:
        TrainingConfig(**wrong)
    assert str(error.value).startswith(message)


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.complex_numbers(),
    st.fractions(),
    st.decimals(),
    st.lists(st.one_of(st.text(max_size=2), st.integers(), st.floats()), max_size=3),
    st.dictionaries(st.text(max_size=2), st.floats(), max_size=2),
    st.sampled_from([object(), int, 10**5000, -(10**5000), "1", "true", "0.5", "nan"]),
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_is_given_has_the_declared_type_or_is_refused(data):
    generation = settings_of(GenerationSettings)
    name = data.draw(st.sampled_from([*DECLARED, *generation]))
    value = data.draw(JUNK)
    try:
        if name in DECLARED:
            declared, found = DECLARED[name], value_of(name, value)
        else:
            declared = generation[name]
            found = getattr(GenerationSettings(**{name: value}), name)
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 300
        return
    if isinstance(found, tuple):
        assert declared.default == ()
    else:
        assert found is None or type(found) is declared.plain_type
        assert found is not None or declared.default is None
    assert found == declared.checked(found)
    if declared.bounds is not None and found is not None:
        assert found in declared.bounds


@pytest.mark.parametrize("name", DECLARED)
def test_a_text_of_the_command_line_is_the_value_of_python(name):
    declared = DECLARED[name]
    one = declared.plain_type is not bool and not isinstance(declared.default, tuple)
    if one and declared.default is not None:
        assert declared.parsed(str(declared.default)) == declared.default
    assert declared.default is None or declared.checked(declared.default) == declared.default


def test_an_interval_says_what_it_holds():
    assert 0 in Bounds("[0, 1)") and 1 not in Bounds("[0, 1)") and 0 not in Bounds("(0, 1]")
    assert math.inf in Bounds("(0, 9] or inf") and math.inf not in Bounds("(0, inf)")
    assert math.nan not in Bounds("(-inf, inf)")
    assert Bounds("(0, 9]").expected(10) == "at most 9"
    assert Bounds("(0, 9]").expected(0) == "above 0"


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("architecture", "lstm, lstm_attention, recurrent, transformer"),
        ("cell", "lstm, gru, simple_rnn"),
        ("positions", "sinusoidal, learned, rotary, relative, relative_vectors, none"),
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
        TrainingConfig(**{**HOME.get(name, {}), name: "other"})
    for choice in choices.split(", "):
        config = TrainingConfig(**{**HOME.get(name, {}), **USES.get(name, {}), name: choice})
        assert config.values[name] == choice


@pytest.mark.parametrize("monitor", ["bleu", "rouge_l"])
def test_a_score_that_is_not_computed_cannot_be_monitored(monitor):
    metric = monitor.removesuffix("_l")
    assert TrainingConfig(monitor=monitor, metric=metric).selection.monitor == monitor
    expected = f"--monitor {monitor} needs --metric {metric}. Received: --metric chrf."
    with pytest.raises(InputError, match=expected):
        TrainingConfig(monitor=monitor, metric="chrf")


def test_what_is_monitored_has_a_direction():
    assert cost("val_loss", 2.0) == 2 and cost("val_bleu", 2.0) == cost("chrf", 2.0) == -2
    assert [mode_of(name) for name in ("sequence_error_rate", "val_rouge_l")] == ["min", "max"]


def test_an_unknown_monitor_is_refused():
    with pytest.raises(InputError, match="--monitor must be one of sequence_error_rate, tok"):
        TrainingConfig(monitor="other")


def test_every_setting_has_a_help_text_and_a_name_of_its_own():
    assert all(declared.help for declared in DECLARED.values())
    assert len(DECLARED) == sum(map(len, training_settings().values()))
    options = [declared.option for declared in DECLARED.values()]
    assert len(set(options)) == len(options)


def test_a_configuration_survives_json():
    config = TrainingConfig(learning_rate=0.1 + 0.2, lowercase_source=True, token_name="Ä")
    assert TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_run_with_settings_that_are_no_more_is_read():
    record = TrainingConfig(source="waveform").to_dict()
    record["data"] |= {"random_filter": 5.0, "reverberation": 0.2}
    with pytest.warns(UserWarning, match="made with random_filter 5.0, a setting that is gone"):
        assert TrainingConfig.from_dict(record) == TrainingConfig(source="waveform")
    with pytest.raises(InputError, match="reverberation"):
        TrainingConfig(source="waveform", reverberation=0.3)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.parent.name)
def test_a_run_without_sections_is_read(path):
    record = json.loads(path.read_text("utf-8"))["settings"]
    values = TrainingConfig.from_dict(record).values
    if "architecture" not in record:  # Written with sections.
        return
    foreign = {"embedding_dim", "recurrent_dropout", "num_heads"}
    for name, value in record.items():
        assert name not in values or values[name] == value
        if value != DECLARED[name].default and name not in foreign:
            assert name in values


def test_another_architecture_keeps_what_it_has_too():
    config = TrainingConfig(architecture="recurrent", hidden_dim=8, cell="gru", seed=3)
    other = config.replace(architecture="transformer", num_heads=2)
    assert other == TrainingConfig(
        architecture="transformer", hidden_dim=8, num_heads=2, seed=3
    )
    with pytest.raises(InputError, match="--cell does not apply to --architecture transf"):
        other.replace(cell="gru")


def test_the_strongest_source_of_a_setting_wins_and_is_named():
    config, left_out = resolve(
        [
            ("option", {"hidden_dim": 3}),
            ("file", {"hidden_dim": 4, "seed": 4, "architecture": "transformer"}),
            ("recipe", {"hidden_dim": 5, "seed": 5, "epochs": 5, "embedding_dim": 5}),
            ("data", {"epochs": 6, "batch_size": 6, "embedding_dim": 6}),
        ]
    )
    assert config == TrainingConfig(
        architecture="transformer", hidden_dim=3, seed=4, epochs=5, batch_size=6
    )
    assert left_out == {"embedding_dim": 5}
    expected = {
        "hidden_dim": "option",
        "seed": "file",
        "epochs": "recipe",
        "dropout": "default",
    }
    assert {name: config.origin_of(name) for name in expected} == expected
    assert config.origin_of("batch_size") == "data"


def test_a_setting_that_the_strongest_source_gives_in_vain_is_refused():
    layers = [("option", {"cell": "gru"}), ("recipe", {"architecture": "transformer"})]
    with pytest.raises(InputError, match="--cell does not apply to --architecture trans"):
        resolve(layers)


def test_replacing_changes_a_copy_and_checks_it():
    config = TrainingConfig(epochs=3)
    assert config.replace(epochs=4) == TrainingConfig(epochs=4)
    assert config.optimization.epochs == 3
    with pytest.raises(InputError, match="--epochs must be at least 1. Received: 0."):
        config.replace(epochs=0)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainingConfig().run.seed = 2  # pyright: ignore[reportAttributeAccessIssue]


def test_option_names_have_hyphens():
    assert option_name("max_source_length") == "--max-source-length"


def test_the_configuration_imports_no_tensorflow(pytestconfig):
    code = "import sys, training.settings.files; sys.exit('tensorflow' in sys.modules)"
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
        ({"source": "features", "joint_vocabulary": True}, "--joint-vocabulary"),
        ({"speed_perturbation": 0.1}, "--speed-perturbation"),
        ({"source": "features", "added_noise": 0.1}, "--added-noise"),
        ({"source": "features", "swap_aligned": 0.1}, "--swap-aligned"),
    ],
)
def test_a_setting_of_another_kind_of_source_is_refused(settings, option):
    with pytest.raises(InputError, match=f"{option} does not apply to --source"):
        TrainingConfig(**settings)
    assert value_of("sample_rate", 8000, source="waveform") == 8000


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
