"""The commands that look at finished runs: `compare`, `results`, `report`."""

import json
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from .options import (
    PATH,
    console,
    load_tensorflow,
    print_written,
    printed_warnings,
)
from .outputs import OUTPUT, Command, write_output
from .runs import run_argument


@click.command(cls=Command)
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@click.option("--samples", default=1000, show_default=True, help="Samples of the sources.")
@click.option("--seed", default=1, show_default=True, help="Seed of the samples.")
@click.option("--json", "json_file", type=OUTPUT, help="Write the table as JSON too.")
@click.option(
    "--report",
    "report_file",
    type=OUTPUT,
    help="Write an .html page too, with the sources where the runs differ.",
)
def compare(
    first: Path,
    second: Path,
    samples: int,
    seed: int,
    json_file: Path | None,
    report_file: Path | None,
) -> None:
    """Compare the last evaluations of the runs FIRST and SECOND, by paired bootstrap.

    Both must have been evaluated on the same pairs. p is the share of samples in which the
    better run is not better, doubled: below 0.05 the difference is hardly chance.

    \b
    Example:
      keras-seq2seq evaluate runs/a test.tsv
      keras-seq2seq evaluate runs/b test.tsv
      keras-seq2seq compare runs/a runs/b --report a_and_b.html
    """
    load_tensorflow()
    from keras_seq2seq.training.evaluation.comparison import compare_runs, comparison_rows
    from keras_seq2seq.training.report import comparison_page, write_comparison
    from keras_seq2seq.training.run_directory import RunDirectory

    runs = RunDirectory(first), RunDirectory(second)
    found = compare_runs(*runs, samples=samples, seed=seed)
    table = Table("", str(first), str(second), "difference", "95 % of samples", "p")
    for row in found:
        is_share = row.metric.endswith("error_rate")
        numbers = [row.first, row.second, row.difference, row.low, row.high]
        shown = [f"{100 * value if is_share else value:.2f}" for value in numbers]
        table.add_row(
            row.metric.replace("_", " ") + (" %" if is_share else ""),
            *shown[:3],
            f"{shown[3]} to {shown[4]}",
            f"{row.p_value:.3f}",
        )
    console.print(table)
    if json_file is not None:
        write_output(json_file, json.dumps(comparison_rows(found), indent=2) + "\n")
    if report_file is not None:
        write_comparison(report_file, comparison_page(*runs, found))
        print_written(report_file)


@click.command(cls=Command)
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option("--output", type=OUTPUT, help="Write it to a file in place of printing it.")
@click.option(
    "--published",
    "published_file",
    type=PATH,
    help="A TOML file with what was published for the tests of runs: adds it, and the ratio.",
)
def results(runs: tuple[Path, ...], output: Path | None, published_file: Path | None) -> None:
    """Print a Markdown table of the last evaluations of RUNS, one row each.

    \b
    Example:
      keras-seq2seq results runs/cmudict runs/demo
      keras-seq2seq results docs/results/* --published docs/published.toml
    """
    load_tensorflow()
    from keras_seq2seq.training.evaluation.results import read_published, results_markdown
    from keras_seq2seq.training.run_directory import RunDirectory

    published = None if published_file is None else read_published(published_file)
    text = results_markdown([RunDirectory(path) for path in runs], published)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_output(output, text)


@click.command()
@run_argument
def report(run: Any) -> None:
    """Write report.html into RUN_DIR again: scores, curves, examples with attention.

    It shows the last `evaluate` of the run; where there was none, up to 1,000 test or
    validation sources, decoded greedily.

    \b
    Example:
      keras-seq2seq report runs/demo
    """
    from keras_seq2seq.training.report import write_report

    with printed_warnings():
        print_written(write_report(run))
