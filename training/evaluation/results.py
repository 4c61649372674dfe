"""A table of results, made from the JSON files of runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.files import disk_errors
from keras_seq2seq.settings.files import read_toml
from keras_seq2seq.wording import counted

from ..durations import format_seconds
from ..run_directory import RunDirectory
from .evaluation import SCORE_NAMES
from .files import check_of_model, evaluated_name

# What `--published` says of a run; the last three together.
COMMAND, COMPARED = "command", ("metric", "figure", "source")
# The columns in their order; those of errors have names of their own.
ERRORS = ""
COLUMNS = (
    *("run", "model", "parameters", "training pairs", "test", "of", "search", ERRORS),
    *("published", "ratio", "seed", "training", COMMAND),
)
# Metrics that are shares, less of which is better.
ERROR_RATES = ("sequence_error_rate", "token_error_rate")


def read_published(path: Path) -> dict[str, dict[str, Any]]:
    """What was published for the tests of runs: name of the run -> its section of a TOML file.

    A section has `command`, which made the run, or `metric` (`sequence_error_rate`,
    `token_error_rate`, or a score by its name), `figure` (the published value, in per cent)
    and `source` (who published it), or both.

    Raises:
        InputError: If it is none.
    """
    found = read_toml(path)
    kinds: dict[str, Any] = {"figure": int | float}
    for name, section in found.items():
        if not isinstance(section, dict):
            raise InputError(f"{path}: {name} must be a section, [{name}], the name of a run.")
        for key, value in section.items():
            if key not in (COMMAND, *COMPARED):
                known = ", ".join((COMMAND, *COMPARED))
                raise InputError(f"{path}: [{name}] has {key!r}; it can have {known}.")
            if not isinstance(value, kinds.get(key, str)) or isinstance(value, bool):
                kind = "a number" if key == "figure" else "text"
                raise InputError(f"{path}: [{name}] {key} must be {kind}. Received: {value!r}.")
        if missing := [key for key in COMPARED if key not in section]:
            if len(missing) < len(COMPARED):
                raise InputError(f"{path}: [{name}] has no {' and no '.join(missing)}.")
        elif section["metric"] not in (*ERROR_RATES, *SCORE_NAMES):
            known = ", ".join((*ERROR_RATES, *SCORE_NAMES))
            raise InputError(f"{path}: [{name}] metric must be one of {known}.")
    return found


def results_markdown(
    runs: Sequence[RunDirectory], published: Mapping[str, Mapping[str, Any]] | None = None
) -> str:
    """One row a run, from its `config.json`, `metrics.json` and `evaluation.json`.

    Runs of one task have a column for each kind of error; runs whose tokens and sequences
    are called differently share the column `errors`.

    Args:
        runs: Finished runs.
        published: Of `read_published`, by the names of the folders. Adds what was published,
            the ratio of the run's figure to it, and the command.

    Raises:
        InputError: If a run is not finished or was not evaluated, or lacks a metric that was
            published.
    """
    evaluations = [_evaluation(run) for run in runs]
    names = {(one["token_name"], one["sequence_name"]) for one in evaluations}
    rows = []
    for run, evaluation in zip(runs, evaluations, strict=True):
        errors = _errors(evaluation)
        if len(names) > 1:
            errors = {"errors": ", ".join(f"{value} {name}" for name, value in errors.items())}
        section = (published or {}).get(run.path.resolve().name, {})
        compared = _compared(run, evaluation, section)
        made = {COMMAND: f"`{section[COMMAND]}`"} if COMMAND in section else {}
        rows.append(_model(run) | _test(evaluation) | errors | compared | _training(run) | made)
    # What no run has is left out.
    columns = sorted(dict.fromkeys(name for row in rows for name in row), key=_place)
    lines = [columns, ["---"] * len(columns)]
    lines += [[row.get(name, "") for name in columns] for row in rows]
    table = "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)
    machines = dict.fromkeys(_machine(run) for run in runs if not run.is_imported)
    measured = f"\nMeasured on {'; '.join(machines)}.\n" if machines else ""
    return f"{table}\n{measured}"


def _place(column: str) -> int:
    return COLUMNS.index(column if column in COLUMNS else ERRORS)


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


def _compared(
    run: RunDirectory, evaluation: dict[str, Any], section: Mapping[str, Any]
) -> dict[str, str]:
    """What was published, and how the run's figure relates to it."""
    if "metric" not in section:
        return {}
    name, figure = section["metric"], float(section["figure"])
    if name not in evaluation:
        raise InputError(
            f"{run.path} was not evaluated by {name}, which was published for it. Run "
            f"`keras-seq2seq evaluate` with --metric {name}."
        )
    is_share = name in ERROR_RATES
    own = evaluation[name] * (100 if is_share else 1)
    shown = name
    if is_share:
        what = evaluation[f"{name.removesuffix('_error_rate')}_name"]
        shown = f"% {what} errors"
    return {
        "published": f"{figure:g} {shown.replace('_', ' ')} ({section['source']})",
        "ratio": f"{own / figure:.2f}" if figure else "",
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
