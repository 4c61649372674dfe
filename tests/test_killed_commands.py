"""The real `train` and `export`, killed with SIGKILL at writes and at random moments, then
given again: in the end all is as without a kill."""

import json
import random
import shutil
import zipfile

import pytest

from tests.conftest import spelled_pairs
from tests.training.test_killed_runs import assert_same
from tests.zygote import Zygote

SOAK = [pytest.mark.large, pytest.mark.soak]
OPTIONS = "--epochs 3 --hidden-dim 6 --embedding-dim 4 --average 2 --batch-size 40 --seed 1"
FORMATS = ("--format", "saved_model", "--format", "tflite")


@pytest.fixture(scope="module")
def zygote():
    with Zygote() as process:
        yield process


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("killed")
    pairs = spelled_pairs(120)
    rows = zip(pairs.sources, pairs.targets, strict=True)
    (path / "pairs.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in rows))
    return path


def train_command(folder, run):
    options = [*OPTIONS.split(), "--num-buckets", "2", "--no-keep-checkpoint"]
    return ["train", folder / "pairs.tsv", "--run-dir", run, *options]


@pytest.fixture(scope="module")
def trained(zygote, folder):
    """A run that nobody killed, how many changes it made, and how long it took."""
    run = folder / "whole"
    status, changes, output = zygote.run(*train_command(folder, run), folder=run)
    assert status == 0, output
    return run, changes


@pytest.fixture(scope="module")
def exported(zygote, trained, folder):
    run, _ = trained
    path = folder / "exported"
    status, changes, output = zygote.run("export", run, path, *FORMATS, folder=path)
    assert status == 0, output
    return path, changes


def kill_points(changes, seconds, count, seed):
    """At writes and, every third, at a moment."""
    draw = random.Random(seed)
    return [
        {"seconds": draw.uniform(0.05, seconds)}
        if index % 3 == 2
        else {"changes": draw.randrange(changes)}
        for index in range(count)
    ]


def assert_nothing_half(path):
    """What has the name of a whole file is one."""
    for file in path.rglob("*"):
        if any(part.startswith(".unfinished-") for part in file.parts) or "logs" in file.parts:
            continue
        if file.suffix == ".keras":
            with zipfile.ZipFile(file) as archive:
                assert archive.testzip() is None
        if file.suffix == ".json" and file.stat().st_size:
            json.loads(file.read_text("utf-8"))
        if file.suffix == ".jsonl":
            for line in file.read_text("utf-8").splitlines():
                json.loads(line)


@pytest.mark.parametrize(
    ("chain", "count"),
    [(0, 1), *(pytest.param(number, 5, marks=SOAK) for number in range(1, 11))],
)
def test_a_training_that_is_killed_again_and_again_ends_as_without(
    zygote, folder, trained, chain, count
):
    whole, changes = trained
    run = folder / f"killed_{chain}"
    command = train_command(folder, run)
    killed = 0
    for point in kill_points(changes, 6.0, count, chain):
        status, _, output = zygote.run(*command, folder=run, **point)
        assert status in (-9, 0), (point, output)
        killed += status == -9
        assert_nothing_half(run)
    assert killed
    status, _, output = zygote.run(*command, folder=run)
    assert status == 0, output
    assert_same(run, whole)
    assert (run / "report.html").read_text("utf-8").rstrip().endswith("</html>")
    shutil.rmtree(run)


@pytest.mark.parametrize(
    ("chain", "count"),
    [(0, 1), *(pytest.param(number, 5, marks=SOAK) for number in range(1, 11))],
)
def test_an_export_that_is_killed_again_and_again_ends_as_without(
    zygote, folder, trained, exported, chain, count
):
    run, _ = trained
    whole, changes = exported
    path = folder / f"export_{chain}"
    command = ["export", run, path, *FORMATS]
    before = contents(run)
    killed = 0
    for point in kill_points(changes, 8.0, count, 100 + chain):
        status, _, output = zygote.run(*command, folder=path, **point)
        # What is there already is left as it is, and said.
        assert status in (-9, 0) or (status == 2 and "was left as it is" in output), output
        killed += status == -9
        for name in ("saved_model", "tflite"):
            if (path / name).exists():
                assert files_of(path / name) == files_of(whole / name), point
    assert killed
    status, _, output = zygote.run(*command, folder=path)
    assert status == 0 or (status == 2 and "was left as it is" in output), output
    assert files_of(path) ^ files_of(whole) == set()
    assert contents(path / "tflite").keys() == contents(whole / "tflite").keys()
    weights = "saved_model/variables/variables.data-00000-of-00001"
    for model in ("tflite/model.tflite", weights):
        assert (path / model).read_bytes() == (whole / model).read_bytes()
    assert contents(run) == before
    if chain == 0 or chain == 10:
        artefacts = [path / "saved_model", path / "tflite"]
        status, _, output = zygote.run("parity", run, *artefacts, folder=path)
        assert status == 0, output
    shutil.rmtree(path)


def files_of(path):
    """Names and sizes. The graph of a SavedModel holds numbers of its own, and test vectors
    what LiteRT gave when they were made."""
    return {
        (file.relative_to(path).as_posix(), file.stat().st_size if is_alike(file) else 0)
        for file in path.rglob("*")
    }


def is_alike(file):
    return file.is_file() and file.suffix != ".pb" and file.name != "test_vectors.json"


def contents(path):
    return {
        file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }
