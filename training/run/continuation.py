"""A run goes on beyond its end: with more epochs, minutes or patience than it began with."""

import shutil
import zipfile
from pathlib import Path

import h5py

from keras_seq2seq.errors import InputError
from keras_seq2seq.files import check_folder, disk_errors, write_atomically
from keras_seq2seq.wording import counted

from ..run_directory import RunDirectory
from ..run_records import epochs_of, place_of
from ..settings import TrainingConfig
from ..settings.config import option_of
from ..settings.growth import GROWING
from ..settings.monitors import epochs_without_better


def go_on(run: RunDirectory, config: TrainingConfig) -> list[str]:
    """Records what of the settings has grown; makes a finished run one to resume.

    Killed at any moment, the run is finished as before, or the same command resumes it.

    Args:
        run: It accepted these settings (`RunDirectory.begin`).
        config: Settings.

    Returns:
        Lines about where it goes on, what differs from one long run, and what was removed.

    Raises:
        InputError: If it would end where it is, something that it needs is missing, or the
            folder cannot be written. Nothing is changed then.
    """
    old = run.settings
    changes = {n: old.values[n] for n, v in config.values.items() if old.values[n] != v}
    grown = [name for name in GROWING if name in changes]
    lines = []
    if grown:
        check_folder(run.path)
        history = run.read_history(monitor := f"val_{config.selection.monitor}")
        notes = [
            f"{option_of(name)} was {then:.15g} and is now {config.values[name]:.15g}"
            for name, then in changes.items()
            if name in grown
        ]
        removed: list[str] = []
        if run.is_finished:
            _check_more(run, old, config, history, monitor)
            started, removed = _reopen(run, history)
            notes += started
        notes += _schedule_notes(config, grown)
        after = place_of(history[-1]) if history else "epoch 0"
        lines.append(f"Going on after {after}: {'; '.join(notes)}.")
        if removed:
            lines.append(f"Removed, as it was of the model so far: {', '.join(removed)}.")
    if changes:
        run.record_changes(config, changes)
    return lines


def _check_more(
    run: RunDirectory,
    old: TrainingConfig,
    config: TrainingConfig,
    history: list[dict[str, float]],
    monitor: str,
) -> None:
    """Refuses to go on where one long run of these settings would have ended too."""
    if not history:
        raise InputError(
            f"{run.history_file} is missing or empty, without which no epoch can follow. Copy "
            "it from where the run was, or choose another --run-dir."
        )
    idle = epochs_without_better(monitor, history)
    what = "validation" if config.selection.evaluate_steps else "epoch"
    if idle >= config.selection.patience:
        raise InputError(
            f"{run.path} ended after {place_of(history[-1])} because {counted(idle, what)} "
            f"brought nothing better (--patience {old.selection.patience}). To go on, give "
            f"--patience {idle + 1} or more."
        )
    optimization = config.optimization
    if epochs_of(history[-1]) >= optimization.epochs:
        raise InputError(
            f"{run.path} has all of its {counted(optimization.epochs, 'epoch')}. To go on, "
            "give more --epochs."
        )
    by_clock = optimization.minutes and idle < old.selection.patience
    if by_clock and optimization.minutes == old.optimization.minutes:
        raise InputError(
            f"{run.path} ended with its {optimization.minutes:g} minutes. To go on, give more "
            "--minutes."
        )


def _reopen(run: RunDirectory, history: list[dict[str, float]]) -> tuple[list[str], list[str]]:
    """Makes a finished run one to resume; where it starts, and names of what was removed."""
    metrics = run.metrics("best_epoch")
    tuning = run.settings.fine_tuning
    if not run.record_file.exists() and (tuning.freeze or tuning.lora_rank):
        raise InputError(
            f"{run.path} trained a part of its model, and its last checkpoint was not kept. "
            f"Begin another run with it: --from {run.path}."
        )
    best = run.model_file
    averaged = bool((metrics.get("average") or {}).get("kept"))
    if averaged:
        best = run.epoch_file(metrics["best_epoch"])
        if not best.exists():
            raise InputError(
                f"{run.model_file} is an average of epochs, and the model of the best, {best}, "
                "is not there. Copy it from where the run was, or choose another --run-dir."
            )
    notes = []
    if not run.record_file.exists():
        start = run.checkpoint / "best.keras"
        _copy(best, start)
        run.write_json(run.record_file, {"weights": start.name, "history": history})
    weights = run.checkpoint / run.checkpoint_record()[0]
    _check_readable(weights)
    if weights.suffix == ".keras":
        notes.append(
            "its last checkpoint was not kept, so weights and optimizer start as they were "
            f"after the best epoch, {metrics['best_epoch']}"
        )
    if averaged:
        _copy(best, run.model_file)
    stale = [run.report_file, run.evaluation_file, run.outputs_file]
    removed = [path for path in stale if path.exists()]
    with disk_errors(run.path):
        # The summary last: with it the run is finished.
        for path in [*removed, run.metrics_file]:
            path.unlink()
    return notes, [path.name for path in removed]


def _check_readable(path: Path) -> None:
    """Refuses to go on from a damaged file before anything of the finished run is removed."""
    try:
        (zipfile.ZipFile(path) if path.suffix == ".keras" else h5py.File(path, "r")).close()
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} cannot be read, so the run cannot go on: {error}. Copy the file from "
            "where the run was; nothing was changed."
        ) from error


def _copy(path: Path, to: Path) -> None:
    write_atomically(to, lambda new: shutil.copyfile(path, new))


def _schedule_notes(config: TrainingConfig, grown: list[str]) -> list[str]:
    """What of the learning rate is not as in one long run."""
    settings = config.optimization
    if "minutes" in grown:
        return [
            "the learning rate, which fell with the clock, rises to what it is at this time "
            f"of {settings.minutes:g} minutes"
        ]
    if "epochs" in grown and settings.schedule == "cosine" and not settings.minutes:
        return [
            "the learning rate, a cosine laid out for fewer epochs until here, is from here on "
            f"that of {settings.epochs}"
        ]
    return []
