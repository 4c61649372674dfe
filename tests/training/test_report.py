"""The report of a run: one file that needs no other, with what the files of the run say."""

import hashlib
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.data import Pairs, read_pairs
from keras_seq2seq.errors import InputError
from training.evaluation import evaluate_run
from training.evaluation.comparison import counts_of
from training.evaluation.results import results_markdown
from training.report import write_report
from training.report.errors import calibration, confusions
from training.run.machine import describe_machine
from training.run_directory import RunDirectory
from training.settings import TrainingConfig

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture(scope="module")
def run(text_model, pairs, tmp_path_factory):
    """A finished run whose model is the random one."""
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "a & b")
    held_out = Pairs(
        [*pairs.sources[:30], "<i>", "a"], [*pairs.targets[:30], "AA BB", "<b> AA"]
    )
    run.begin(TrainingConfig(token_name="phoneme"), pairs, held_out)
    run.write_pairs(run.validation_file, held_out)
    text_model.save(run.model_file)
    rows = [
        {
            "epoch": epoch,
            "loss": 2 / epoch,
            "val_loss": 2.5 / epoch,
            "val_token_error_rate": 0.5 / epoch,
            "val_sequence_error_rate": 0.9 / epoch,
        }
        for epoch in (1, 2, 3)
    ]
    run.write_history(rows)
    metrics = {
        "best_epoch": 3,
        "epochs": 3,
        "parameters": 1234,
        "training_pairs": 400,
        "seconds": 75.0,
        "pairs_per_second": 321.0,
        "resumed_from_epoch": 0,
        "machine": describe_machine(),
    }
    run.write_json(run.metrics_file, metrics)
    return run


def test_the_page_needs_no_other_file_and_shows_the_run(run, text_model):
    page = write_report(run).read_text("utf-8")
    sources = re.findall(r'src="([^"]*)"', page)
    assert sources and all(source.startswith("data:image/") for source in sources)
    assert "<script" not in page and "<link" not in page and "$" not in page
    assert "<h1>a &amp; b</h1>" in page
    assert "1,234 parameters" in page and "1 min 15 s" in page
    assert "sequences of the validation part, greedy" in page
    assert page.count('<div class="example">') == 12
    # Nothing of the data acts as markup.
    assert "<b> AA" not in page and "<i>" not in page.replace("<i>nothing</i>", "")
    assert '<th scope="row">token name</th><td>phoneme</td>' in page
    for character in ("&lt;", "&gt;"):  # Those of "<i>", which the vocabulary lacks.
        assert f"<code>{character}</code> 1" in page


def test_it_shows_the_last_evaluation(run):
    result = evaluate_run(run, Pairs(["cab", "fee"], ["CC AA BB", "FF EE EE"]))
    try:
        page = write_report(run).read_text("utf-8")
        rate = f"{100 * result['token_error_rate']:.2f} %"
        assert f"<dt>phoneme errors</dt><dd>{rate}</dd>" in page
        assert "<dt>sequences of 2 pairs, greedy</dt><dd>2</dd>" in page
        assert page.count("<small>source</small><bdi>cab</bdi>") == 2
    finally:
        run.outputs_file.unlink()
        run.evaluation_file.unlink()


def test_what_an_evaluation_saves_gives_its_error_rates(run):
    result = evaluate_run(run)
    counts = np.array([counts_of(row) for row in run.outputs()])
    run.outputs_file.unlink()
    run.evaluation_file.unlink()
    edits, tokens, wrong = counts.sum(0)
    assert edits / tokens == pytest.approx(result["token_error_rate"])
    assert wrong / len(counts) == pytest.approx(result["sequence_error_rate"])


def test_a_model_without_attention_has_no_picture_of_it(run, monkeypatch):
    monkeypatch.setattr("keras_seq2seq.models.Seq2Seq.alignment_model", None)
    page = write_report(run).read_text("utf-8")
    assert "attention over the source" not in page and page.count('<div class="example">') == 12


@pytest.mark.parametrize("kept", [0, 2])
def test_a_history_that_was_cut_is_one_line(run, kept):
    whole = run.history
    run.write_history(whole[:kept])
    try:
        with pytest.raises(InputError, match=rf"tells of {kept} epochs; .* of epoch 3. Copy"):
            write_report(run)
    finally:
        run.write_history(whole)


def test_a_run_that_is_not_finished_is_refused(run, tmp_path):
    unfinished = RunDirectory(tmp_path)
    with pytest.raises(InputError, match="is not finished: no metrics.json"):
        write_report(unfinished)
    with unfinished.held(), pytest.raises(InputError, match=r"Process \d+ on .* trains there"):
        write_report(unfinished)


def test_the_command_writes_it_again(run):
    run.report_file.unlink(missing_ok=True)
    result = CliRunner().invoke(main, ["report", str(run.path)])
    assert result.exit_code == 0, result.output
    assert run.report_file.exists()


@pytest.fixture
def evaluated(run):
    """Evaluates the run on a file, and forgets it."""

    def evaluate(path, lines, **options):
        path.write_text("".join(f"{line}\n" for line in lines))
        pairs = read_pairs(path)
        return evaluate_run(run, pairs, files=[path], **options)

    yield evaluate
    run.outputs_file.unlink(missing_ok=True)
    run.evaluation_file.unlink(missing_ok=True)


def test_the_file_is_named_with_its_fingerprint(run, evaluated, tmp_path):
    file = tmp_path / "mine.tsv"
    found = evaluated(file, ["cab\tCC", "fee\tFF"])["evaluated"]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert found["part"] == "files"
    assert found["files"] == [{"name": "mine.tsv", "sha256": digest, "lines": 2}]
    page = write_report(run).read_text("utf-8")
    assert "sequences of mine.tsv, greedy" in page and "validation part" not in page
    assert f"mine.tsv (2 lines, SHA-256 {digest[:12]})" in page
    assert "mine.tsv" in results_markdown([run])


def test_an_evaluation_of_an_older_version_is_still_read(run, evaluated, tmp_path):
    evaluated(tmp_path / "mine.tsv", ["cab\tCC"])
    record = json.loads(run.evaluation_file.read_text("utf-8"))
    for name in ("evaluated", "tokens_per_second", "bleu_tokenizer"):
        del record[name]
    run.write_json(run.evaluation_file, record)
    run.write_outputs([{**row, "log_prob": None} for row in run.outputs()])
    page = write_report(run).read_text("utf-8")
    assert "of a file that was not recorded" in page and "recorded no probabilities" in page
    assert "1 sequence" in results_markdown([run])


def test_right_outputs_are_not_among_the_worst(run, evaluated, tmp_path, text_model):
    said = text_model.generate("cab")
    evaluated(tmp_path / "right.tsv", [f"cab\t{said}"])
    page = write_report(run).read_text("utf-8")
    assert page.count("None: every output is right.") == 2
    assert page.count('<div class="example">') == 1  # The typical one.
    assert "<dt>sequence of right.tsv, greedy</dt><dd>1</dd>" in page


def test_nothing_that_can_be_evaluated_is_one_line(run, evaluated, tmp_path):
    with pytest.raises(InputError, match="None of 2 sources can be evaluated. The first "):
        evaluated(tmp_path / "long.tsv", ["a" * 30 + "\tCC", "b" * 31 + "\tCC"])
    with pytest.raises(InputError, match="holds no pair|0 pairs"):
        evaluate_run(run, Pairs([], []))


def test_a_metric_that_says_little_is_warned_of(run, evaluated, tmp_path):
    with pytest.warns(UserWarning, match="tokens on average by the tokenizer 13a"):
        evaluated(tmp_path / "short.tsv", ["cab\tCC"], metric="bleu")


def test_a_tokenizer_of_bleu_belongs_to_bleu(run):
    with pytest.raises(InputError, match="--bleu-tokenizer applies to --metric bleu"):
        evaluate_run(run, Pairs(["cab"], ["CC"]), metric="wer", bleu_tokenizer="char")


def test_confusions_are_counted_by_hand():
    rows = [
        {"output_tokens": list("abx"), "target_tokens": [list("abc")]},
        {"output_tokens": list("ab"), "target_tokens": [list("zzzz"), list("abc")]},
        {"output_tokens": list("abcd"), "target_tokens": [list("abc")]},
    ]
    wrong, expected = confusions(rows)
    assert wrong == {("c", "x"): 1, ("c", ""): 1, ("", "d"): 1}
    assert expected == {"a": 3, "b": 3, "c": 3}


def test_a_model_that_is_right_as_often_as_it_is_sure_is_calibrated():
    rows = [
        {
            "output_tokens": ["a"],
            "target_tokens": [["a" if right else "b"]],
            "log_prob": np.log(sure),
        }
        for sure, rights in ((0.25, 1), (0.75, 3))
        for right in [True] * rights + [False] * (4 - rights)
    ]
    found = calibration(rows, groups=2)
    assert found.sizes == [4, 4] and found.right == [0.25, 0.75]
    assert found.error == pytest.approx(0)
    assert calibration([{**row, "log_prob": None} for row in rows]) is None
