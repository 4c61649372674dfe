"""Signals by their names: sound of every kind, segments, archives; and lists of them."""

import json

import numpy as np
import pytest

from keras_seq2seq.data import read_manifest
from keras_seq2seq.data.signal_files import segment_name, signal_file
from keras_seq2seq.data.signals import read_signal, sample_rate_of, signal_length
from keras_seq2seq.errors import InputError

soundfile = pytest.importorskip("soundfile")
RATE = 8000
# A second whose samples say where they are.
RAMP = np.linspace(-0.5, 0.5, RATE, dtype=np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same second in many forms."""
    folder = tmp_path_factory.mktemp("sound")
    forms = {"sph": "NIST", "mp3": "MP3", "opus": "OGG", "au": "AU", "flac": "FLAC"}
    for suffix, form in forms.items():
        subtype = "OPUS" if suffix == "opus" else None
        soundfile.write(folder / f"a.{suffix}", RAMP, RATE, format=form, subtype=subtype)
    soundfile.write(folder / "B.WAV", RAMP, RATE)
    content = bytearray((folder / "a.flac").read_bytes())
    # 36 bits of STREAMINFO count the samples; written to a pipe they are 0, unknown.
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    (folder / "pipe.flac").write_bytes(content)
    np.save(folder / "c.npy", RAMP)
    (folder / "c.npy").rename(folder / "C.NPY")
    return folder


@pytest.mark.parametrize("name", ["a.sph", "a.au", "a.flac", "pipe.flac", "B.WAV", "C.NPY"])
def test_sound_without_loss_is_the_same_in_every_form(folder, name):
    np.testing.assert_allclose(read_signal(folder / name, RATE), RAMP, atol=1e-4)
    assert signal_length(folder / name, RATE) == len(RAMP)


@pytest.mark.parametrize("name", ["a.mp3", "a.opus"])
def test_sound_with_loss_has_its_length(folder, name):
    assert len(read_signal(folder / name, RATE)) == signal_length(folder / name, RATE) == RATE
    assert sample_rate_of(folder / name) == RATE


@pytest.mark.parametrize("name", ["a.flac", "pipe.flac", "a.sph"])
def test_a_segment_is_the_part_of_its_file(folder, name):
    segment = segment_name(str(folder / name), 0.25, 0.5)
    assert segment.endswith("#t=0.25,0.5")
    np.testing.assert_allclose(read_signal(segment, RATE), RAMP[2000:4000], atol=1e-4)
    assert signal_length(segment, RATE) == 2000 and signal_length(segment, 16000) == 4000
    rest = segment_name(str(folder / name), 0.75, None)
    np.testing.assert_allclose(read_signal(rest, RATE), RAMP[6000:], atol=1e-4)


def test_a_file_of_just_that_name_comes_first(tmp_path):
    path = tmp_path / "a.wav#t=1,2"
    path.write_bytes(b"")
    assert signal_file(path).path == path and signal_file("b.wav#t=1.2.3,4").begin == 0


def save_kaldi(folder, segments=None):
    soundfile.write(folder / "r.wav", RAMP, RATE)
    (folder / "wav.scp").write_text("r1\t r.wav\n", "utf-8")
    (folder / "text").write_text("u1\tONE  TWO\nu2 THREE\nu3 FOUR\n", "utf-8")
    (folder / "segments").write_text(segments, "utf-8")


def test_a_kaldi_folder_with_segments_is_cut_by_them(tmp_path):
    lines = ["u1 r1 0 0.5", "u2\tr1  0.5\t-1", "u3 r1 0.5 0.4", "u4 r2 0 1", "u5 r1 0 1"]
    save_kaldi(tmp_path, "\n".join(lines))
    pairs, report = read_manifest(tmp_path, "waveform")
    assert pairs.targets == ["ONE  TWO", "THREE"]
    assert [name.rpartition("#")[2] for name in pairs.sources] == ["t=0,0.5", "t=0.5"]
    np.testing.assert_allclose(read_signal(pairs.sources[1], RATE), RAMP[4000:], atol=1e-4)
    text = "\n".join(report)
    assert "not an utterance, a recording, begin and end: 1." in text and "line 3" in text
    assert "a segment of no recording: 1." in text and "no text: 1." in text
    assert "a text without a segment: 1." in text and "u3" in text


def test_a_segment_behind_the_end_is_left_out(tmp_path):
    save_kaldi(tmp_path, "u1 r1 0 0.5\nu2 r1 0.5 3\n")
    pairs, report = read_manifest(tmp_path, "waveform")
    assert len(pairs) == 1
    assert any("a segment behind the end of its file: 1." in line for line in report)


def test_archives_of_kaldi_are_read_by_their_entries(tmp_path):
    kaldiio = pytest.importorskip("kaldiio")
    arrays = {name: np.full((n, 3), n, np.float32) for n, name in ((2, "u1"), (4, "u2"))}
    ark, scp = tmp_path / "feats.ark", tmp_path / "feats.scp"
    kaldiio.save_ark(str(ark), arrays, scp=str(scp))
    (tmp_path / "text").write_text("u1 ONE\nu2 TWO\n", "utf-8")
    with scp.open("a") as file:
        file.write(f"u3 {ark}:99999\n")
    (tmp_path / "text").write_text("u1 ONE\nu2 TWO\nu3 LOST\n", "utf-8")
    pairs, report = read_manifest(tmp_path, "features")
    assert pairs.targets == ["ONE", "TWO"]
    assert [signal_length(source) for source in pairs.sources] == [2, 4]
    np.testing.assert_array_equal(read_signal(pairs.sources[1]), arrays["u2"])
    (line,) = report
    assert "a file that cannot be read: 1." in line and "line 3" in line


def test_a_manifest_of_nemo_is_cut_by_offset_and_duration(tmp_path):
    soundfile.write(tmp_path / "r.wav", RAMP, RATE)
    rows = [
        {"text": "whole", "duration": 1.0},
        {"text": "first", "duration": 0.5},
        {"text": "second", "duration": 0.5, "offset": 0.5},
        {"text": None, "duration": 1.0},
        {"text": "no time", "duration": "long", "offset": 0.5},
        {"text": "to the end", "offset": 0.5},
    ]
    lines = [json.dumps({"audio_filepath": "r.wav", **row}) for row in rows]
    (tmp_path / "manifest.json").write_text("\n".join(lines), "utf-8")
    pairs, report = read_manifest(tmp_path / "manifest.json", "waveform")
    assert pairs.targets == ["whole", "first", "second", "to the end"]
    lengths = [signal_length(source, RATE) for source in pairs.sources]
    assert lengths == [RATE, RATE // 2, RATE // 2, RATE // 2]
    assert pairs.sources[0] == str(tmp_path / "r.wav") and pairs.lines == [1, 2, 3, 6]
    assert "the text is no text: 1." in report[0] and "line 4 (None)" in report[0]
    assert "a segment whose times are none: 1." in report[1] and "line 5" in report[1]


def test_a_list_of_common_voice_names_its_columns(folder, tmp_path):
    text = "client_id\tpath\tsentence\tage\nx\ta.mp3\tHe said, “no”.\t\ny\tlost.mp3\tYes.\t\n"
    (tmp_path / "train.tsv").write_text(text, "utf-8")
    pairs, report = read_manifest(tmp_path / "train.tsv", "waveform", folder=folder)
    assert pairs.targets == ["He said, “no”."] and pairs.lines == [2]
    assert pairs.sources == [str(folder / "a.mp3")]
    assert report[0].startswith("Left out, no such file: 1.")
    named = {"folder": folder, "source": "path", "target": "client_id"}
    pairs, _ = read_manifest(tmp_path / "train.tsv", "waveform", **named)
    assert pairs.targets == ["x"]


def test_values_that_are_no_texts_are_left_out_of_lists(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 2), np.float32))
    values = [None, 3, True, ["x"], {"a": 1}, float("nan"), "\ud83d", " a\tb\n"]
    lines = [json.dumps({"file_name": "a.npy", "text": value}) for value in values]
    lines.append(json.dumps({"file_name": None, "text": "x"}))
    lines.append(json.dumps({"file_name": "a\nb.npy", "text": "x"}))
    lines.append(json.dumps({"file_name": "x" * 300, "text": "x"}))
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines), "utf-8")
    pairs, report = read_manifest(tmp_path, "features")
    assert pairs.targets == ["a b"]
    text = "\n".join(report)
    for reason, count in (
        ("the text is no text", 6),
        ("the text holds half a surrogate pair", 1),
        ("the name of the file is no text", 1),
        ("the name of the file holds a tab or a line break", 1),
        ("a file that cannot be read", 1),
    ):
        assert f"Left out, {reason}: {count}. " in text, text


@pytest.mark.parametrize(
    "array", [np.array(["a", "b"]), np.array([1 + 2j]), np.zeros(2, [("x", "i4")])]
)
def test_an_array_of_no_numbers_is_left_out(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match="expected an array of numbers; it holds an array of"):
        read_signal(tmp_path / "a.npy")


def test_a_metadata_file_whose_rows_are_broken_names_them(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 2), np.float32))
    text = 'file_name,text\na.npy,"one\ntwo"\n\na.npy,"open\na.npy,last\n'
    (tmp_path / "metadata.csv").write_text(text, "utf-8")
    pairs, report = read_manifest(tmp_path, "features")
    assert pairs.targets == ["one two", "last"] and pairs.lines == [2, 6]
    text = "\n".join(report)
    assert "not 2 columns as the header: 1. " in text and "line 4" in text
    assert "is a quotation mark not closed: 1. " in text and "line 5" in text
