import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_seq2seq import files
from keras_seq2seq.data import Pairs, Signal, TextPreprocessor, read_lines, read_pairs
from keras_seq2seq.data.signals import read_signal
from keras_seq2seq.errors import InputError
from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer
from training.run_directory import RunDirectory
from training.run_records import EVALUATION, fingerprint
from training.settings import TrainingConfig

CONFIG = TrainingConfig(hidden_dim=8, learning_rate=0.003)
TRAIN = Pairs(["cab", "ace"], ["K AE B", "EY S"])
VALIDATION = Pairs(["be"], ["B IY"])
FIELD = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\t\ufeff"), min_size=1
).filter(str.strip)


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "runs" / "first")
    run.begin(CONFIG, TRAIN, VALIDATION)
    return run


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_new_run_records_settings_and_data(run):
    assert run.config == {
        "settings": json.loads(json.dumps(CONFIG.to_dict())),
        "origins": {"hidden_dim": "given", "learning_rate": "given"},
        "data": fingerprint(TRAIN, VALIDATION),
    }
    assert list(contents(run.path)) == [run.config_file.relative_to(run.path)]


def test_the_same_settings_and_data_are_accepted_again(run):
    before = contents(run.path)
    RunDirectory(run.path).begin(TrainingConfig.from_dict(CONFIG.to_dict()), TRAIN, VALIDATION)
    assert contents(run.path) == before


def test_a_run_that_lacks_a_newer_setting_had_its_default(run):
    record = run.config
    del record["settings"]["optimization"]["minutes"]
    run.write_json(run.config_file, record)
    run.begin(CONFIG, TRAIN, VALIDATION)
    with pytest.raises(InputError, match="--minutes was 0.0 and is now 5.0"):
        run.begin(CONFIG.replace(minutes=5), TRAIN, VALIDATION)


def test_an_empty_folder_becomes_a_run(tmp_path):
    RunDirectory(tmp_path).begin(CONFIG, TRAIN, VALIDATION)
    assert (tmp_path / "config.json").exists()


def test_other_settings_are_refused_and_named(run):
    before = contents(run.path)
    expected = (
        "holds a run of another configuration: --hidden-dim was 8 and is now 9; "
        "--schedule was 'cosine' and is now 'constant'. Choose another --run-dir"
    )
    with pytest.raises(InputError, match=expected):
        run.begin(CONFIG.replace(hidden_dim=9, schedule="constant"), TRAIN, VALIDATION)
    assert contents(run.path) == before


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        (Pairs(["cab", "ace"], ["K AE B", "EY Z"]), VALIDATION),
        (TRAIN, Pairs(["be"], ["B IH"])),
        (Pairs(TRAIN.sources[::-1], TRAIN.targets[::-1]), VALIDATION),
    ],
)
def test_other_data_is_refused(run, train, validation):
    expected = "another configuration: the training or validation data has changed"
    with pytest.raises(InputError, match=expected):
        run.begin(CONFIG, train, validation)


def test_a_folder_that_is_not_a_run_is_refused_and_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear", "utf-8")
    with pytest.raises(InputError, match="exists and is not a run of this program; choose"):
        RunDirectory(tmp_path).begin(CONFIG, TRAIN, VALIDATION)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("", "utf-8")
    with pytest.raises(InputError, match="file exists and is not a run of this program"):
        RunDirectory(path).begin(CONFIG, TRAIN, VALIDATION)


def test_what_a_killed_run_left_unfinished_is_removed(run):
    run.checkpoint.mkdir()
    host, exports = files._host(), run.path / "exports"
    dead = f".unfinished-{host}-{os.getpid()}-1-00000000"
    for folder in (run.path, run.checkpoint, exports):
        (folder / dead).mkdir(parents=True)
        (folder / dead / "model.keras").write_bytes(b"half")
    (run.checkpoint / "whole").write_bytes(b"whole")
    other = run.path / ".unfinished-1-model.keras"
    other.write_bytes(b"half")
    (line,) = run.begin(CONFIG, TRAIN, VALIDATION)
    assert line.startswith(f"{other} was left unfinished by somebody")
    # What an export leaves is the export's.
    assert sorted(path.as_posix() for path in contents(run.path)) == [
        other.name,
        "checkpoint/whole",
        "config.json",
        f"exports/{dead}/model.keras",
    ]


def test_a_folder_in_which_a_first_write_was_killed_becomes_a_run(tmp_path):
    (tmp_path / f".unfinished-{files._host()}-{os.getpid()}-1-00000000").mkdir()
    RunDirectory(tmp_path).begin(CONFIG, TRAIN, VALIDATION)
    assert (tmp_path / "config.json").exists()


def test_nothing_is_removed_below_a_folder_that_is_not_a_run(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine", "utf-8")
    for folder in (tmp_path, tmp_path / "deep"):
        (folder / f".unfinished-{files._host()}-{os.getpid()}-1-00000000").mkdir(parents=True)
        (folder / ".unfinished-letter.txt").write_text("dear", "utf-8")
    before = sorted(tmp_path.rglob("*"))
    run = RunDirectory(tmp_path)
    with pytest.raises(InputError, match="is not a run of this program"):
        run.begin(CONFIG, TRAIN, VALIDATION)
    with pytest.raises(InputError, match="is not a run of this program"), run.held():
        pass
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_is_held_by_one_process_at_a_time(run):
    before = contents(run.path)
    with run.held():
        assert f"process {os.getpid()} on" in run.held_by
        with pytest.raises(InputError, match="is in use: process"), run.held():
            pass
        assert set(contents(run.path)) == {*before, run.lock_file.relative_to(run.path)}
    assert contents(run.path) == before and run.held_by is None


@pytest.mark.parametrize(
    ("there", "accepted"),
    [
        (["model.keras", "metrics.json", "history.jsonl"], True),  # Finished.
        (["model.keras", "checkpoint/"], True),  # Killed in epoch 1.
        (["model.keras", "history.jsonl"], False),  # A copy of a finished run.
        (["model.keras"], False),
        (["history.jsonl", "metrics.json"], False),
        (["metrics.json"], False),
        (["model.keras", "history.jsonl", "checkpoint/"], False),
    ],
)
def test_what_would_be_trained_over_is_refused(run, there, accepted):
    for name in there:
        path = run.path / name
        path.mkdir() if name.endswith("/") else path.write_bytes(b"{}")
    before = contents(run.path)
    if accepted:
        run.begin(CONFIG, TRAIN, VALIDATION)
    else:
        with pytest.raises(InputError, match="copy what is missing .* or choose another --run"):
            run.begin(CONFIG, TRAIN, VALIDATION)
    assert contents(run.path) == before


METRICS = {
    "best_epoch": 1,
    "epochs": 1,
    "parameters": 10,
    "training_pairs": 2,
    "seconds": 1.5,
    "pairs_per_second": 1,
    "resumed_from_epoch": 0,
    "machine": {"processor": "", "cores": 2, "tensorflow": "", "keras": "", "python": ""},
}
DAMAGES = [
    "",
    "{",
    "null",
    "[]",
    "{}",
    '{"epoch": "1"}',
    '{"epoch": true}',
    '{"epoch": 1, "loss": null}',
    '{"epoch": 7}',
    "[" * 100_000,
    b"\xff",
]


@pytest.mark.parametrize("content", DAMAGES, ids=range(len(DAMAGES)))
def test_a_damaged_history_is_told(run, content):
    run.history_file.write_bytes(content if isinstance(content, bytes) else content.encode())
    if content == "":
        assert run.history == []
        return
    with pytest.raises(InputError, match=r"history\.jsonl") as raised:
        run.read_history()
    assert len(str(raised.value)) < 400
    run.checkpoint.mkdir()
    run.record_file.write_bytes(run.history_file.read_bytes())
    with pytest.raises(InputError, match=r"record\.json"):
        run.checkpoint_record()


@pytest.mark.parametrize("key", [*METRICS, "tensorflow"])
@pytest.mark.parametrize("value", ["missing", None, [], "x", {}, True, 1])
def test_damaged_metrics_are_told(run, key, value):
    """Each key is refused when it is missing or of a type that it cannot have."""
    good = json.loads(json.dumps(METRICS))
    inside = good["machine"] if key == "tensorflow" else good
    right = type(inside[key])
    if value == "missing":
        del inside[key]
    else:
        inside[key] = value
    run.write_json(run.metrics_file, good)
    if (type(value) is right and value != "missing") or (
        right is float and value == 1 and value is not True
    ):
        if right is dict:
            value = "missing"  # The machine without its parts.
        else:
            run.metrics(*METRICS)
            return
    with pytest.raises(InputError, match=f"metrics.json: .*{key}|processor is missing"):
        run.metrics(*METRICS)


def test_records_of_the_documents_are_read(request):
    """What older versions wrote has what the readers ask for."""
    folders = sorted((request.config.rootpath / "docs" / "results").iterdir())
    assert len(folders) > 20
    # Written since.
    needed = set(EVALUATION) - {"metric"}
    for folder in folders:
        run = RunDirectory(folder)
        assert run.metrics(*METRICS)["parameters"] > 0
        assert run.evaluation(*needed, scores=["bleu", "wer"])["sequences"] > 0


def test_damaged_outputs_name_the_line(run):
    good = {
        "source": "a\u2028b",
        "targets": ["A"],
        "output": "",
        "target_tokens": [["A"]],
        "output_tokens": [],
    }
    run.write_outputs([good])
    assert run.outputs() == [good]
    for key, value in (("targets", "A"), ("target_tokens", ["A"]), ("output", 3)):
        run.write_outputs([good, good | {key: value}])
        with pytest.raises(InputError, match=f"outputs.jsonl, line 2: .*{key}.*Run `keras-seq"):
            run.outputs()


def test_a_run_without_a_model_says_so(run):
    expected = r"holds no trained model \(model.keras is missing\). Train one with"
    with pytest.raises(InputError, match=expected):
        run.require_model()
    with pytest.raises(InputError, match=expected):
        run.load_model()


def test_a_model_file_that_is_no_model_is_refused(run):
    run.model_file.write_bytes(b"not a model")
    assert run.require_model() == run.model_file
    with pytest.raises(InputError, match="model.keras cannot be loaded"):
        run.load_model()


def test_history_comes_back(run):
    history = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 1e-9}]
    assert run.history == []
    run.write_history(history[:1])
    run.write_history(history)
    assert run.history == history
    assert len(read_lines(run.history_file)) == 2


def test_json_comes_back_and_is_readable(run):
    content = {"name": "Ä😀\u2028", "values": [1, 0.5, None]}
    run.write_json(run.metrics_file, content)
    assert json.loads(run.metrics_file.read_text("utf-8")) == content
    assert "Ä😀" in run.metrics_file.read_text("utf-8")


@settings(deadline=None, max_examples=50)
@given(pairs=st.lists(st.tuples(FIELD, FIELD), min_size=1))
def test_written_pairs_read_back(tmp_path_factory, pairs):
    run = RunDirectory(tmp_path_factory.getbasetemp())
    written = Pairs([source for source, _ in pairs], [target for _, target in pairs])
    run.write_pairs(run.validation_file, written)
    assert read_pairs(run.validation_file) == written


def test_vocabulary_files_hold_one_token_a_line(run):
    preprocessor = TextPreprocessor.from_pairs(
        ["a \t\u2028\0😀"], ["K \x85 é"], CharacterTokenizer, SymbolTokenizer
    )
    run.write_vocabulary(preprocessor)
    run.write_vocabulary(preprocessor)
    for name, tokenizer in (
        ("source", preprocessor.source_tokenizer),
        ("target", preprocessor.target_tokenizer),
    ):
        lines = read_lines(run.path / "vocabulary" / f"{name}.txt")
        assert lines == tokenizer.get_vocabulary()
        assert type(tokenizer)(lines).get_vocabulary() == lines


def test_the_test_pairs_win_over_the_validation_pairs(run):
    run.write_pairs(run.validation_file, VALIDATION)
    assert run.test_pairs() == VALIDATION
    run.write_pairs(run.test_file, TRAIN)
    assert run.test_pairs() == TRAIN


def test_the_fingerprint_tells_parts_and_columns_apart():
    both, empty = Pairs(["a", "b"], ["c", "d"]), Pairs([], [])
    one, other = Pairs(["a"], ["c"]), Pairs(["b"], ["d"])
    prints = [
        fingerprint(*parts)
        for parts in (
            (both, empty),
            (empty, both),
            (one, other),
            (Pairs(["c", "d"], ["a", "b"]), empty),
            (Pairs(["ac", "b"], ["", "d"]), empty),
        )
    ]
    assert len(set(prints)) == len(prints)
    assert fingerprint(Pairs(["a", "b"], ["c", "d"]), empty) == prints[0]


def test_the_record_is_plain_json(run):
    assert (
        json.loads(run.config_file.read_text("utf-8"))["settings"]["model"]["hidden_dim"] == 8
    )


def test_held_out_signals_are_kept_and_found_again(tmp_path, monkeypatch):
    np.save(tmp_path / "file.npy", np.ones((2, 3)))
    monkeypatch.chdir(tmp_path)
    signals = [Signal("s1/u 1", np.zeros((4, 3))), Signal("s2/u 1", np.ones(5, np.int16))]
    pairs = Pairs([*signals, "file.npy"], ["a", "b", "c"])
    run = RunDirectory(tmp_path / "run")
    run.begin(CONFIG.replace(source="features"), pairs, pairs)
    run.write_pairs(run.test_file, pairs)
    monkeypatch.chdir("/")
    again = run.test_pairs()
    assert again.targets == pairs.targets and len(set(again.sources)) == 3
    expected = [signal.array for signal in signals] + [np.ones((2, 3))]
    for source, array in zip(again.sources, expected, strict=True):
        np.testing.assert_array_equal(read_signal(source), array)


def test_other_arrays_under_the_same_names_are_other_data():
    one, same, other = (
        fingerprint(Pairs([Signal("u", np.full(3, number))], ["a"])) for number in (1, 1, 2)
    )
    assert one == same != other


def test_a_text_that_a_line_cannot_hold_is_refused_before_it_is_written(run):
    with pytest.raises(InputError, match="target of pair 1 is empty, or holds a tab, a line"):
        run.write_pairs(run.validation_file, Pairs(["a"], ["b\nc"]))
    assert not run.validation_file.exists()
