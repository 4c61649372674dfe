"""A student learns what its teacher generates; what is begun goes on, nothing else does."""

import json

import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from training.run_directory import RunDirectory
from training.settings import TrainingConfig

SMALL = "--preset rnn_tiny --hidden-dim 8 --embedding-dim 4 --epochs 1 --beam-size 2".split()


@pytest.fixture(scope="module")
def teacher(text_model, pairs, tmp_path_factory):
    """A run whose model is the random one."""
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "teacher")
    config = TrainingConfig(source_tokenizer="characters", token_name="letter")
    run.begin(config, pairs, pairs)
    text_model.save(run.model_file)
    return run.path


@pytest.fixture(scope="module")
def words(pairs, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "words.txt"
    # One line that is no source, and one that is there twice.
    path.write_text("\n".join([*pairs.sources[:40], "", pairs.sources[0]]) + "\n")
    return path


def distill(*arguments):
    return CliRunner().invoke(main, ["distill", *map(str, arguments), *SMALL])


@pytest.fixture(scope="module")
def student(teacher, words, tmp_path_factory):
    """A student of two equal teachers, half of whose targets were generated again."""
    path = tmp_path_factory.mktemp("runs") / "student"
    command = teacher, words, "--with", teacher, "--run-dir", path
    done = distill(*command)
    assert done.exit_code == 0, done.output
    whole = (path / "distillation" / "targets.tsv").read_text()
    (path / "distillation" / "targets.tsv").write_text(whole[: len(whole) // 2])
    again = distill(*command)
    assert again.exit_code == 0, again.output
    assert "is finished; nothing to do" in again.output
    assert (path / "distillation" / "targets.tsv").read_text() == whole
    return path, again


def test_the_student_learns_what_the_teacher_generates(student, teacher, words, text_model):
    path, result = student
    assert "sources have their targets" in result.output
    rows = (path / "distillation" / "targets.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in rows] == words.read_text().splitlines()
    texts = [row.split("\t")[1] for row in rows[:40]]
    assert texts == text_model.generate(words.read_text().split()[:40], num_beams=2)
    run = RunDirectory(path)
    assert run.settings.origin_of("source_tokenizer") == "teacher"
    assert run.settings.run.token_name == "letter"
    record = json.loads((path / "distillation" / "distillation.json").read_text())
    assert [one["path"] for one in record["teachers"]] == [str(teacher)] * 2


def test_both_are_compared_on_what_there_is(student):
    path, result = student
    content = json.loads((path / "distillation" / "comparison.json").read_text())
    # This teacher has no pairs of its own.
    assert content["pairs"] == "validation.tsv, whose targets are the teacher's"
    first, second = content["models"]
    assert first["model"].startswith("teacher") and second["model"].startswith("student")
    assert first["sequence_error_rate"] == 0 < second["sequence_error_rate"]
    assert first["parameters"] > second["parameters"]
    assert "ms each" in result.output


@pytest.mark.parametrize(
    ("changed", "message"),
    [("search", "began with another search"), ("sources", "The sources are not those that")],
)
def test_other_targets_would_be_mixed_and_are_refused(
    student, teacher, words, tmp_path, changed, message
):
    path, _ = student
    other = tmp_path / "other.txt"
    other.write_text("cab\n")
    sources = other if changed == "sources" else words
    more = ["--beam-size", "3"] if changed == "search" else []
    command = teacher, sources, "--with", teacher, "--run-dir", path
    result = CliRunner().invoke(main, ["distill", *map(str, command), *SMALL, *more])
    assert result.exit_code == 2 and message in result.stderr


def test_a_run_without_a_teacher_is_left_alone(teacher, words):
    result = distill(teacher, words, "--run-dir", teacher)
    assert result.exit_code == 2 and "holds a run without a teacher" in result.stderr
    assert not (teacher / "distillation").exists()
