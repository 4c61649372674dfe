"""The command line on frames and sound."""

import numpy as np
import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main

soundfile = pytest.importorskip("soundfile")
pytestmark = pytest.mark.usefixtures("loaded_once")
SMALL = "--hidden-dim 8 --epochs 1 --num-buckets 1 --validation-sources 2"


def invoke(*arguments, status=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def features(tmp_path):
    """`(captions.tsv, folder)`: ten videos, and one without a caption."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "features"
    folder.mkdir()
    for index in range(11):
        np.save(folder / f"v{index}.npy", rng.normal(size=(4 + index % 3, 5)).astype("float32"))
    captions = tmp_path / "captions.tsv"
    captions.write_text("".join(f"v{i}\ta dog {i % 2}\n" for i in range(10)) + "v99\tcat\n")
    return captions, folder


@pytest.mark.large
def test_captions_of_features_from_training_to_an_answer(features, tmp_path):
    captions, folder = features
    run = tmp_path / "run"
    arguments = ["train", captions, folder, "--source", "features", "--run-dir", run]
    message = invoke(*arguments, "--strict", *SMALL.split(), status=2).stderr
    assert "captions.tsv, line 11: no such file" in message and not run.exists()
    output = invoke(*arguments, "--architecture", "recurrent", *SMALL.split()).output
    assert "Left out, no such file: 1." in output
    assert "a file without a text: 1." in output and "v10.npy" in output
    assert (
        "nothing to do"
        in invoke(*arguments, "--architecture", "recurrent", *SMALL.split()).output
    )
    answer = invoke("generate", run, folder / "v3.npy", "--scores").stdout
    assert answer.startswith(f"{folder / 'v3.npy'}\t-")
    assert "1 sequence of" in invoke("evaluate", run).stdout
    assert "11" not in invoke("evaluate", run, captions, folder).stderr
    scored = invoke("score", run, captions, folder).stdout
    assert len([line for line in scored.splitlines() if line.startswith(str(folder))]) == 10
    invoke("attention", run, folder / "v3.npy", tmp_path / "picture.png")
    invoke("export", run, tmp_path / "out", "--format", "tflite")
    assert "ok" in invoke("parity", run, tmp_path / "out" / "tflite", "--memory").stdout
    error = invoke("generate", run, folder / "lost.npy", status=1).stderr
    assert "lost.npy: no such file" in error


@pytest.mark.large
def test_sound_is_trained_on_and_a_file_generated_from(tmp_path):
    rng = np.random.default_rng(1)
    rows = ["file_name,text"]
    for index in range(8):
        rate = 16000 if index == 5 else 8000
        soundfile.write(tmp_path / f"{index}.wav", rng.normal(0, 0.1, rate // 8), rate)
        rows.append(f"{index}.wav,yes {index % 3}")
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    run = tmp_path / "run"
    output = invoke(
        *["train", tmp_path, "--source", "waveform", "--run-dir", run, *SMALL.split()],
        *["--architecture", "transformer", "--convolutions", 1, "--spec-augment"],
        *["--ctc-weight", 0.5, "--target-tokenizer", "characters"],
    ).output
    assert "1 of 16000 Hz" in output and "sample rate 8000" in output
    # Relative paths of the list are absolute in the run.
    assert str(tmp_path / "") in (run / "validation.tsv").read_text()
    lines = invoke("generate", run, tmp_path / "5.wav", tmp_path / "1.wav").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == [
        str(tmp_path / f"{i}.wav") for i in (5, 1)
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.tsv", "b", "c"], "Expected one file or folder of pairs, or two"),
        (["lost.tsv"], "lost.tsv: no such file"),
        (["lost.tsv", "lost"], "lost: no such folder"),
    ],
)
def test_a_list_that_is_not_there_is_named(tmp_path, arguments, message):
    error = invoke(
        "train", *arguments, "--source", "features", "--run-dir", tmp_path / "r", status=2
    ).stderr
    assert message in error
