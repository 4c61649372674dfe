"""Settings in files, options and tables: all of it follows from one declaration."""

import json
from dataclasses import dataclass
from typing import ClassVar

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from keras_seq2seq.cli import main
from keras_seq2seq.cli.options import training_options
from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.settings.declarations import setting
from keras_seq2seq.settings.files import read_generation, read_toml
from keras_seq2seq.training.settings import TrainingConfig
from keras_seq2seq.training.settings.files import read_settings, written
from keras_seq2seq.training.settings.model import ARCHITECTURES, ModelSettings


def invoke(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result


@dataclass(frozen=True)
class Convolutional(ModelSettings):
    architecture: ClassVar[str] = "convolutional"

    kernel_size: int = setting(3, "Positions that a kernel sees.", bounds="[1, 99]")


def test_a_setting_is_added_in_one_place(monkeypatch, tmp_path):
    monkeypatch.setitem(ARCHITECTURES, "convolutional", Convolutional)
    command = click.command()(training_options(lambda **options: click.echo(options)))
    page = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "--kernel-size INTEGER Positions that a kernel sees. For convolutional." in page
    assert "[lstm|lstm_attention|recurrent|transformer|convolutional]" in page
    assert "'kernel_size': 5" in CliRunner().invoke(command, ["--kernel-size", "5"]).output

    config = TrainingConfig(architecture="convolutional", kernel_size=5)
    text = written(config)
    assert (
        "# Positions that a kernel sees. For convolutional. [default: 3]\nkernel_size = 5"
        in (text)
    )
    (tmp_path / "run.toml").write_text(text, "utf-8")
    assert TrainingConfig(**read_settings(tmp_path / "run.toml")) == config
    with pytest.raises(InputError, match="--kernel-size must be at least 1. Received: 0."):
        config.replace(kernel_size=0)
    with pytest.raises(InputError) as error:
        TrainingConfig(architecture="transformer", kernel_size=5)
    assert str(error.value).startswith(
        "--kernel-size does not apply to --architecture transformer. Received: 5."
    )


# What fits the values of other settings alone.
DEPENDENT = ("architecture", "source", "monitor", "sample_rate", "minutes", "bleu_tokenizer")
DEPENDENT += ("base", "extend_vocabulary", "freeze", "lora_rank")


def plain(declared):
    """Values that a declaration allows."""
    if declared.choices:
        return st.sampled_from(declared.choices)
    if declared.plain_type is bool:
        return st.booleans()
    if declared.plain_type is str:
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    low, high = max(declared.bounds.low, 0), min(declared.bounds.high, 1e9)
    if declared.plain_type is int:
        return st.integers(int(low), int(high))
    return st.floats(low, high).filter(lambda number: valid(declared, number))


def valid(declared, value):
    try:
        declared.checked(value)
    except InputError:
        return False
    return True


@example_settings(max_examples=25, deadline=None)
@given(data=st.data(), architecture=st.sampled_from([*ARCHITECTURES]))
def test_a_written_configuration_is_read_back(data, architecture, tmp_path_factory):
    config = TrainingConfig(architecture=architecture)
    settings = {}
    for declared in config.sections.values():
        for name in data.draw(st.lists(st.sampled_from([*declared]), max_size=4)):
            if name not in DEPENDENT and not declared[name].needs:
                settings[name] = data.draw(plain(declared[name]))
    config = config.replace(**settings)
    path = tmp_path_factory.mktemp("written") / "run.toml"
    path.write_bytes(written(config).encode("utf-8"))
    assert TrainingConfig(**read_settings(path)) == config
    comments = [line for line in path.read_text("utf-8").splitlines() if line.startswith("#")]
    assert all(len(line) <= 96 for line in comments)


def test_what_a_model_starts_from_is_read_back(tmp_path):
    config = TrainingConfig(base="runs/a b", freeze=("encoder", "decoder"), lora_rank=2)
    path = tmp_path / "run.toml"
    path.write_text(written(config), "utf-8")
    assert TrainingConfig(**read_settings(path)) == config


def test_what_would_run_is_printed_and_runs_alike(tmp_path):
    options = ["--architecture", "transformer", "--num-heads", 8, "--token-name", 'a "b" \\']
    text = invoke("train", "--print-config", *options).stdout
    path = tmp_path / "run.toml"
    path.write_text(text, "utf-8")
    assert invoke("train", "--print-config", "--config", path).stdout == text
    changed = invoke("train", "--print-config", "--config", path, "--seed", 7).stdout
    assert changed == text.replace("\nseed = 1\n", "\nseed = 7\n") != text
    other = invoke("train", "--print-config", "--config", path, "--architecture", "lstm")
    assert "Not of --architecture lstm, left out: num_heads 8." in other.stderr


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("hidden_dim", "0", 0),
        ("num_layers", "2147483647", 2147483647),
        ("epochs", "3.5", "3.5"),
        ("dropout", "nan", float("nan")),
        ("learning_rate", "1e300", 1e300),
        ("metric", "blue", "blue"),
        ("num_heads", "3", 3),
    ],
)
def test_an_option_is_refused_as_python_refuses_it(name, text, value):
    with pytest.raises(InputError) as error:
        TrainingConfig(**{name: value})
    option = f"--{name.replace('_', '-')}"
    result = invoke("train", "--print-config", option, text, status=2)
    assert result.stderr == f"error: {error.value}\n"


def test_a_recipe_is_weaker_than_a_file(tmp_path):
    (tmp_path / "run.toml").write_text("[model]\nhidden_dim = 12\n")
    arguments = ["train", "--print-config", "--recipe", "scan", "--config"]
    text = invoke(*arguments, tmp_path / "run.toml").stdout
    assert "\nhidden_dim = 12\n" in text and "\nembedding_dim = 64\n" in text


@pytest.mark.parametrize("folder", [True, False])
def test_the_settings_of_another_run_of_any_version(folder, tmp_path):
    record = {"settings": {"architecture": "transformer", "hidden_dim": 12, "cell": "lstm"}}
    (tmp_path / "config.json").write_text(json.dumps(record))
    path = tmp_path if folder else tmp_path / "config.json"
    expected = TrainingConfig(architecture="transformer", hidden_dim=12)
    assert TrainingConfig(**read_settings(path)) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[model]\nhiden_dim = 3", "There is no setting 'hiden_dim'. Did you mean hidden_dim?"),
        ("[run]\nhidden_dim = 3", "hidden_dim belongs in the section model, not in run."),
        ("[modell]\nhidden_dim = 3", "There is no section 'modell'; the sections are data, "),
        ("hidden_dim = 3", "There is no section 'hidden_dim'"),
        ("model = 3", "model must be a section, [model], with settings in it."),
        ("[model]\nhidden_dim = 3.5", "--hidden-dim must be a whole number. Received: 3.5."),
        ("[model]\ndropout = nan", "--dropout must be in [0, 1). Received: nan."),
        ("[model", "not TOML: "),
    ],
)
def test_a_file_that_cannot_be_used_is_named(content, message, tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(content)
    error = invoke("train", "--print-config", "--config", path, status=2).stderr
    assert error.startswith(f"error: {path}: {message}") and error.count("\n") == 1


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_toml(tmp_path / "run.toml")
    (tmp_path / "run.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        read_toml(tmp_path / "run.toml")
    with pytest.raises(InputError, match="no such file; a run has one"):
        read_settings(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(InputError, match="was not written by this program"):
        read_settings(tmp_path)


def test_the_settings_of_a_run_are_shown_with_their_origin(tmp_path):
    config = TrainingConfig(seed=2, epochs=3).with_origins({"seed": "option", "epochs": "data"})
    record = {"settings": config.to_dict(), "origins": dict(config.origins), "data": "0"}
    (tmp_path / "config.json").write_text(json.dumps(record))
    invoke("inspect", tmp_path, "--json", tmp_path / "settings.json")
    rows = json.loads((tmp_path / "settings.json").read_text())
    found = {row["setting"]: (row["section"], row["value"], row["from"]) for row in rows}
    assert found["seed"] == ("run", 2, "option")
    assert found["epochs"] == ("optimization", 3, "data")
    assert found["hidden_dim"] == ("model", 256, "default")
    assert found["architecture"] == ("model", "lstm_attention", "default")
    assert "only its settings" in invoke("inspect", tmp_path, "--strict", status=2).stderr


def test_settings_of_generation_stand_in_a_section(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(
        "[model]\nhidden_dim = 3\n[generation]\nnum_beams = 3\npatience = inf\n"
        'suppress = ["a", "b"]\nbias = {the = -1}\nbias_ids = [[17, 2]]\n'
    )
    assert GenerationSettings(**read_generation(path)) == GenerationSettings(
        num_beams=3,
        patience=float("inf"),
        suppress=("a", "b"),
        bias=(("the", -1.0),),
        bias_ids=((17, 2.0),),
    )
    assert read_settings(path) == {"hidden_dim": 3}
    path.write_text("[generation]\nbeam_size = 3\n")
    with pytest.raises(InputError, match="no setting 'beam_size'. Did you mean num_beams?"):
        read_generation(path)
    path.write_text("[generation]\nnum_beams = true\n")
    with pytest.raises(InputError, match="toml: --beam-size must be a whole number. Received"):
        read_generation(path)
    path.write_text("[model]\n")
    with pytest.raises(InputError, match=r"there is no section \[generation\]"):
        read_generation(path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_length": 2**31}, "--max-length must be at most 1000000. Received: 2147483648."),
        ({"max_length": 2.0}, "--max-length must be a whole number. Received: 2.0."),
        ({"no_repeat_ngram_size": 2**40}, "--no-repeat-ngram-size must be at most 1000000."),
        ({"patience": 1e300}, "--patience must be at most 10000. Received: 1e+300."),
        ({"num_beams": 0}, "--beam-size must be at least 1. Received: 0."),
        ({"sample": "no"}, "--sample must be true or false. Received: 'no'."),
        ({"suppress": "ab"}, "--suppress takes a list, each item text. Received: 'ab'."),
        ({"bias_ids": {"17": 1}}, "--bias-id takes a list, each item a whole number and a num"),
        ({"seed": -1}, "--seed must be at least 0. Received: -1."),
    ],
)
def test_a_wrong_setting_of_generation_is_named(wrong, message):
    with pytest.raises(InputError) as error:
        GenerationSettings(**wrong)
    assert str(error.value).startswith(message)
