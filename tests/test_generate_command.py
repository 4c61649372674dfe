"""`generate` and `score` line by line: what stops half-way, what is no line, what is broken."""

import gzip
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.data import Pairs
from keras_seq2seq.models import load_model
from training.run_directory import RunDirectory
from training.settings import TrainingConfig

pytestmark = pytest.mark.usefixtures("loaded_once")
SOURCES = ["cab", "fee", "fee", "abcdef", "bad", "d", "cab", "face"]


@pytest.fixture(scope="module")
def run_dir(text_model, pairs, tmp_path_factory):
    """A run whose model is the random one."""
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "run")
    run.begin(TrainingConfig(), pairs, pairs)
    run.write_pairs(run.validation_file, pairs)
    text_model.save(run.model_file)
    return run.path


def invoke(*arguments, input=None):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=input)


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("".join(f"{source}\n" for source in SOURCES))
    return path


def test_a_bad_line_costs_the_others_nothing(run_dir, text_model, tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(b"\xef\xbb\xbfcab\r\n\nfee\ntoolongaword\ncaf\xe9\nbad")
    result = invoke("generate", run_dir, "--file", path, "--scores")
    assert result.exit_code == 1
    expected = text_model.generate(["cab", "fee", "bad"])
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == ["cab", "", "fee", "toolongaword", "caf\ufffd", "bad"]
    assert [rows[index][2] for index in (0, 2, 5)] == expected
    assert all(rows[index][1:] == ["", ""] for index in (1, 3, 4))
    assert result.stderr.splitlines() == [
        "error: line 2: the source is empty; remove it or give it text.",
        "error: line 4: the source has 12 tokens; this model takes at most 7: 'toolongaword'. "
        "Shorten it, or train with a larger --max-source-length.",
        "error: line 5: the source is not UTF-8.",
    ]
    with path.open("rb") as file:
        piped = invoke("generate", run_dir, "--scores", input=file.read())
    assert piped.stdout == result.stdout and piped.exit_code == 1
    lines = invoke("generate", run_dir, "--file", path, "--json").stdout.splitlines()
    answers = [json.loads(line) for line in lines]
    assert [len(answer["hypotheses"]) for answer in answers] == [1, 0, 1, 0, 0, 1]
    assert answers[1]["error"].startswith("the source is empty")


def test_an_argument_that_is_no_source_is_numbered(run_dir):
    result = invoke("generate", run_dir, "cab", "")
    assert result.exit_code == 1 and result.stdout.endswith("\n\t\n")
    assert result.stderr.startswith("error: source 2: the source is empty")


def test_tokens_are_those_of_one_at_a_time(run_dir, text_model, words):
    expected = [f"{word}\t{text_model.generate(word)}\n" for word in SOURCES]
    assert invoke("generate", run_dir, "--file", words).stdout == "".join(expected)
    zipped = words.with_suffix(".gz")
    zipped.write_bytes(gzip.compress(words.read_bytes()))
    assert invoke("generate", run_dir, "--file", zipped).stdout == "".join(expected)


@pytest.mark.parametrize(
    "options",
    [[], ["--json"], ["--beam-size", 3, "--n-best", 3, "--scores"]],
    ids=["plain", "json", "n-best"],
)
def test_an_output_that_stopped_is_continued(run_dir, words, tmp_path, options):
    output = tmp_path / "targets.tsv"
    command = ["generate", run_dir, "--file", words, "--output", output, *options]
    assert invoke(*command).exit_code == 0
    whole = output.read_bytes()
    assert whole.decode() == invoke("generate", run_dir, "--file", words, *options).stdout
    for size in {*range(0, len(whole), max(1, len(whole) // 9)), len(whole) - 1, len(whole)}:
        output.write_bytes(whole[:size])
        result = invoke(*command, "--resume")
        assert result.exit_code == 0, result.output
        assert without_rounding(output.read_bytes()) == without_rounding(whole)


def without_rounding(content):
    """Numbers of JSON to four places: a batch of another size rounds otherwise."""
    return re.sub(rb"(\.\d{4})\d+", rb"\1", content)


def test_an_output_is_not_lost(run_dir, words, tmp_path):
    output = tmp_path / "targets.tsv"
    output.write_text("other\tAA\n")
    command = ["generate", run_dir, "--file", words, "--output", output]
    for options, message in [
        ([], "exists. Continue it with --resume, or remove it"),
        (["--resume"], "is not of source 1, 'cab'"),
    ]:
        result = invoke(*command, *options)
        assert result.exit_code == 2 and message in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert output.read_text() == "other\tAA\n"
    result = invoke("generate", run_dir, "--file", words, "--output", words)
    assert result.exit_code == 2 and words.read_text().splitlines() == SOURCES
    result = invoke("generate", run_dir, "cab", "--resume")
    assert result.exit_code == 2 and "--resume continues the file of --output" in result.stderr
    result = invoke("generate", run_dir, "cab", "--output", tmp_path / "none" / "x.tsv")
    assert result.exit_code == 2 and "cannot be written" in result.stderr


def test_prefixes_are_continued_too(run_dir, words, tmp_path):
    prefixes, output = tmp_path / "prefixes.txt", tmp_path / "targets.tsv"
    prefixes.write_text("AA\n\nBB\nCC DD\n\nFF\nAA BB\nCC\n")
    command = ["generate", run_dir, "--file", words, "--prefixes", prefixes]
    whole = invoke(*command).stdout
    output.write_text("".join(whole.splitlines(keepends=True)[:5]))
    assert invoke(*command, "--output", output, "--resume").exit_code == 0
    assert output.read_text() == whole
    prefixes.write_text("AA\n" * 9)
    result = invoke(*command)
    assert result.exit_code == 2 and "8 sources, and more prefixes" in result.stderr
    prefixes.write_text("AA\n" * 3)
    result = invoke(*command)
    assert result.exit_code == 2 and "3 prefixes, at least 8 sources" in result.stderr


def test_score_names_the_pairs_that_have_none(run_dir, text_model, tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("cab\tCC AA BB\ntoolongaword\tAA\nfee\tFF\n")
    result = invoke("score", run_dir, path)
    expected = text_model.score(["cab", "fee"], ["CC AA BB", "FF"])
    assert result.stdout.splitlines() == [
        f"cab\tCC AA BB\t{expected[0]:.4f}",
        "toolongaword\tAA\t",
        f"fee\tFF\t{expected[1]:.4f}",
    ]
    assert result.exit_code == 1
    assert result.stderr.startswith("error: pair 2 has a source that has 12 tokens")


def test_a_model_that_diverged_says_so(run_dir, pairs, tmp_path):
    model = load_model(RunDirectory(run_dir).model_file)
    for weight in model.weights:
        weight.assign(weight * np.nan)
    run = RunDirectory(tmp_path / "run")
    few = Pairs(pairs.sources[:2], pairs.targets[:2])
    run.begin(TrainingConfig(), few, few)
    run.write_pairs(run.validation_file, few)
    model.save(run.model_file)
    result = invoke("generate", run.path, "cab", "--beam-size", 2)
    assert result.exit_code == 1 and result.stdout == "cab\t\n"
    assert result.stderr.startswith("error: source 1: there is no target: a log probability")
    for command in ("score", "evaluate"):
        result = invoke(command, run.path, run.validation_file)
        assert "NaN" in result.stderr, result.output
        assert result.exit_code == (1 if command == "score" else 0)


def test_an_output_with_failed_lines_is_no_success_when_continued(run_dir, tmp_path):
    path, output = tmp_path / "words.txt", tmp_path / "targets.tsv"
    path.write_text("cab\n\nfee\n")
    for options in ([], ["--json"], ["--scores"]):
        command = ["generate", run_dir, "--file", path, "--output", output, *options]
        assert invoke(*command).exit_code == 1
        whole = output.read_bytes()
        assert invoke(*command, "--resume").exit_code == 1 and output.read_bytes() == whole
        other = invoke(*command, "--beam-size", 2, "--resume")
        assert other.exit_code == 2 and "--num-beams was 1 and is now 2" in other.stderr
        output.unlink()


def test_an_output_is_continued_with_the_options_that_began_it(run_dir, words, tmp_path):
    output = tmp_path / "targets.tsv"
    began = ["generate", run_dir, "--file", words, "--output", output, "--beam-size", 2]
    short = tmp_path / "short.txt"
    short.write_text("AA\n" * 3)
    # Too few prefixes end it before its end.
    assert invoke(*began, "--prefixes", short).exit_code == 2
    before = output.read_bytes()
    result = invoke(*began[:-1], 3, "--scores", "--resume")
    assert result.exit_code == 2 and output.read_bytes() == before
    assert "--scores was False and is now True; --num-beams was 2 and is now 3" in result.stderr
    assert invoke(*began, "--resume").exit_code == 0
    assert not (tmp_path / "targets.tsv.options.json").exists()


def test_score_names_unknown_tokens_of_both_sides(run_dir, tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("czb\tCC QQ BB\n")
    stderr = invoke("score", run_dir, path).stderr
    assert "unknown to the model: 'z' (1)" in stderr
    assert "unknown to the target vocabulary: 'QQ' (1)" in stderr


def test_a_shortlist_is_learned_and_used(run_dir, text_model, words, pairs, tmp_path):
    train = tmp_path / "train.tsv"
    lines = zip(pairs.sources, pairs.targets, strict=True)
    train.write_text("".join(f"{source}\t{target}\n" for source, target in lines))
    path = tmp_path / "some.shortlist"
    learned = invoke("shortlist", run_dir, train, "-o", path, "--best", 1, "--common", 1)
    assert learned.exit_code == 0, learned.output
    assert "100.00 % of the tokens of these pairs" in learned.output
    result = invoke("generate", run_dir, "--file", words, "--shortlist", path)
    assert result.exit_code == 0, result.output
    answers = [line.split("\t")[-1] for line in result.stdout.splitlines()]
    assert answers == text_model.generate(SOURCES, shortlist=str(path))
    assert answers != text_model.generate(SOURCES)
    # What a continued output depends on is what the file holds, wherever it lies.
    gaps, output, moved = (tmp_path / name for name in ("gaps.txt", "targets.tsv", "moved"))
    gaps.write_text("cab\n\nfee\n")
    continued = ["generate", run_dir, "--file", gaps, "--output", output, "--resume"]
    assert invoke(*continued, "--shortlist", path).exit_code == 1
    path.rename(moved)
    assert invoke(*continued, "--shortlist", moved).exit_code == 1
    assert invoke("shortlist", run_dir, train, "-o", path, "--best", 2).exit_code == 0
    refused = invoke(*continued, "--shortlist", path)
    assert refused.exit_code == 2 and "--shortlist was" in refused.stderr
    refused = invoke("generate", run_dir, "cab", "--shortlist", words)
    assert refused.exit_code == 2 and "cannot be read as a shortlist" in refused.output
    assert invoke("shortlist", run_dir, train, "-o", train).exit_code == 2
