"""The real commands, killed with SIGKILL at writes and at random moments, then given again: in
the end all is as without a kill."""

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


def killed_then_ended(zygote, command, folder, points):
    """Kills a command at each of the points and lets it end; what it said in the end."""
    killed = 0
    for point in points:
        status, _, output = zygote.run(*command, folder=folder, **point)
        assert status in (-9, 0) or (status == 2 and " exists" in output), (point, output)
        killed += status == -9
        if status == 2:
            break
    assert killed
    status, _, output = zygote.run(*command, folder=folder)
    # A kill after the last step: what is there is whole, and said.
    assert status == 0 or (status == 2 and " exists" in output), output
    assert "Traceback" not in output and not leftovers(folder)
    return output


def measured(file):
    varying = ("model", "milliseconds_each")
    rows = json.loads(file.read_text("utf-8"))["models"]
    return [{name: v for name, v in row.items() if name not in varying} for row in rows]


def leftovers(folder):
    return [*folder.rglob(".unfinished-*"), *folder.parent.glob(".unfinished-*")]


@pytest.mark.parametrize(
    ("chain", "count"),
    [(0, 1), *(pytest.param(number, 4, marks=SOAK) for number in range(1, 5))],
)
def test_a_pack_that_is_killed_is_whole_in_the_end(zygote, folder, chain, count):
    whole, path = folder / "whole.pack", folder / f"killed_{chain}.pack"
    command = ["pack", folder / "pairs.tsv", "--shards", "3", "--output"]
    if not whole.exists():
        status, _, output = zygote.run(*command, whole, folder=whole.parent)
        assert status == 0, output
    # All that is made lies in the folder beside it until the end.
    status, changes, _ = zygote.run(*command, path, folder=folder)
    assert status == 0
    shutil.rmtree(path)
    points = kill_points(changes, 1.0, count, 200 + chain)
    killed_then_ended(zygote, [*command, path], folder, points)
    assert contents(path) == contents(whole)


@pytest.mark.large
@pytest.mark.soak
@pytest.mark.parametrize("chain", range(3))
def test_files_of_answers_are_whole_in_the_end(zygote, folder, trained, chain):
    run, _ = trained
    sources, whole, path = (folder / name for name in ("in", "answers", f"answers_{chain}"))
    for number in range(4):
        (sources / f"{number}").mkdir(parents=True, exist_ok=True)
        text = "".join(f"{word}\n" for word in ("cab", "fee", "", "z" * 90, "abc")[number:])
        (sources / f"{number}" / "lines.txt").write_text(text)
    command = ["generate-files", run, sources / "**/*.txt"]
    options = ["--beam-size", "2", "--scores"]
    if not whole.exists():
        status, _, output = zygote.run(*command, whole, *options, folder=whole)
        assert status == 0, output
    points = [*kill_points(12, 5.0, 4, 300 + chain), {"changes": 9 + 4 * chain}]
    killed_then_ended(zygote, [*command, path, *options], path, points)
    for file in whole.rglob("*.tsv"):
        assert (path / file.relative_to(whole)).read_bytes() == file.read_bytes()
    assert len([*path.rglob("*.tsv")]) == 4
    assert json.loads((path / "result.json").read_text())["lines"] == 14


@pytest.mark.large
@pytest.mark.soak
@pytest.mark.parametrize("chain", range(3))
def test_an_import_is_whole_in_the_end(zygote, folder, trained, chain):
    run, _ = trained
    exported, path = folder / "weights", folder / f"imported_{chain}" / "run"
    if not exported.exists():
        command = ["export", run, exported, "--format", "safetensors"]
        assert zygote.run(*command, folder=exported)[0] == 0
    points = kill_points(20, 4.0, 4, 400 + chain)
    path.parent.mkdir()
    command = ["import", exported / "safetensors", "--run-dir", path]
    killed_then_ended(zygote, command, path.parent, points)
    words = "cab", "fee"
    outputs = [zygote.run("generate", one, *words, folder=one)[2] for one in (run, path)]
    assert outputs[0] == outputs[1] and outputs[0].count("\n") == 2


@pytest.mark.large
@pytest.mark.soak
@pytest.mark.parametrize("chain", range(3))
def test_a_distillation_ends_as_without(zygote, folder, trained, chain):
    run, _ = trained
    sources, whole, path = (folder / name for name in ("words", "student", f"student_{chain}"))
    sources.write_text("".join(f"{word}\n" for word in spelled_pairs(60, seed=3).sources))
    command = ["distill", run, sources, "--run-dir"]
    options = [*OPTIONS.split(), "--beam-size", "2", "--no-keep-checkpoint"]
    if not whole.exists():
        status, changes, output = zygote.run(*command, whole, *options, folder=whole)
        assert status == 0, output
        (folder / "student_changes").write_text(str(changes))
    changes = int((folder / "student_changes").read_text())
    points = kill_points(changes, 8.0, 4, 500 + chain)
    killed_then_ended(zygote, [*command, path, *options], path, points)
    targets = "distillation/targets.tsv"
    assert (path / targets).read_bytes() == (whole / targets).read_bytes()
    rows = [measured(one / "distillation" / "comparison.json") for one in (path, whole)]
    assert rows[0] == rows[1]


@pytest.mark.large
@pytest.mark.soak
def test_a_search_goes_on_where_it_was_killed(zygote, folder):
    path = folder / "tuned"
    command = ["tune", folder / "pairs.tsv", "--run-dir", path, "--minutes", "0.4"]
    command += ["--trial-minutes", "0.05", "--trials", "3", "--hidden-dim", "6"]
    command += ["--embedding-dim", "4", "--architecture", "lstm"]
    points = [{"changes": 2}, {"changes": 15}, {"seconds": 9.0}, {"changes": 40}]
    killed_then_ended(zygote, command, path, points)
    assert (path / "best.toml").read_text().count("hidden_dim = 6") == 1
    best = (path / "best").resolve() if (path / "best").exists() else None
    runs = [one for one in (path / "trials").iterdir() if (one / "metrics.json").exists()]
    assert runs and (best is None or best in runs)


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
