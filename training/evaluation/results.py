"""A table of results, made from the JSON files of runs."""

from collections.abc import Sequence
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.files import disk_errors
from keras_seq2seq.wording import counted

from ..durations import format_seconds
from ..run_directory import RunDirectory
from .evaluation import SCORE_NAMES
from .files import check_of_model, evaluated_name


def results_markdown(runs: Sequence[RunDirectory]) -> str:
    """One row a run, from its `config.json`, `metrics.json` and `evaluation.json`.

    Runs of one task have a column for each kind of error; runs whose tokens and sequences
    are called differently share the column `errors`.

    Raises:
        InputError: If a run is not finished or was not evaluated.
    """
    evaluations = [_evaluation(run) for run in runs]
    names = {(one["token_name"], one["sequence_name"]) for one in evaluations}
    rows = []
    for run, evaluation in zip(runs, evaluations, strict=True):
        errors = _errors(evaluation)
        if len(names) > 1:
            errors = {"errors": ", ".join(f"{value} {name}" for name, value in errors.items())}
        rows.append(_model(run) | _test(evaluation) | errors | _training(run))
    # What no run has is left out.
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[row.get(name, "") for name in columns] for row in rows]
    table = "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)
    machines = dict.fromkeys(_machine(run) for run in runs if not run.is_imported)
    measured = f"\nMeasured on {'; '.join(machines)}.\n" if machines else ""
    return f"{table}\n{measured}"


def _evaluation(run: RunDirectory) -> dict[str, Any]:
    for file, command in ((run.metrics_file, "train"), (run.evaluation_file, "evaluate")):
        with disk_errors(run.path, "read"):
            if file.exists():
                continue
        raise InputError(
            f"{run.path} has no {file.name}. Run `keras-seq2seq {command}` on it first."
        )
    check_of_model(run)
    return run.evaluation(
        "token_error_rate",
        "sequence_error_rate",
        "sequences",
        "search",
        "token_name",
        "sequence_name",
        scores=SCORE_NAMES,
    )


def _model(run: RunDirectory) -> dict[str, str]:
    metrics = run.metrics("parameters")
    row = {
        "run": run.path.resolve().name,
        "model": run.settings.model.architecture,
        "parameters": f"{metrics['parameters'] / 1e6:.2f} M",
    }
    if not run.is_imported:
        row["training pairs"] = f"{run.metrics('training_pairs')['training_pairs']:,}"
    return row


def _test(evaluation: dict[str, Any]) -> dict[str, str]:
    sequences = counted(evaluation["sequences"], evaluation["sequence_name"])
    # An older version did not record what was evaluated.
    file = evaluation.get("evaluated") and evaluated_name(evaluation["evaluated"])
    shown = {"test": sequences} | ({"of": file} if file else {})
    return shown | {"search": evaluation["search"]}


def _errors(evaluation: dict[str, Any]) -> dict[str, str]:
    rates = {}
    for kind in ("token", "sequence"):
        rate = 100 * evaluation[f"{kind}_error_rate"]
        rates[f"{evaluation[f'{kind}_name']} errors"] = f"{rate:.2f} %"
    return rates | {
        name.replace("_", " "): f"{evaluation[name]:.2f}"
        for name in SCORE_NAMES
        if name in evaluation
    }


def _training(run: RunDirectory) -> dict[str, str]:
    if run.is_imported:
        return {"training": "imported"}
    metrics = run.metrics("seconds", "resumed_from_epoch")
    time, first = format_seconds(metrics["seconds"]), metrics["resumed_from_epoch"]
    return {
        "seed": str(run.settings.run.seed),
        # The seconds are those since the last start.
        "training": time + (f" (from epoch {first + 1})" if first else ""),
    }


def _machine(run: RunDirectory) -> str:
    machine: dict[str, Any] = run.metrics("machine")["machine"]
    parts = [
        machine["processor"],
        counted(machine["cores"], "core"),
        machine.get("accelerator", ""),
        f"TensorFlow {machine['tensorflow']}",
        f"Keras {machine['keras']}",
        f"Python {machine['python']}",
    ]
    return ", ".join(filter(None, parts))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
