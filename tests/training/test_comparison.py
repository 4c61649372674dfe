"""Paired bootstrap of two runs, and the table of results."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from keras_seq2seq.cli import main
from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError
from keras_seq2seq.metrics import error_rates, text_scores
from training.evaluation.comparison import compare_runs
from training.evaluation.files import evaluated_part
from training.evaluation.results import read_published, results_markdown
from training.report import comparison_page, write_comparison
from training.run_directory import RunDirectory
from training.settings import TrainingConfig


def evaluated(path, outputs, metric="none"):
    """A run whose evaluation generated these outputs, of sources with one target each."""
    path.mkdir()
    run = RunDirectory(path)
    rows = [
        {
            "source": str(number),
            "targets": [target],
            "output": output,
            "target_tokens": [target.split()],
            "output_tokens": output.split(),
        }
        for number, (target, output) in enumerate(outputs)
    ]
    run.write_outputs(rows)
    rates = error_rates(
        [row["output_tokens"] for row in rows], [row["target_tokens"] for row in rows]
    )
    run.write_json(
        run.evaluation_file,
        {
            **rates.to_dict(),
            "metric": metric,
            "search": "beam 4",
            "token_name": "phoneme",
            "sequence_name": "word",
        },
    )
    return run


def noisy(share, count=300, seed=0):
    """Targets and outputs with so many wrong tokens."""
    rng = np.random.default_rng(seed)
    pairs = []
    for number in range(count):
        target = [f"t{number % 7}", f"u{number % 11}", "v", "w", "x"]
        output = [token if rng.random() > share else "no" for token in target]
        pairs.append((" ".join(target), " ".join(output)))
    return pairs


def test_a_clear_difference_is_significant_and_its_interval_holds_it(tmp_path):
    first = evaluated(tmp_path / "a", noisy(0.3))
    second = evaluated(tmp_path / "b", noisy(0.1, seed=1))
    token, sequence = compare_runs(first, second)
    for row, name in ((token, "token_error_rate"), (sequence, "sequence_error_rate")):
        assert row.metric == name
        assert row.first == pytest.approx(
            json.loads(first.evaluation_file.read_text("utf-8"))[name]
        )
        assert row.second == pytest.approx(
            json.loads(second.evaluation_file.read_text("utf-8"))[name]
        )
        assert row.difference == pytest.approx(row.second - row.first)
        assert row.low < row.difference < row.high < 0
        assert row.p_value == 0


def test_the_other_order_gives_the_other_sign(tmp_path):
    first = evaluated(tmp_path / "a", noisy(0.3))
    second = evaluated(tmp_path / "b", noisy(0.25, seed=1))
    there, back = compare_runs(first, second), compare_runs(second, first)
    for one, other in zip(there, back, strict=True):
        assert one.difference == -other.difference
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
        assert one.p_value == other.p_value > 0


def test_a_run_does_not_differ_from_itself(tmp_path):
    run = evaluated(tmp_path / "a", noisy(0.3))
    for row in compare_runs(run, run):
        assert (row.difference, row.low, row.high, row.p_value) == (0, 0, 0, 1)


def test_chance_is_called_chance_at_the_rate_that_p_says(tmp_path):
    """Runs of the same quality: p is below 0.1 about one time in ten."""
    runs = [evaluated(tmp_path / str(i), noisy(0.2, 60, seed=i)) for i in range(40)]
    values = [
        compare_runs(first, second, samples=200)[0].p_value
        for first, second in zip(runs[::2], runs[1::2], strict=True)
    ]
    assert np.mean(np.array(values) < 0.1) <= 0.35
    assert np.mean(values) > 0.25


@pytest.mark.parametrize("metric", ["bleu", "bleu_lowercase", "rouge", "wer"])
def test_scores_of_texts_are_those_of_the_metric(tmp_path, metric):
    first = evaluated(tmp_path / "a", noisy(0.3), metric)
    second = evaluated(tmp_path / "b", noisy(0.1, seed=1), metric)
    rows = {row.metric: row for row in compare_runs(first, second, samples=100)}
    for run, name in ((first, "first"), (second, "second")):
        outputs = run.outputs()
        expected = text_scores(
            metric,
            [row["output"] for row in outputs],
            [row["targets"] for row in outputs],
        )
        for key, value in expected.values.items():
            assert getattr(rows[key], name) == pytest.approx(value, abs=1e-6)
            assert (rows[key].difference < 0) == (metric == "wer") and rows[key].p_value == 0


def test_bad_input_is_told(tmp_path):
    run = evaluated(tmp_path / "a", noisy(0.3))
    other = evaluated(tmp_path / "b", noisy(0.3, count=20))
    with pytest.raises(InputError, match=r"different pairs: .*on 300 sources .*on 20 sources"):
        compare_runs(run, other)
    with pytest.raises(InputError, match="no saved outputs. Run `keras-seq2seq evaluate"):
        compare_runs(run, RunDirectory(tmp_path / "none"))
    for settings, message in (
        ({"samples": 0}, "--samples must be at least 1. Received: 0"),
        ({"samples": 10**12}, "--samples must be at most 1000000. Received: 1000000000000"),
        ({"seed": -1}, "--seed must be at least 0. Received: -1"),
        ({"seed": 10**30}, "--seed must be at most"),
    ):
        with pytest.raises(InputError, match=message):
            compare_runs(run, run, **settings)


def test_the_command_prints_a_table_and_writes_json(tmp_path):
    evaluated(tmp_path / "a", noisy(0.3))
    evaluated(tmp_path / "b", noisy(0.1, seed=1))
    arguments = ["compare", tmp_path / "a", tmp_path / "b", "--json", tmp_path / "c.json"]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    assert "0.000" in result.output
    rows = json.loads((tmp_path / "c.json").read_text())
    assert [row["metric"] for row in rows] == ["token_error_rate", "sequence_error_rate"]


@pytest.fixture
def finished(tmp_path):
    run = evaluated(tmp_path / "demo", noisy(0.3))
    settings = TrainingConfig(seed=7).to_dict()
    run.write_json(run.config_file, {"settings": settings, "data": "0" * 64})
    metrics = {
        "parameters": 1_001_515,
        "training_pairs": 130_603,
        "seconds": 362.0,
        "resumed_from_epoch": 2,
        "machine": {
            "processor": "A|B",
            "cores": 2,
            "tensorflow": "2.21.0",
            "keras": "3.15.1",
            "python": "3.11.7",
        },
    }
    run.write_json(run.metrics_file, metrics)
    return run


def test_results_are_those_of_the_files(finished):
    evaluation = json.loads(finished.evaluation_file.read_text("utf-8"))
    table = results_markdown([finished, finished]).splitlines()
    header, line, first, second, _, machine = table
    assert first == second and line.count("---") == header.count("|") - 1
    cells = dict(
        zip(
            [cell.strip() for cell in header.split("|")],
            [cell.strip() for cell in first.split("|")],
            strict=True,
        )
    )
    assert cells["parameters"] == "1.00 M" and cells["seed"] == "7"
    assert cells["phoneme errors"] == f"{100 * evaluation['token_error_rate']:.2f} %"
    assert cells["word errors"] == f"{100 * evaluation['sequence_error_rate']:.2f} %"
    assert cells["training"] == "6 min 2 s (from epoch 3)"
    assert machine.startswith("Measured on A|B, 2 cores, TensorFlow 2.21.0")


def test_runs_of_different_tasks_share_a_column_of_errors(finished, tmp_path):
    other = RunDirectory(tmp_path / "other")
    other.path.mkdir()
    for file in ("config", "metrics"):
        path = getattr(finished, f"{file}_file")
        other.write_json(getattr(other, f"{file}_file"), json.loads(path.read_text("utf-8")))
    evaluation = json.loads(finished.evaluation_file.read_text("utf-8"))
    evaluation |= {"token_error_rate": 0.125, "sequence_error_rate": 0.5, "wer": 25.0}
    evaluation |= {"token_name": "character", "sequence_name": "utterance"}
    other.write_json(other.evaluation_file, evaluation)
    header, _, _, second, *_ = results_markdown([finished, other]).splitlines()
    assert header.count("errors") == 1
    assert "| 12.50 % character errors, 50.00 % utterance errors, 25.00 wer |" in second


def published(tmp_path, text):
    path = tmp_path / "published.toml"
    path.write_text(text)
    return path


def test_what_was_published_stands_beside_the_figure_of_the_run(finished, tmp_path):
    name = finished.path.name
    file = published(
        tmp_path,
        f'[{name}]\ncommand = "train x"\nmetric = "sequence_error_rate"\nfigure = 12.5\n'
        'source = "A 2020"\n[another_run]\ncommand = "train y"\n',
    )
    result = CliRunner().invoke(main, ["results", str(finished.path), "--published", str(file)])
    header, _, row, *_ = result.output.splitlines()
    names, values = ([cell.strip() for cell in line.split("|")] for line in (header, row))
    cells = dict(zip(names, values, strict=True))
    evaluation = json.loads(finished.evaluation_file.read_text("utf-8"))
    ratio = 100 * evaluation["sequence_error_rate"] / 12.5
    assert cells["published"] == "12.5 % word errors (A 2020)"
    assert cells["ratio"] == f"{ratio:.2f}" and cells["command"] == "`train x`"
    # A figure of 0 has no ratio; a score that the run lacks is an error.
    section = {"metric": "token_error_rate", "figure": 0, "source": "the truth"}
    assert "| ratio |" in results_markdown([finished], {name: section})
    with pytest.raises(InputError, match="was not evaluated by wer, which was published"):
        results_markdown([finished], {name: section | {"metric": "wer"}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run = 1", "run must be a section"),
        ("[run]\nvalue = 1", r"\[run\] has 'value'; it can have command, metric"),
        ('[run]\nfigure = "1"', "figure must be a number. Received: '1'"),
        ("[run]\nfigure = true", "figure must be a number"),
        ("[run]\nfigure = 1", "has no metric and no source"),
        ('[run]\nfigure = 1\nsource = "a"\nmetric = "b"', "metric must be one of sequence"),
    ],
)
def test_a_file_of_published_figures_is_checked(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read_published(published(tmp_path, text))


def test_results_need_an_evaluation(finished):
    finished.evaluation_file.unlink()
    result = CliRunner().invoke(main, ["results", str(finished.path)])
    assert result.exit_code == 2
    assert "has no evaluation.json. Run `keras-seq2seq evaluate` on it" in result.stderr


def test_runs_on_different_files_are_told_with_the_files(tmp_path):
    runs = []
    for name in ("a", "b"):
        run = evaluated(tmp_path / name, [("t u", "t u")])
        file = tmp_path / f"{name}.tsv"
        file.write_text(f"{name}\tt u\n")
        record = json.loads(run.evaluation_file.read_text("utf-8"))
        pairs = Pairs([name], ["t u"])
        record["evaluated"] = evaluated_part(run, pairs, [file])
        run.write_json(run.evaluation_file, record)
        rows = run.outputs()
        rows[0]["source"] = name
        run.write_outputs(rows)
        runs.append(run)
    message = r"a on a.tsv \(1 line, SHA-256 [0-9a-f]{12}\), .*b on b.tsv \(1 line, SHA-256"
    with pytest.raises(InputError, match=message):
        compare_runs(*runs)


def test_bleu_of_short_targets_is_compared_as_it_is_evaluated(tmp_path):
    pairs = [("t u", "t u"), ("v", "v"), ("w x", "w y")]
    run = evaluated(tmp_path / "a", pairs, "bleu")
    found = {one.metric: one for one in compare_runs(run, run, samples=5)}
    expected = text_scores("bleu", [o for _, o in pairs], [[t] for t, _ in pairs])
    assert found["bleu"].first == pytest.approx(expected.values["bleu"]) and found["bleu"].first


def test_the_page_of_two_runs_shows_where_they_differ(tmp_path):
    targets = ["t u", "v w", "x <y>", "same same"]
    first = evaluated(
        tmp_path / "a", list(zip(targets, ["t u", "v no", "x a", targets[3]], strict=True))
    )
    second = evaluated(
        tmp_path / "b", list(zip(targets, ["t no", "v w", "x b", targets[3]], strict=True))
    )
    page = comparison_page(first, second, compare_runs(first, second, samples=5))
    kinds = page.split("<h2>")[1:]
    titles = [kind.split("</h2>")[0] for kind in kinds]
    assert titles == [
        "Metrics",
        "Right in b alone",
        "Right in a alone",
        "Wrong in both, in different ways",
    ]
    assert "v w" in kinds[1] and "t u" in kinds[2] and "&lt;y&gt;" in kinds[3]
    assert "same same" not in page and "<y>" not in page and "<script" not in page
    with pytest.raises(InputError, match="must end in .html"):
        write_comparison(tmp_path / "page.txt", page)
