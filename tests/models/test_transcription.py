"""Recordings of any length: where windows are cut, and that nothing is lost."""

import numpy as np
import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.converters import from_ctranslate2
from keras_seq2seq.errors import InputError
from keras_seq2seq.models.transcription import cut, transcribe
from tests.converters.whisper_files import weights, write_whisper

FIRST = 100


@pytest.mark.parametrize(
    "ids, parts, seconds",
    [
        ([], [], 30.0),
        # One segment, closed: the rest of the window is silent.
        ([100, 5, 6, 150], [(0.0, 1.0, [100, 5, 6, 150])], 30.0),
        # One that is open: as long as the window.
        ([110, 5], [(0.2, 30.0, [110, 5])], 30.0),
        # The third begins in this window and ends in the next: from its beginning on.
        (
            [100, 5, 150, 150, 6, 200, 210, 7],
            [(0.0, 1.0, [100, 5, 150]), (1.0, 2.0, [150, 6, 200])],
            2.0,
        ),
        (
            [100, 5, 150, 160, 6, 200],
            [(0.0, 1.0, [100, 5, 150]), (1.2, 2.0, [160, 6, 200])],
            30.0,
        ),
        # A cut at 0 would never end.
        ([100, 5, 100, 100, 6], [(0.0, 0.0, [100, 5, 100])], 30.0),
    ],
)
def test_a_window_is_cut_between_segments(ids, parts, seconds):
    found, further = cut(ids, FIRST, 30.0)
    assert [part for *_, part in found] == [part for *_, part in parts]
    for (*times, _), (*expected, _) in zip(found, parts, strict=True):
        assert times == pytest.approx(expected)
    assert further == pytest.approx(seconds)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_whisper(tmp_path_factory.mktemp("whisper") / "model", weights(3))


@pytest.fixture(scope="module")
def model(folder):
    return from_ctranslate2(folder, language="en", timestamps=True)


def test_segments_cover_a_long_recording_in_order(model):
    sound = np.random.default_rng(1).normal(0, 0.1, 50000).astype(np.float32)
    segments = list(transcribe(model, sound, temperatures=[0.0]))
    assert segments and all(one.text for one in segments)
    assert all(0 <= one.start <= one.end <= 50000 / 16000 + 1e-6 for one in segments)
    assert [one.start for one in segments] == sorted(one.start for one in segments)
    # Of one window it is what `generate` says of that window.
    first = model.generate(sound[:16000])
    assert segments[0].text in first


def test_what_is_improbable_is_sampled_and_what_is_silent_left_out(model, monkeypatch):
    asked = []
    search = type(model).search

    def watched(self, sources, settings, **changes):
        asked.append(settings.temperature if settings.sample else 0.0)
        return search(self, sources, settings, **changes)

    monkeypatch.setattr(type(model), "search", watched)
    sound = np.zeros(800, np.float32)
    list(transcribe(model, sound, temperatures=[0.0, 0.5]))
    # The weights are random: every text is improbable.
    assert asked == [0.0, 0.5]
    monkeypatch.setattr("keras_seq2seq.models.transcription._silence", lambda *_: 0.9)
    assert not list(transcribe(model, sound))


def test_a_model_without_times_and_no_sound_are_refused(folder, model, tmp_path):
    plain = from_ctranslate2(folder, language="en")
    with pytest.raises(InputError, match="import it with --timestamps"):
        transcribe(plain, np.zeros(100, np.float32))
    with pytest.raises(InputError, match="is empty"):
        transcribe(model, np.zeros(0, np.float32))
    with pytest.raises(InputError, match="no such file"):
        transcribe(model, str(tmp_path / "none.wav"))


def test_the_command_writes_a_line_a_segment(folder, tmp_path):
    from scipy.io import wavfile

    runner = CliRunner()
    sound = np.random.default_rng(1).normal(0, 3000, 40000).astype(np.int16)
    wavfile.write(tmp_path / "long.wav", 16000, sound)
    arguments = ["import", str(folder), "--run-dir", str(tmp_path / "run")]
    done = runner.invoke(main, [*arguments, "--language", "en", "--timestamps"])
    assert done.exit_code == 0, done.output
    arguments = ["transcribe", str(tmp_path / "run"), str(tmp_path / "long.wav")]
    found = runner.invoke(main, arguments)
    assert found.exit_code == 0, found.output
    fields = [line.split("\t") for line in found.stdout.splitlines()]
    assert fields and all(len(row) == 4 and float(row[1]) <= float(row[2]) for row in fields)
    assert runner.invoke(main, [*arguments[:2], str(tmp_path / "no.wav")]).exit_code == 1
