"""A finished run as one HTML file to look at: scores, curves, errors, examples."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import disk_errors, write_text
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.wording import counted

from ..durations import format_seconds
from ..evaluation import SCORE_NAMES, evaluate, evaluated_name
from ..evaluation.files import evaluated_line, evaluated_part, is_of_model
from ..run_directory import RunDirectory
from ..run_records import METRICS
from . import charts
from .errors import NOTHING, calibration, confusions, counts, unknown_groups
from .examples import examples
from .markup import beside, facts, page, section, table, tiles

# Decoded for a report where nothing was evaluated yet.
MOST_SOURCES = 1000
EXAMPLES = 6
CONFUSIONS = 20
UNKNOWN_SHOWN = 40


def write_report(run: RunDirectory) -> Path:
    """Writes `report.html` into a finished run; it needs no other file.

    Shows the last evaluation of the run. Where there is none of its model, up to 1,000 test
    sources, or validation sources, are decoded greedily.

    Args:
        run: A run whose training is finished.

    Returns:
        The file.

    Raises:
        InputError: If the run is not finished, one of its files cannot be read, or the report
            cannot be written.
    """
    with disk_errors(run.path, "read"):
        is_finished = run.metrics_file.exists()
    if not is_finished:
        what = run.held_by or "Give its `train` command again"
        raise InputError(
            f"{run.path} is not finished: no {run.metrics_file.name}. {what[0].upper()}"
            f"{what[1:]}."
        )
    if run.is_imported:
        raise InputError(
            f"{run.path} was imported: there is no training to report. `keras-seq2seq results` "
            "and `compare` show what `evaluate` found."
        )
    metrics, config = run.metrics(*METRICS), run.settings
    settings = config.values
    history = run.read_history("loss", "val_loss")
    if not 1 <= metrics["best_epoch"] <= len(history):
        raise InputError(
            f"{run.history_file} tells of {counted(len(history), 'epoch')}; the model is that "
            f"of epoch {metrics['best_epoch']}. Copy the file from where the run was."
        )
    run.check_writable()
    model = run.load_model()
    rows, evaluation = _outputs(run, model, settings)
    counted_rows = counts(rows)
    content = page(
        run.path.resolve().name,
        _lead(settings, metrics),
        [
            tiles(_tiles(settings, metrics, rows, counted_rows, evaluation)),
            beside(
                section("Training", charts.curves(history, metrics, settings)),
                section("By length of the source", charts.lengths(model, rows, counted_rows)),
            ),
            *_examples(model, rows, counted_rows),
            beside(_confusions(rows), _sureness(rows)),
            _unknown(model, rows),
            beside(
                section(
                    "Settings",
                    facts(
                        "those that differ from the defaults",
                        config.changed or {"all": "as the defaults"},
                    ),
                ),
                section("Machine and data", facts("of the training", _machine(run, metrics))),
            ),
        ],
    )
    write_text(run.report_file, content)
    return run.report_file


def _outputs(
    run: RunDirectory, model: Any, settings: dict[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What an evaluation generated, and what it says of itself."""
    if (outputs := run.outputs()) and is_of_model(run):
        return outputs, run.evaluation("search", scores=SCORE_NAMES)
    pairs = run.test_pairs()
    kept = set(list(pairs.references())[:MOST_SOURCES])
    rows = [row for row in zip(pairs.sources, pairs.targets, strict=True) if row[0] in kept]
    chosen = Pairs([source for source, _ in rows], [target for _, target in rows])
    references = settings["references"]
    greedy = GenerationSettings()
    found = evaluate(model, chosen, greedy, references=references)
    return found.outputs, {
        "search": greedy.description,
        "evaluated": evaluated_part(run, None),
        "milliseconds_each": 1000 * found.seconds / len(found.texts),
    }


def _lead(settings: dict[str, Any], metrics: dict[str, Any]) -> str:
    return (
        f"{settings['architecture']}, {metrics['parameters']:,} parameters, trained on "
        f"{counted(metrics['training_pairs'], 'pair')} for "
        f"{_length(metrics)}."
    )


def _length(metrics: dict[str, Any]) -> str:
    if "best_step" in metrics:
        steps, best = metrics["steps"], metrics["best_step"]
        return f"{counted(steps, 'step')}; the model is that of step {best:,}"
    epochs = counted(metrics["epochs"], "epoch")
    return f"{epochs}; the model is that of epoch {metrics['best_epoch']}"


def _tiles(
    settings: dict[str, Any],
    metrics: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    counted_rows: np.ndarray,
    evaluation: dict[str, Any],
) -> list[tuple[str, str]]:
    edits, tokens, wrong = counted_rows.sum(0)
    found = [
        (f"{100 * edits / max(1, tokens):.2f} %", f"{settings['token_name']} errors"),
        (f"{100 * wrong / len(rows):.2f} %", f"{settings['sequence_name']} errors"),
    ]
    found += [
        (f"{evaluation[name]:.2f}", name.replace("_", " "))
        for name in SCORE_NAMES
        if name in evaluation
    ]
    number, noun = counted(len(rows), settings["sequence_name"]).split(" ", 1)
    found.append((number, f"{noun} {_of_what(evaluation)}, {evaluation['search']}"))
    if "milliseconds_each" in evaluation:
        found.append((f"{evaluation['milliseconds_each']:.1f} ms", "decoding a source"))
    if "tokens_per_second" in evaluation:
        found.append((f"{evaluation['tokens_per_second']:,.0f}", "target tokens a second"))
    return [
        *found,
        (format_seconds(metrics["seconds"]), "training in the last session"),
        (f"{metrics['pairs_per_second']:,.0f}", "training pairs a second"),
    ]


def _of_what(evaluation: dict[str, Any]) -> str:
    if "evaluated" not in evaluation:  # Of an older version, which did not say.
        return "of a file that was not recorded"
    evaluated = evaluation["evaluated"]
    if evaluated["part"] in ("test", "validation"):
        return f"of the {evaluated['part']} part"
    return f"of {evaluated_name(evaluated)}"


def _examples(model: Any, rows: list[dict[str, Any]], counted_rows: np.ndarray) -> list[str]:
    # Worst first; of equals the longer, whose errors tell more.
    edits, tokens, wrong = counted_rows.T
    order = np.lexsort((-tokens, -edits / np.maximum(1, tokens)))
    worst = [rows[i] for i in order if wrong[i]][:EXAMPLES]
    middle = max(0, (len(order) - EXAMPLES) // 2)
    typical = [rows[i] for i in order[middle : middle + EXAMPLES]]
    return [
        section(
            "Worst",
            examples(model, worst) if worst else "<p>None: every output is right.</p>",
            "Most wrong tokens for their length. What is underlined is wrong." * bool(worst),
        ),
        section(
            "Typical",
            examples(model, typical),
            "From the middle of all sources, ordered by their errors.",
        ),
    ]


def _confusions(rows: Sequence[dict[str, Any]]) -> str:
    wrong, expected = confusions(rows)
    if not wrong:
        return section("Confused tokens", "<p>None: every output is right.</p>")
    lines = [
        (
            right or "(nothing)",
            said or "(nothing)",
            f"{times:,}",
            "" if right == NOTHING else f"{100 * times / expected[right]:.1f} %",
        )
        for (right, said), times in wrong.most_common(CONFUSIONS)
    ]
    caption = f"{min(len(wrong), CONFUSIONS)} of {counted(len(wrong), 'confusion')}"
    head = ("right", "generated", "times", "of the right token")
    return section("Confused tokens", table(caption, head, lines))


def _sureness(rows: Sequence[dict[str, Any]]) -> str:
    found = calibration(rows)
    if found is None:
        return section(
            "Sure and right", "<p>The last evaluation recorded no probabilities.</p>"
        )
    note = (
        "Outputs in groups of equal size, by the probability that the model gives them; mean "
        f"distance from being right as often: {100 * found.error:.1f} %."
    )
    return section("Sure and right", charts.sureness(found), note)


def _unknown(model: Any, rows: Sequence[dict[str, Any]]) -> str:
    if model.preprocessor.kind != "text":
        return ""
    unknown = model.preprocessor.count_unknown([row["source"] for row in rows])
    said = "<p>None: the vocabulary has every token of these sources.</p>"
    if unknown:
        shown = " ".join(
            f"<code>{html.escape(token)}</code> {count}"
            for token, count in list(unknown.items())[:UNKNOWN_SHOWN]
        )
        total = counted(sum(unknown.values()), "token")
        said = f"<p>{total}, {len(unknown):,} different: {shown}</p>"
    lines = [
        (
            group.name,
            f"{group.sources:,}",
            f"{100 * group.token_errors:.2f} %",
            f"{100 * group.wrong:.2f} %",
        )
        for group in unknown_groups(model, rows)
    ]
    head = ("", "sources", "wrong tokens", "wrong outputs")
    return section("Unknown tokens", said + table("errors by unknown tokens", head, lines))


def _machine(run: RunDirectory, metrics: dict[str, Any]) -> dict[str, Any]:
    shown = {
        **metrics["machine"],
        "training data": f"SHA-256 {run.config['data'][:16]}…",
        "resumed after epoch": metrics["resumed_from_epoch"] or "never",
    }
    if is_of_model(run):
        evaluation = run.evaluation()
        if "evaluated" in evaluation:
            shown["evaluated on"] = evaluated_line(evaluation["evaluated"])
        if "signature" in evaluation:
            shown["metric"] = evaluation["signature"]
    return shown
