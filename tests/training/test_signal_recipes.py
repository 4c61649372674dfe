"""The recipes of speech and video on made data: from files to a run or an artefact."""

import io
import random
import struct
import tarfile
import wave
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from export import compare, export_saved_model
from keras_seq2seq.cli import main
from keras_seq2seq.errors import InputError
from keras_seq2seq.training.recipes import fsdd as strings
from keras_seq2seq.training.recipes import fsdd_whisper
from tests.converters.whisper_files import weights, write_whisper
from training.evaluation import evaluate_run
from training.recipes import an4, fsdd, load_recipe, moving_shapes
from training.run.trainer import train
from training.run_directory import RunDirectory

pytestmark = pytest.mark.usefixtures("loaded_once")
RNG = np.random.default_rng(0)
SMALL = {
    "hidden_dim": 8,
    "epochs": 1,
    "num_buckets": 1,
    "batch_size": 16,
    "warmup_steps": 0,
}


def mfc(frames):
    numbers = RNG.normal(size=frames * 13).astype(">f4")
    return struct.pack(">i", len(numbers)) + numbers.tobytes()


def an4_files(speakers=18, utterances=2):
    names = [
        f"an4_clstk/s{speaker:02d}/u{number}-s{speaker:02d}"
        for speaker in range(speakers)
        for number in range(utterances)
    ]
    return {
        "etc/an4_train.fileids": "".join(f"{name}\n" for name in names).encode(),
        "etc/an4_train.transcription": "".join(
            f"YES {'GO' * (i % 3)} ({name.split('/')[-1]})\n" for i, name in enumerate(names)
        ).encode(),
        **{f"feat/{name}.mfc": mfc(40 + 7 * (i % 4)) for i, name in enumerate(names)},
    }


def write_folder(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_archive(path, files, inside):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{inside}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def recording(rate=8000):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        samples = RNG.normal(0, 3000, int(RNG.integers(300, 500))).astype("<i2")
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


def fsdd_files():
    return {
        f"{digit}_{speaker}_{index}.wav": recording()
        for digit in (0, 4, 7)
        for speaker in ("lucas", "george", "jackson")
        for index in (0, 4, 5, 9)
    }


def from_data_to_run(recipe, splits, tmp_path):
    """Trains an epoch and evaluates the run."""
    run = RunDirectory(tmp_path / "run")
    config = recipe.CONFIG.replace(**SMALL)
    if config.model.architecture != "transformer":
        config = config.replace(embedding_dim=8)
    summary = train(config, splits, run, Console(quiet=True))
    result = evaluate_run(run)
    assert summary["epochs"] == 1 and 0 < result["sequence_error_rate"] <= 1
    assert result["token_name"] == recipe.CONFIG.run.token_name
    assert run.test_pairs().targets == splits.test.targets
    return run


@pytest.mark.large
def test_an4_from_data_to_a_run(tmp_path):
    splits = an4.load(write_archive(tmp_path / "an4.tar.gz", an4_files(), "an4"))
    run = from_data_to_run(an4, splits, tmp_path)
    # The held-out features, which were in memory, are in the run.
    assert len(list((run.path / "signals").iterdir())) == 2 * 2 * an4.HELD_OUT_SPEAKERS


@pytest.mark.large
def test_fsdd_from_data_to_a_run(tmp_path, monkeypatch):
    counts = {"train": 20, "validation": 5, "test": 5}
    monkeypatch.setattr(fsdd, "STRINGS", counts)
    splits = fsdd.load(write_archive(tmp_path / "r.tar.gz", fsdd_files(), "recordings"))
    from_data_to_run(fsdd, splits, tmp_path)


@pytest.mark.large
def test_a_whisper_is_trained_on_with_strings_of_digits(tmp_path, monkeypatch):
    monkeypatch.setattr(strings, "STRINGS", {"train": 20, "validation": 5, "test": 5})
    monkeypatch.setattr(fsdd_whisper, "STRINGS", 8)
    archive = write_archive(tmp_path / "r.tar.gz", fsdd_files(), "recordings")
    splits, originals = fsdd_whisper.load(archive), strings.load(archive)
    assert splits.train.targets == originals.train.targets[:8]
    for part in ("validation", "test"):
        pairs, own = getattr(splits, part), getattr(originals, part)
        assert pairs.targets == own.targets and pairs.sources == own.sources
        for sound, original in zip(pairs.sources, own.sources, strict=True):
            # Twice as many samples of the same sound.
            assert len(sound.array) == 2 * len(original.array)
            np.testing.assert_allclose(sound.array[::2], original.array / 2**15, atol=1e-3)

    arrays = weights()
    for side, positions in (("encoder", 100), ("decoder", 64)):
        name = f"{side}/position_encodings/encodings"
        arrays[name] = np.resize(arrays[name], (positions, arrays[name].shape[1]))
    base, run = str(tmp_path / "base"), str(tmp_path / "run")
    folder = str(write_whisper(tmp_path / "whisper", arrays))
    for arguments in (
        ["import", folder, "--language", "en", "--window-seconds", "1.6", "--run-dir", base],
        ["train", "--recipe", "fsdd_whisper", "--data", str(archive), "--from", base]
        + ["--run-dir", run],
    ):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
    assert "8 training and" in done.output and "digit error rate" in done.output
    assert "left out" not in done.output
    assert RunDirectory(Path(run)).load_model().preprocessor.window == 25600


@pytest.mark.large
def test_moving_shapes_from_data_to_an_artefact(tmp_path, monkeypatch):
    counts = {"train": 32, "validation": 5, "test": 5}
    monkeypatch.setattr(moving_shapes, "SCENES", counts)
    splits = moving_shapes.load()
    run = from_data_to_run(moving_shapes, splits, tmp_path)
    # Artefacts of pictures are here alone; those of features and sound have tests of theirs.
    model = run.load_model()
    export_saved_model(model, tmp_path / "artefact")
    rows = compare(model, [tmp_path / "artefact"], run.test_pairs().sources[:3])
    assert [row.passes for row in rows] == [True] * 2


def test_speakers_of_an4_are_in_one_part_each(tmp_path):
    files = an4_files()
    splits = an4.load(write_archive(tmp_path / "an4.tar.gz", files, "an4"))
    parts = [splits.train, splits.validation, splits.test]
    speakers = [{an4.speaker_of(source.name) for source in part.sources} for part in parts]
    assert [len(part) for part in speakers] == [2, 8, 8] and len(set.union(*speakers)) == 18
    assert an4.load(write_folder(tmp_path / "an4", files)) == splits
    assert set(splits.train.targets) <= {"YES", "YES GO", "YES GOGO"}


def test_features_of_an4_are_read_with_their_byte_order():
    content = struct.pack(">i", 26) + np.arange(26, dtype=">f4").tobytes()
    expected = np.arange(26, dtype=np.float32).reshape(2, 13)
    np.testing.assert_array_equal(an4.read_cepstra("a", content), expected)


@pytest.mark.parametrize("content", [b"", b"\0\0\0\2", struct.pack(">i2f", 2, 1, 2)])
def test_a_broken_feature_file_is_named(content):
    with pytest.raises(InputError, match="u1: expected a count and frames of 13 numbers"):
        an4.read_cepstra("u1", content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"etc/an4_train.fileids": None}, "an4_train.fileids"),
        ({"etc/an4_train.transcription": b"YES (a)\n"}, "36 utterances and 1 transcripts"),
        ({"feat/an4_clstk/s00/u0-s00.mfc": None}, "u0-s00.mfc"),
    ],
)
def test_incomplete_data_of_an4_is_refused(tmp_path, change, message):
    files = {k: v for k, v in {**an4_files(), **change}.items() if v is not None}
    for path in (
        write_archive(tmp_path / "an4.tar.gz", files, "an4"),
        write_folder(tmp_path / "an4", files),
    ):
        with pytest.raises(InputError, match=message):
            an4.load(path)


def test_the_test_speaker_of_fsdd_is_unseen_and_recordings_are_in_one_part(tmp_path):
    folder = write_folder(tmp_path / "recordings", fsdd_files())
    recordings = fsdd.read_recordings(folder)
    assert {speaker: sorted(digits) for speaker, digits in recordings.items()} == {
        speaker: [0, 4, 7] for speaker in ("lucas", "george", "jackson")
    }
    pairs = fsdd.join_digits(recordings, 20, "train")
    assert pairs == fsdd.join_digits(recordings, 20, "train")
    assert {len(target.split()) for target in pairs.targets} == {3, 4, 5, 6, 7}
    for source, target in zip(pairs.sources, pairs.targets, strict=True):
        *_, digits = source.name.split("_")
        assert target == " ".join(fsdd.WORDS[int(digit)] for digit in digits)
        assert source.array.dtype == np.int16 and len(source.array) >= 300 * len(digits)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("1_lucas_0.wav", b"RIFF", "1_lucas_0.wav: cannot be read as sound"),
        ("1_lucas_0.wav", recording(16000), "expected 2 bytes, 1 channel and 8000 Hz"),
        ("notes.txt", b"", "must be of lucas, the test speaker, and others. There are: none"),
    ],
)
def test_unfit_recordings_are_refused(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message):
        fsdd.load(write_folder(tmp_path, {name: content}))


def test_kinds_of_shapes_are_in_one_part_each_and_every_property_in_all():
    kinds = moving_shapes.split_kinds()
    assert sorted(map(len, kinds.values())) == [19, 38, 135]
    assert len({kind for part in kinds.values() for kind in part}) == 192
    for part in kinds.values():
        assert [len({kind[i] for kind in part}) for i in range(5)] == [2, 4, 3, 4, 2]


def test_scenes_show_what_their_captions_say():
    kind = ("large", "red", "square", "right", "quickly")
    still = moving_shapes.Shape(kind, 6.0, 14.0)
    video = moving_shapes.render([still], 8, np.random.default_rng(0))
    assert video.shape == (8, 28, 28, 3) and video.dtype == np.uint8
    assert moving_shapes.caption([still]) == "a large red square moves right quickly"
    red = video[..., 0] > 128
    columns = [np.flatnonzero(picture.any(0)).mean() for picture in red]
    rows = [np.flatnonzero(picture.any(1)).mean() for picture in red]
    np.testing.assert_allclose(columns, 6 + 1.4 * np.arange(8), atol=0.51)
    np.testing.assert_allclose(rows, 14, atol=0.01)
    assert red[0].sum() == pytest.approx((2 * 0.85 * 5.2) ** 2, rel=0.2)


def test_shapes_stay_in_the_picture_apart_and_in_the_order_of_colours():
    kinds, generator = moving_shapes.split_kinds()["train"], random.Random(1)
    for _ in range(50):
        one, other = shapes = moving_shapes.draw_scene(kinds, 2, 9, generator)
        colours = list(moving_shapes.COLOURS)
        assert colours.index(one.kind[1]) < colours.index(other.kind[1])
        for time in range(9):
            for shape in shapes:
                x, y = shape.centre(time)
                assert shape.radius - 0.01 <= min(x, y)
                assert max(x, y) <= 27 - shape.radius + 0.01
            (x, y), (u, v) = one.centre(time), other.centre(time)
            assert max(abs(x - u), abs(y - v)) >= one.radius + other.radius


@pytest.mark.parametrize("name", ["an4", "fsdd"])
def test_recipes_of_speech_read_archives(name):
    with pytest.raises(InputError, match="cannot be read as an archive"):
        load_recipe(name).load(Path(__file__))


def test_moving_shapes_takes_no_data(tmp_path):
    with pytest.raises(InputError, match="takes no --data"):
        moving_shapes.load(tmp_path)
