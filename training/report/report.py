"""A finished run as one HTML file to look at: scores, curves, examples with attention."""

import base64
import html
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError
from keras_seq2seq.pictures import plot_attention
from keras_seq2seq.settings import GenerationSettings

from ..durations import format_seconds
from ..evaluation import SCORE_NAMES, evaluate, plural
from ..evaluation.comparison import counts_of
from ..run_directory import RunDirectory, write_atomically
from ..settings.monitors import SEQUENCE_ERROR_RATE, TOKEN_ERROR_RATE

PAGE = Template((Path(__file__).parent / "report.html").read_text("utf-8"))
# Decoded for a report where nothing was evaluated yet.
MOST_SOURCES = 1000
EXAMPLES = 6
LENGTH_GROUPS = 8
# Attention over more tokens than this is no picture for a page.
LONGEST_DRAWN = 40


def write_report(run: RunDirectory) -> Path:
    """Writes `report.html` into a finished run; it needs no other file.

    Shows the last evaluation of the run. Where there is none, up to 1,000 test sources, or
    validation sources, are decoded greedily.

    Args:
        run: A run whose training is finished.

    Returns:
        The file.

    Raises:
        InputError: If the run is not finished.
    """
    if not run.metrics_file.exists():
        raise InputError(
            f"{run.path} is not finished: no {run.metrics_file.name}. Give its `train` command "
            "again."
        )
    model = run.load_model()
    metrics, config = run.read_json(run.metrics_file), run.settings
    settings = config.values
    outputs, search = _outputs(run, model, settings)
    counts = np.array([counts_of(row) for row in outputs], float).reshape(-1, 3)
    # Worst first; of equals the longer, whose errors tell more.
    order = np.lexsort((-counts[:, 1], -counts[:, 0] / np.maximum(1, counts[:, 1])))
    middle = max(0, (len(order) - EXAMPLES) // 2)
    page = PAGE.substitute(
        title=html.escape(run.path.resolve().name),
        lead=html.escape(_lead(settings, metrics)),
        tiles=_tiles(run, settings, metrics, outputs, counts, search),
        curves=_curves(run.history, metrics, settings),
        lengths=_lengths(model, outputs, counts),
        worst=_examples(model, [outputs[i] for i in order[:EXAMPLES]]),
        typical=_examples(model, [outputs[i] for i in order[middle : middle + EXAMPLES]]),
        unknown=_unknown(model, outputs),
        settings=_rows(config.changed or {"all": "as the defaults"}),
        machine=_rows(
            {
                **metrics["machine"],
                "training data": f"SHA-256 {run.config['data'][:16]}…",
                "resumed after epoch": metrics["resumed_from_epoch"] or "never",
            }
        ),
    )
    write_atomically(run.report_file, lambda path: path.write_text(page, "utf-8"))
    return run.report_file


def _outputs(
    run: RunDirectory, model: Any, settings: dict[str, Any]
) -> tuple[list[dict[str, Any]], str]:
    """What an evaluation generated, and its search."""
    if (outputs := run.outputs()) and run.evaluation_file.exists():
        return outputs, run.read_json(run.evaluation_file)["search"]
    pairs = run.test_pairs()
    kept = set(list(pairs.references())[:MOST_SOURCES])
    rows = [row for row in zip(pairs.sources, pairs.targets, strict=True) if row[0] in kept]
    chosen = Pairs([source for source, _ in rows], [target for _, target in rows])
    references = settings["references"]
    greedy = GenerationSettings()
    return evaluate(model, chosen, greedy, references=references).outputs, greedy.description


def _lead(settings: dict[str, Any], metrics: dict[str, Any]) -> str:
    return (
        f"{settings['architecture']}, {metrics['parameters']:,} parameters, trained on "
        f"{metrics['training_pairs']:,} pairs for {metrics['epochs']} epochs; the model is "
        f"that of epoch {metrics['best_epoch']}."
    )


def _tiles(
    run: RunDirectory,
    settings: dict[str, Any],
    metrics: dict[str, Any],
    outputs: Sequence[dict[str, Any]],
    counts: np.ndarray,
    search: str,
) -> str:
    part = "test" if run.test_file.exists() else "validation"
    tokens = 100 * counts[:, 0].sum() / max(1, counts[:, 1].sum())
    tiles = [
        (f"{tokens:.2f} %", f"{settings['token_name']} errors"),
        (f"{100 * counts[:, 2].mean():.2f} %", f"{settings['sequence_name']} errors"),
    ]
    if run.evaluation_file.exists():
        evaluation = run.read_json(run.evaluation_file)
        tiles += [
            (f"{evaluation[name]:.2f}", name.replace("_", " "))
            for name in SCORE_NAMES
            if name in evaluation
        ]
    tiles += [
        (f"{len(outputs):,}", f"{part} {plural(settings['sequence_name'])}, {search}"),
        (format_seconds(metrics["seconds"]), "training in the last session"),
        (f"{metrics['pairs_per_second']:,.0f}", "pairs a second"),
    ]
    return "".join(
        f'<div class="tile"><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>'
        for value, name in tiles
    )


def _figure(width: float = 6.2, height: float = 3.9) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    return figure, axes


def _curves(
    history: Sequence[dict[str, float]], metrics: dict[str, Any], settings: dict[str, Any]
) -> str:
    figure, axes = _figure()
    epochs = [row["epoch"] for row in history]
    for name, label, color in (
        ("loss", "training loss", "#8aa4bf"),
        ("val_loss", "validation loss", "#1f6fb4"),
    ):
        axes.plot(epochs, [row[name] for row in history], "o-", ms=3, color=color, label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.xaxis.get_major_locator().set_params(integer=True)
    rates = axes.twinx()
    rates.spines["top"].set_visible(False)
    for name, what, color in (
        (TOKEN_ERROR_RATE, settings["token_name"], "#d98324"),
        (SEQUENCE_ERROR_RATE, settings["sequence_name"], "#b3261e"),
    ):
        # A run on another backend than TensorFlow decoded nothing.
        decoded = [row for row in history if name in row]
        if decoded:
            values = [100 * row[name] for row in decoded]
            numbers = [row["epoch"] for row in decoded]
            rates.plot(numbers, values, "s--", ms=3, color=color, label=f"{what} errors")
    rates.set_ylabel("validation errors (%)")
    rates.set_ylim(0)
    axes.axvline(metrics["best_epoch"], color="#5d6b7a", lw=1, ls=":", label="model kept")
    handles = [*axes.get_legend_handles_labels()[0], *rates.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return _svg(figure)


def _lengths(model: Any, outputs: Sequence[dict[str, Any]], counts: np.ndarray) -> str:
    lengths = model.preprocessor.source_lengths([row["source"] for row in outputs])
    right = 100 * (1 - counts[:, 2])
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, LENGTH_GROUPS + 1)).astype(int))
    # Each group is from its edge to below the next one; the last one has its end too.
    groups = np.clip(np.searchsorted(edges, lengths, "right") - 1, 0, max(0, len(edges) - 2))
    figure, axes = _figure()
    names, heights, sizes = [], [], []
    for group in np.unique(groups):
        inside = groups == group
        low, high = lengths[inside].min(), lengths[inside].max()
        names.append(f"{low}" if low == high else f"{low}-{high}")
        heights.append(right[inside].mean())
        sizes.append(int(inside.sum()))
    bars = axes.bar(names, heights, color="#1f6fb4", width=0.7)
    axes.bar_label(bars, [f"{size:,}" for size in sizes], color="#5d6b7a", fontsize=8)
    axes.set_ylim(0, 108)
    axes.set_xlabel(f"source length ({model.preprocessor.unit}); number of sources above")
    axes.set_ylabel("exactly right (%)")
    axes.grid(axis="x", visible=False)
    return _svg(figure)


def _svg(figure: Any) -> str:
    content = io.BytesIO()
    figure.savefig(content, format="svg")
    return "data:image/svg+xml;base64," + base64.b64encode(content.getvalue()).decode()


def _examples(model: Any, rows: Sequence[dict[str, Any]]) -> str:
    pictures = _attention(model, rows)
    return "".join(
        _example(model, row, picture) for row, picture in zip(rows, pictures, strict=True)
    )


def _example(model: Any, row: dict[str, Any], picture: str) -> str:
    output = row["output_tokens"]
    targets = row["target_tokens"]
    nearest = min(targets, key=lambda tokens: Levenshtein.distance(output, tokens))
    separator = html.escape(model.preprocessor.target_tokenizer.separator)

    def marked(tokens: Sequence[str], wrong: set[int]) -> str:
        pieces = [
            f'<span class="wrong">{html.escape(token)}</span>'
            if index in wrong
            else html.escape(token)
            for index, token in enumerate(tokens)
        ]
        return separator.join(pieces) or "<i>nothing</i>"

    steps = [step for step in Levenshtein.opcodes(output, nearest) if step.tag != "equal"]
    wrong = {i for step in steps for i in range(step.src_start, step.src_end)}
    missed = {i for step in steps for i in range(step.dest_start, step.dest_end)}
    others = len(targets) - 1
    return (
        f'<div class="example"><p><small>source</small>{html.escape(row["source"])}</p>'
        f"<p><small>output</small>{marked(output, wrong)}</p>"
        f"<p><small>right</small>{marked(nearest, missed)}"
        f"{f' <small>(or {others} more)</small>' if others else ''}</p>{picture}</div>"
    )


def _attention(model: Any, rows: Sequence[dict[str, Any]]) -> list[str]:
    """A picture of each as an image tag; empty where there is none to draw."""
    preprocessor = model.preprocessor
    if model.alignment_model is None or preprocessor.kind != "text":
        return [""] * len(rows)
    tags = []
    for row in rows:
        source = preprocessor.source_tokenizer.split_text(row["source"])
        target = row["output_tokens"]
        if not 1 <= len(source) <= min(LONGEST_DRAWN, preprocessor.max_source_length):
            tags.append("")
            continue
        if len(target) > min(LONGEST_DRAWN, preprocessor.max_target_length):
            tags.append("")
            continue
        weights = model.align([row["source"]], [row["output"]])[0]
        weights = weights[: len(target) + 1, : len(source) + 1]
        if weights.shape != (len(target) + 1, len(source) + 1):
            tags.append("")  # A pyramid's positions are no tokens.
            continue
        tags.append(_picture(weights, [*source, "end"], [*target, "end"]))
    return tags


def _picture(weights: np.ndarray, source: Sequence[str], target: Sequence[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "attention.png"
        plot_attention(weights, source, target, path)
        content = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="attention" loading="lazy" src="data:image/png;base64,{content}">'


def _unknown(model: Any, outputs: Sequence[dict[str, Any]]) -> str:
    unknown = model.preprocessor.count_unknown([row["source"] for row in outputs])
    if not unknown:
        return "<p>None: the vocabulary has every token of these sources.</p>"
    shown = " ".join(
        f"<code>{html.escape(token)}</code> {count}"
        for token, count in list(unknown.items())[:40]
    )
    return f"<p>{sum(unknown.values()):,} tokens, {len(unknown):,} different: {shown}</p>"


def _rows(values: dict[str, Any]) -> str:
    return "".join(
        f"<tr><th>{html.escape(name.replace('_', ' '))}</th>"
        f"<td>{html.escape(str(value))}</td></tr>"
        for name, value in values.items()
    )
