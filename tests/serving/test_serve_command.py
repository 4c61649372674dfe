"""What the command `serve` finds in a folder, and what it refuses with one line."""

import socket

import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.cli.serve import find_models, find_versions, listen
from keras_seq2seq.errors import InputError


def folder_with(path, *files):
    for file in files:
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).touch()
    return path


def test_every_kind_of_folder_is_told(tmp_path):
    path = folder_with(
        tmp_path / "made",
        "saved/saved_model.pb",
        "device/model.tflite",
        "run/model.keras",
        "serving/demo/1/saved_model.pb",
        "serving/demo/12/saved_model.pb",
        "serving/demo/13/unfinished",
        "serving/other/3/model.tflite",
        "serving/models.config",
    )
    for name, engine in (("saved", "saved_model"), ("device", "litert"), ("run", "keras")):
        assert find_models(path / name) == {name: (path / name, engine)}
        assert find_models(path / name, engine, "m") == {"m": (path / name, engine)}
        assert find_versions(path / name) == {1: path / name}
    assert find_models(path / "run", "xla") == {"run": (path / "run", "xla")}
    serving = path / "serving"
    assert find_models(serving) == {
        "demo": (serving / "demo", "saved_model"),
        "other": (serving / "other", "litert"),
    }
    assert find_models(serving / "demo") == {"demo": (serving / "demo", "saved_model")}
    assert set(find_versions(serving / "demo")) == {1, 12}
    one = serving / "demo" / "12"
    assert find_models(one) == {"demo": (one, "saved_model")}
    assert find_versions(one) == {12: one}
    assert find_versions(path / "none") == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "none is no folder. Give an export, or the directory of a run."),
        (["empty"], "empty holds nothing to serve: no saved_model.pb, model.tflite"),
        (["saved", "--engine", "keras"], "saved holds saved_model, not keras."),
        (["saved", "--engine", "xla"], "saved holds saved_model, not xla."),
        (["run", "--threads", "2"], "--threads is for an export: of a run one batch runs"),
        (["mixed"], "holds litert and saved_model, not one engine for all versions."),
        (["several", "--model-name", "m"], "holds 2 models, which keep their names: a, b."),
        (["saved", "--model-name", "a/b"], "has no slash, colon or space"),
        (
            ["saved", "--beam-size", "4"],
            "set when it was made. Leave out: --beam-size;",
        ),
        (["saved", "--label", "a=1"], "--label must be NAME=VERSION, of a version given by"),
        (["saved", "--version", "1", "--label", "=1"], "--label must be NAME=VERSION"),
        (["saved", "--api-key-file", "none"], "none cannot be read"),
        (
            ["saved", "--api-key-file", "no_keys"],
            "keys of ASCII, one a line. It has 0",
        ),
        (["saved", "--tls-key", "no_keys"], "--tls-key needs --tls-certificate"),
        (["saved", "--tls-client-ca", "no_keys"], "--tls-client-ca needs --tls-certificate"),
        (
            ["saved", "--tls-certificate", "no_keys", "--tls-client-ca", "no_keys"],
            "no_keys cannot be used",
        ),
        (["saved", "--tls-certificate", "no_keys"], "no_keys cannot be used"),
        (["saved", "--port", "{taken}"], "127.0.0.1:{taken} cannot be listened at"),
        (["saved", "--grpc-port", "{taken}"], "Choose another --grpc-port or --host."),
        (["saved", "--host", "no.such.host.invalid"], "cannot be listened at"),
    ],
)
def test_what_cannot_be_served_is_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    folder_with(
        tmp_path,
        "empty/other",
        "saved/saved_model.pb",
        "run/model.keras",
        "mixed/1/saved_model.pb",
        "mixed/2/model.tflite",
        "several/a/1/saved_model.pb",
        "several/b/1/saved_model.pb",
        "no_keys",
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = [word.replace("{taken}", port) for word in arguments]
        result = CliRunner().invoke(main, ["serve", *words])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert message.replace("{taken}", port) in result.stderr


def test_a_folder_that_only_looks_like_an_export_is_one_line(tmp_path):
    path = folder_with(tmp_path / "x", "saved_model.pb")
    result = CliRunner().invoke(main, ["serve", str(path), "--port", "0"])
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: x, version 1: ")
    assert result.stderr.count("\n") == 1


def test_a_version_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds nothing to serve"):
        find_models(folder_with(tmp_path / "x", "a/saved_model.pb"))


def test_the_socket_names_its_protocol():
    """asyncio sets TCP_NODELAY only then, without which every answer waits for 40 ms."""
    with listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP
