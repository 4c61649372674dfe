"""A table of results, made from the JSON files of runs."""

from collections.abc import Sequence
from typing import Any

from keras_seq2seq.errors import InputError

from .evaluation import SCORE_NAMES
from .progress import format_seconds
from .run_directory import RunDirectory


def results_markdown(runs: Sequence[RunDirectory]) -> str:
    """One row a run, from its `config.json`, `metrics.json` and `evaluation.json`.

    Raises:
        InputError: If a run is not finished or was not evaluated.
    """
    rows = [_row(run) for run in runs]
    # What no run has is left out.
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[row.get(name, "") for name in columns] for row in rows]
    table = "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)
    machines = dict.fromkeys(_machine(run) for run in runs)
    return f"{table}\n\nMeasured on {'; '.join(machines)}.\n"


def _row(run: RunDirectory) -> dict[str, str]:
    settings = run.config["settings"]
    for file, command in ((run.metrics_file, "train"), (run.evaluation_file, "evaluate")):
        if not file.exists():
            raise InputError(
                f"{run.path} has no {file.name}. Run `keras-seq2seq {command}` on it first."
            )
    metrics = run.read_json(run.metrics_file)
    evaluation = run.read_json(run.evaluation_file)
    token, sequence = evaluation["token_name"], evaluation["sequence_name"]
    scores = {
        name.replace("_", " "): f"{evaluation[name]:.2f}"
        for name in SCORE_NAMES
        if name in evaluation
    }
    return {
        "run": run.path.resolve().name,
        "model": settings["architecture"],
        "parameters": f"{metrics['parameters'] / 1e6:.2f} M",
        "training pairs": f"{metrics['training_pairs']:,}",
        "test": f"{evaluation['sequences']:,} {sequence}s",
        "search": evaluation["search"],
        f"{token} errors": f"{100 * evaluation['token_error_rate']:.2f} %",
        f"{sequence} errors": f"{100 * evaluation['sequence_error_rate']:.2f} %",
        **scores,
        "seed": str(settings["seed"]),
        "training": format_seconds(metrics["seconds"])
        + (" (resumed)" if metrics["resumed_from_epoch"] else ""),
    }


def _machine(run: RunDirectory) -> str:
    machine: dict[str, Any] = run.read_json(run.metrics_file)["machine"]
    return (
        f"{machine['processor']}, {machine['cores']} cores, TensorFlow "
        f"{machine['tensorflow']}, Keras {machine['keras']}, Python {machine['python']}"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
