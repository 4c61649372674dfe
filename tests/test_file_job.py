"""Many files of lines to files of answers: kills, repeats, bad input, counts."""

import gzip
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from keras_seq2seq.cli.engines import Export, open_engine
from keras_seq2seq.cli.file_job import FileJob
from keras_seq2seq.cli.generate_files import generate_files
from keras_seq2seq.errors import InputError
from tests.kills import count_changes, kill_after


class Upper:
    """An engine that answers in capitals, and has no answer to "bad"."""

    settings = SimpleNamespace(alignments=False)

    def answers(self, lines, prefixes=None):
        for line in lines:
            error = "the source is bad." if line == "bad" else ""
            yield SimpleNamespace(texts=[line.upper()], log_probs=[-1.0], error=error)

    def count_unknown(self, lines):
        return {"x": sum("x" in line for line in lines)}

    def tokens(self, answer):
        return len(answer.texts[0])


@pytest.fixture
def job(tmp_path):
    model, lines = tmp_path / "model", tmp_path / "in"
    for folder in (model, lines / "b"):
        folder.mkdir(parents=True)
    (model / "model.keras").write_bytes(b"weights")
    (lines / "1.txt").write_bytes(b"cab\nbad\r\n\nfax\n")
    (lines / "2.txt.gz").write_bytes(gzip.compress(b"one\ntwo"))
    (lines / "b" / "3.txt").write_bytes(b"")
    return FileJob(model, str(lines / "**/*.txt*"), tmp_path / "out")


def answer_all(job):
    job.begin()
    sources = job.sources()
    for name in job.waiting():
        job.answer(Upper(), name, sources[name])
    return job.end(0, 0.0)


def contents(job):
    return {name: (job.out / name).read_bytes() for name in job.sources()}


def test_every_line_has_one_answer_and_is_counted(job):
    result = answer_all(job)
    whole = contents(job)
    assert whole["1.txt.tsv"] == b"cab\tCAB\nbad\t\n\t\nfax\tFAX\n"
    assert gzip.decompress(whole["2.txt.tsv.gz"]) == b"one\tONE\ntwo\tTWO\n"
    assert whole["b/3.txt.tsv"] == b""
    numbers = {name: result[name] for name in ("files", "lines", "tokens", "errors", "unknown")}
    # By hand: CAB, FAX, ONE, TWO and the empty line's no token.
    assert numbers == {"files": 3, "lines": 6, "tokens": 12, "errors": 1, "unknown": 1}
    assert job.counts("1.txt.tsv")["first_errors"] == [[2, "the source is bad."]]
    assert json.loads((job.out / "result.json").read_text())["lines"] == 6


def test_a_job_that_is_killed_anywhere_and_repeated_is_whole(job, tmp_path, monkeypatch):
    other = replace(job, out=tmp_path / "whole")
    total = count_changes(other.out, lambda: answer_all(other))
    assert total > 15
    for changes in range(total):
        now = replace(job, out=tmp_path / f"out{changes}")
        kill_after(now.out, changes, lambda now=now: answer_all(now), monkeypatch)
        assert answer_all(now)["lines"] == 6
        assert contents(now) == contents(other)
        assert {path.name for path in now.out.glob("*")} == {
            path.name for path in other.out.glob("*")
        }


def test_a_file_that_is_there_is_not_made_again(job):
    answer_all(job)
    assert job.waiting() == []
    (job.out / "1.txt.tsv").unlink()
    assert job.waiting() == ["1.txt.tsv"]
    # What another worker made meanwhile stays.
    before = job.counts("b/3.txt.tsv")
    assert job.answer(Upper(), "b/3.txt.tsv", job.out / "missing") == before


def test_the_folder_of_another_job_is_refused(job, tmp_path):
    answer_all(job)
    for other, what in [
        (replace(job, options={"num_beams": 2}), "--beam-size. Give"),
        (replace(job, scores=True), "--scores. Give"),
        (replace(job, engine="xla", as_json=True), "--engine, --json. Give"),
        (
            replace(job, pattern=str(tmp_path / "in" / "*.txt")),
            r"input files \(of 2.txt.tsv.gz and 1 more\)",
        ),
    ]:
        with pytest.raises(InputError, match=f"the answers of another job: other {what}"):
            other.begin()
    listed = replace(job, options={"shortlist": str(tmp_path / "list")}, out=tmp_path / "other")
    (tmp_path / "list").write_bytes(b"one")
    listed.begin()
    (tmp_path / "list").write_bytes(b"two")
    with pytest.raises(InputError, match="other --shortlist. Give"):
        listed.begin()
    (tmp_path / "in" / "1.txt").write_bytes(b"cab\nbad\r\n\nfix\n")
    (tmp_path / "model" / "model.keras").write_bytes(b"other weights")
    with pytest.raises(InputError, match=r"other model, input files \(of 1.txt.tsv\)\. Give"):
        job.begin()
    with pytest.raises(InputError, match="has files of something else"):
        replace(job, out=tmp_path / "in").begin()
    with pytest.raises(InputError, match="No file is named"):
        replace(job, pattern=str(tmp_path / "in" / "*.csv")).begin()


def test_a_file_that_cannot_be_read_costs_the_others_nothing(job, tmp_path):
    packed = tmp_path / "in" / "2.txt.gz"
    whole = packed.read_bytes()
    packed.write_bytes(whole[:-9])
    result = answer_all(job)
    assert result["files"] == 2 and list(result["failed"]) == ["2.txt.tsv.gz"]
    assert "cannot be read" in result["failed"]["2.txt.tsv.gz"]
    assert job.waiting() == ["2.txt.tsv.gz"]
    assert not [path for path in job.out.glob("**/*") if path.name.startswith(".")]


def test_an_export_takes_no_other_engine_and_no_settings(tmp_path):
    export = Export(tmp_path, "litert")
    with pytest.raises(InputError, match="has the engine litert. Received: --engine xla"):
        open_engine(export, "xla", {"config": None})
    with pytest.raises(InputError, match="set when it was made. Leave out: --beam-size;"):
        open_engine(export, None, {"config": None, "num_beams": 4})


def test_the_command_gives_a_shortlist_by_its_whole_path(job, tmp_path, monkeypatch):
    """A worker may run in another folder."""
    made = []

    def begin(self):
        made.append(self.options)
        raise InputError("seen")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(FileJob, "begin", begin)
    monkeypatch.setattr("keras_seq2seq.cli.generate_files.imported_modules", list)
    source, options = SimpleNamespace(path=job.model), {"config": None, "shortlist": "list"}
    with pytest.raises(InputError, match="seen"):
        generate_files.callback(source, None, job.pattern, job.out, (), False, False, **options)
    assert made == [{"shortlist": str(tmp_path / "list")}]
