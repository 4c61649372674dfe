"""The report of a run: one file that needs no other, with what the files of the run say."""

import re

import numpy as np
import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError
from training.evaluation import evaluate_run
from training.evaluation.comparison import counts_of
from training.report import write_report
from training.run.machine import describe_machine
from training.run_directory import RunDirectory
from training.settings import TrainingConfig


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
    assert "validation sequences, greedy" in page
    assert page.count('<div class="example">') == 12
    # Nothing of the data acts as markup.
    assert "<b> AA" not in page and "<i>" not in page.replace("<i>nothing</i>", "")
    assert "<th>token name</th><td>phoneme</td>" in page
    for character in ("&lt;", "&gt;"):  # Those of "<i>", which the vocabulary lacks.
        assert f"<code>{character}</code> 1" in page


def test_it_shows_the_last_evaluation(run):
    result = evaluate_run(run, Pairs(["cab", "fee"], ["CC AA BB", "FF EE EE"]))
    try:
        page = write_report(run).read_text("utf-8")
        assert f"<b>{100 * result['token_error_rate']:.2f} %</b><span>phoneme errors" in page
        assert "<b>2</b>" in page
        assert page.count("<small>source</small>cab") == 2
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
    assert 'alt="attention"' not in page and page.count('<div class="example">') == 12


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
