import json

import numpy as np
import pytest

from keras_seq2seq.data import read_manifest
from keras_seq2seq.errors import InputError

soundfile = pytest.importorskip("soundfile")


def save_frames(folder, **arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", np.asarray(array, np.float32))


def save_sound(path, seconds=0.1, rate=8000, amplitude=0.5):
    wave = amplitude * np.sin(np.arange(int(rate * seconds)))
    soundfile.write(path, wave, rate)


def test_a_list_of_names_finds_its_features_in_a_folder(tmp_path):
    features = tmp_path / "features"
    features.mkdir()
    save_frames(features, a=np.ones((3, 2)), b=np.ones((5, 2)))
    captions = tmp_path / "captions.tsv"
    captions.write_text("a\ta red ball\nb.npy\ta dog\na\ta ball\n", "utf-8")
    pairs, report = read_manifest(captions, "features", folder=features)
    assert pairs.sources == [str(features / f"{name}.npy") for name in "aba"]
    assert pairs.targets == ["a red ball", "a dog", "a ball"] and report == []
    assert list(pairs.references().values()) == [["a red ball", "a ball"], ["a dog"]]


def test_whatever_cannot_be_used_is_counted_by_reason_and_named(tmp_path):
    save_frames(
        tmp_path,
        good=np.ones((3, 2)),
        wide=np.ones((3, 4)),
        empty=np.ones((0, 2)),
        flat=np.ones(3),
        nan=[[1, np.nan]],
        silent_video=np.ones((3, 2)),
        extra=np.ones((3, 2)),
    )
    (tmp_path / "broken.npy").write_bytes(b"?")
    names = ["good", "wide", "empty", "flat", "nan", "broken", "missing"]
    lines = [f"{name}\ttext" for name in names] + ["silent_video\t ", "three\tcolumns\there"]
    captions = tmp_path / "captions.tsv"
    captions.write_text("\n".join(lines), "utf-8")
    pairs, report = read_manifest(captions, "features", folder=tmp_path)
    assert pairs.sources == [str(tmp_path / "good.npy")]
    text = "\n".join(report)
    for reason, place in (
        ("another shape than the first file: 1", f"{captions}, line 2"),
        ("an empty file: 1", "line 3"),
        ("one axis where frames have two: 1", "line 4"),
        ("NaN or infinity: 1", "line 5"),
        ("a file that cannot be read: 1", "line 6"),
        ("no such file: 1", "line 7"),
        ("no text: 1", "line 8"),
        ("not two columns: 1", "line 9"),
        ("a file without a text: 1", str(tmp_path / "extra.npy")),
    ):
        (line,) = [line for line in report if reason in line]
        assert place in line, text
    assert len(report) == 9


def test_files_of_other_lists_of_the_folder_have_a_text(tmp_path):
    save_frames(tmp_path, a=np.ones((3, 2)), b=np.ones((3, 2)))
    lists = [tmp_path / "train.tsv", tmp_path / "validation.tsv"]
    for path, name in zip(lists, "ab", strict=True):
        path.write_text(f"{name}\ttext\n", "utf-8")
    given = {"folder": tmp_path, "strict": True}
    for path in lists:
        pairs, report = read_manifest(path, "features", others=lists, **given)
        assert len(pairs) == 1 and report == []
    with pytest.raises(InputError, match="b.npy: a file without a text"):
        read_manifest(lists[0], "features", **given)


@pytest.mark.parametrize("bad", ["missing\ttext", "good\t ", "good"])
def test_with_strict_the_first_of_them_is_an_error(tmp_path, bad):
    save_frames(tmp_path, good=np.ones((3, 2)))
    captions = tmp_path / "captions.tsv"
    captions.write_text(f"good\ttext\n{bad}\n", "utf-8")
    with pytest.raises(InputError, match=r"captions.tsv, line 2: "):
        read_manifest(captions, "features", strict=True)


def test_silence_and_other_sample_rates_are_reported(tmp_path):
    save_sound(tmp_path / "a.wav")
    save_sound(tmp_path / "b.flac", rate=16000)
    save_sound(tmp_path / "c.wav", amplitude=0)
    rows = ["file_name,transcription", "a.wav,one", 'b.flac,"two, three"', "c.wav,four"]
    (tmp_path / "metadata.csv").write_text("\n".join(rows), "utf-8")
    pairs, report = read_manifest(tmp_path, "waveform")
    assert pairs.targets == ["one", "two, three"]
    assert report[0].startswith("Left out, silence: 1.") and "line 4" in report[0]
    assert report[1].startswith("Sample rates differ: 1 of 8000 Hz, 1 of 16000 Hz.")


def test_json_lines_are_read_and_broken_ones_named(tmp_path):
    save_sound(tmp_path / "a.wav")
    lines = [
        json.dumps({"file_name": "a.wav", "text": "one"}),
        "{broken",
        '{"text": "x"}',
        "[]",
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines), "utf-8")
    pairs, report = read_manifest(tmp_path / "metadata.jsonl", "waveform")
    assert pairs.targets == ["one"]
    reasons = ["broken JSON: 1", "no file and text: 1", "no JSON object: 1"]
    assert len(report) == 3
    for number, (line, reason) in enumerate(zip(report, reasons, strict=True), 2):
        assert reason in line and f"line {number}" in line


def test_a_kaldi_folder_joins_files_and_texts_by_key(tmp_path):
    for name in "ab":
        save_sound(tmp_path / f"{name}.wav")
    scp = [f"u1 {tmp_path}/a.wav", "u2 b.wav", "u3 sox c.sph -t wav - |", "u4 a.wav"]
    (tmp_path / "wav.scp").write_text("\n".join(scp), "utf-8")
    (tmp_path / "text").write_text("u1 HELLO WORLD\nu2 YES\nu3 NO\nu9 LOST\n", "utf-8")
    pairs, report = read_manifest(tmp_path, "waveform")
    assert pairs.targets == ["HELLO WORLD", "YES"]
    assert pairs.sources == [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    assert any("a command, not a file: 1" in line for line in report)
    assert any("a text without a file: 2" in line and "u9" in line for line in report)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,text\na.wav,one", "expected a column file_name or .* Received: name, text"),
        (
            "file_name,words\na.wav,one",
            "expected a column text or .* Received: file_name, words",
        ),
        ("file_name,text\nlost.wav,one", "no entry can be used. Left out, no such file: 1"),
    ],
)
def test_a_list_that_gives_nothing_is_an_error(tmp_path, text, message):
    (tmp_path / "metadata.csv").write_text(text, "utf-8")
    with pytest.raises(InputError, match=message):
        read_manifest(tmp_path, "waveform")


def test_a_folder_without_a_list_is_an_error(tmp_path):
    with pytest.raises(
        InputError, match="has neither metadata.csv, metadata.jsonl, nor wav.scp"
    ):
        read_manifest(tmp_path, "waveform")
    with pytest.raises(InputError, match="no such folder"):
        read_manifest(tmp_path / "x.tsv", "features", folder=tmp_path / "missing")
