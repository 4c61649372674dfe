"""How large a saved model says that it is, looked at before anything of it is unpacked."""

import io
import json
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from keras_seq2seq.errors import InputError
from keras_seq2seq.models import load_model, saved_file


@pytest.fixture(scope="module")
def saved(text_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    text_model.save(path)
    return path


@pytest.fixture
def low(monkeypatch):
    """Limits under which small files are large."""
    monkeypatch.setattr(saved_file, "FREE_BYTES", 100_000)
    monkeypatch.setattr(saved_file, "MOST_JSON_BYTES", 1_000_000)


def packed(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_saved_model_is_loaded_packed_anew_too(saved, low, text_model, tmp_path):
    again = packed(tmp_path / "again.keras", members_of(saved), zipfile.ZIP_DEFLATED)
    for path in (saved, again):
        for weight, same in zip(
            load_model(path).get_weights(), text_model.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(weight, same)


def weights_that_claim(rows):
    """An HDF5 file of a kilobyte whose array was never written."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("vars/0", (rows, 1000), "float32", chunks=(1, 1000))
    return content.getvalue()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"assets/x": b"\0" * 3_000_000}, "its members would take 3,"),
        ({"config.json": b" " * 2_000_000}, "its members would take 2,"),
        ({"model.weights.h5": weights_that_claim(10**12)}, "the arrays of model.weights.h5"),
    ],
)
def test_what_claims_too_much_is_not_unpacked(saved, low, tmp_path, changed, message):
    path = tmp_path / "model.keras"
    packed(path, members_of(saved) | changed, zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match=f"model.keras was not loaded: {message}"):
        load_model(path)


def test_a_long_configuration_is_not_read(saved, low, tmp_path):
    path = packed(tmp_path / "m.keras", members_of(saved) | {"config.json": b" " * 1_500_000})
    with pytest.raises(InputError, match="config.json would take 1,500,000 bytes of memory"):
        load_model(path)


@pytest.mark.parametrize(
    "members",
    [
        {"config.json": b"[" * 100_000},
        {"config.json": b"\xff"},
        {"config.json": json.dumps({"module": "builtins", "class_name": "exec"}).encode()},
        {"model.weights.h5": b"no weights"},
    ],
)
def test_what_is_damaged_inside_is_one_line(saved, tmp_path, members):
    path = packed(tmp_path / "m.keras", members_of(saved) | members)
    with pytest.raises(InputError) as raised:
        load_model(path)
    assert len(str(raised.value)) < 400


def test_a_cut_file_is_one_line(saved, tmp_path):
    path = shutil.copy(saved, tmp_path / "cut.keras")
    content = path.read_bytes()
    for size in (0, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match="cut.keras cannot be loaded as a model"):
            load_model(path)


def with_numbers(saved, path, **numbers):
    """The file with other whole numbers in its configuration."""
    members = members_of(saved)
    config = json.loads(members["config.json"])

    def change(node):
        if isinstance(node, dict):
            node |= {name: value for name, value in numbers.items() if name in node}
        for value in node.values() if isinstance(node, dict) else node:
            if isinstance(value, dict | list):
                change(value)

    change(config)
    return packed(path, members | {"config.json": json.dumps(config).encode()})


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"hidden_dim": 2**20}, "its layers would have .* weights, and it holds"),
        ({"embedding_dim": 2**30}, "its layers would have .* weights, and it holds"),
        ({"num_layers": 10**9}, "declares 1,000,000,000 layers, and holds"),
    ],
)
def test_layers_that_the_file_has_no_weights_for_are_not_made(
    saved, tmp_path, numbers, message
):
    path = with_numbers(saved, tmp_path / "model.keras", **numbers)
    with pytest.raises(InputError, match=f"was not loaded: .*{message}"):
        load_model(path)


@pytest.mark.parametrize(("dim", "is_built"), [(16, False), (33, True)])
def test_layers_are_built_to_count_them_only_where_two_sizes_could_be_too_much(
    monkeypatch, dim, is_built
):
    built = []
    monkeypatch.setattr(saved_file, "_declared_numbers", lambda config: built.append(1) or 0)
    side = {"vocabulary_size": 8000, "embedding_dim": dim}
    config = {"encoder": side, "decoder": {**side, "hidden_dim": dim}}
    saved_file.check_declared("m.keras", config, arrays=9, numbers=2 * 8000 * 16)
    assert bool(built) == is_built


def test_a_large_number_that_is_no_size_is_no_hindrance(
    saved, tmp_path, text_model, monkeypatch
):
    # Its product looks like more than the file holds, its layers are not.
    monkeypatch.setattr(saved_file, "NO_SIZES", ())
    path = with_numbers(saved, tmp_path / "model.keras", max_source_length=10**6)
    assert load_model(path).count_params() == text_model.count_params()
