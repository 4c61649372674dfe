"""Two runs beside each other as one HTML file, with the sources where they differ."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.files import write_text
from keras_seq2seq.wording import counted

from ..evaluation.comparison import Comparison, read_both
from ..evaluation.files import evaluated_line
from ..run_directory import RunDirectory
from .errors import counts, nearest_target
from .examples import marked
from .markup import page, section, table, tiles

# Sources of each kind that are shown.
MOST_SHOWN = 50


def comparison_page(
    first: RunDirectory, second: RunDirectory, comparisons: Sequence[Comparison]
) -> str:
    """The page: metrics with their intervals, and what only one of the runs gets right.

    Args:
        first: A run that was evaluated.
        second: Another, on the same pairs.
        comparisons: Of `compare_runs`.

    Raises:
        InputError: As `compare_runs`.
    """
    outputs, evaluations = read_both(first, second)
    names = _names(first.path, second.path)
    right = [counts(rows)[:, 2] == 0 for rows in outputs]
    kinds: dict[str, list[int]] = {
        f"Right in {names[1]} alone": [],
        f"Right in {names[0]} alone": [],
        "Wrong in both, in different ways": [],
    }
    places = list(kinds.values())
    same = 0
    for index, (one, other) in enumerate(zip(*outputs, strict=True)):
        if one["output_tokens"] == other["output_tokens"]:
            same += 1
        elif right[0][index] != right[1][index]:
            places[0 if right[1][index] else 1].append(index)
        elif not right[0][index]:
            places[2].append(index)
        else:
            same += 1  # Two right answers.
    evaluated = evaluations[0].get("evaluated")
    lead = f"{counted(len(outputs[0]), 'source')}" + (
        f" of {evaluated_line(evaluated)}" if evaluated else ""
    )
    searches = [evaluation["search"] for evaluation in evaluations]
    lead += f"; {names[0]} {searches[0]}, {names[1]} {searches[1]}."
    found = [(f"{same:,}", "say the same, or both right")]
    found += [(f"{len(rows):,}", name[0].lower() + name[1:]) for name, rows in kinds.items()]
    return page(
        f"{names[0]} and {names[1]}",
        lead,
        [
            tiles(found),
            section("Metrics", _metrics(names, comparisons)),
            *(_differing(name, rows, outputs, names) for name, rows in kinds.items()),
        ],
    )


def write_comparison(path: Path, content: str) -> None:
    """Writes the page.

    Raises:
        InputError: If `path` is no `.html` file or cannot be written.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path}: a report must end in .html.")
    write_text(path, content)


def _names(first: Path, second: Path) -> tuple[str, str]:
    names = first.resolve().name, second.resolve().name
    return names if names[0] != names[1] else (str(first), str(second))


def _metrics(names: tuple[str, str], comparisons: Sequence[Comparison]) -> str:
    rows = []
    for one in comparisons:
        is_share = one.metric.endswith("error_rate")
        numbers = [one.first, one.second, one.difference, one.low, one.high]
        shown = [f"{100 * value if is_share else value:.2f}" for value in numbers]
        unit = " %" if is_share else ""
        interval = f"{shown[3]} to {shown[4]}"
        name = one.metric.replace("_", " ") + unit
        rows.append((name, *shown[:3], interval, f"{one.p_value:.3f}"))
    head = ("", *names, "difference", "95 % of samples", "p")
    return table("paired bootstrap over the sources", head, rows)


def _differing(
    name: str, rows: Sequence[int], outputs: list[list[dict[str, Any]]], names: tuple[str, str]
) -> str:
    if not rows:
        return section(name, "<p>None.</p>")
    cards = []
    for index in rows[:MOST_SHOWN]:
        lines = [f"<p><small>source</small> <bdi>{_source(outputs[0][index])}</bdi></p>"]
        for run_name, of_run in zip(names, outputs, strict=True):
            row = of_run[index]
            output, _ = marked(row["output_tokens"], nearest_target(row), _separator(row))
            lines.append(f"<p><small>{html.escape(run_name)}</small> <bdi>{output}</bdi></p>")
        targets = " / ".join(map(html.escape, outputs[0][index]["targets"]))
        lines.append(f"<p><small>right</small> <bdi>{targets}</bdi></p>")
        cards.append(f'<div class="example">{"".join(lines)}</div>')
    shown = f"{len(cards):,} of {counted(len(rows), 'source')}."
    return section(name, f'<div class="examples">{"".join(cards)}</div>', shown)


def _source(row: dict[str, Any]) -> str:
    return html.escape(row["source"])


def _separator(row: dict[str, Any]) -> str:
    """What stands between the tokens of a text: the page reads no model."""
    return "" if "".join(row["output_tokens"]) == row["output"] else " "
