"""Settings of a run in a file: read from TOML or from a run, written as commented TOML."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings.files import GENERATION, read_toml, toml_of

from .config import TrainingConfig, flattened, training_settings
from .measured import unmeasured

TITLE = (
    "Settings of `keras-seq2seq train`. A line that is left out is chosen as without this "
    "file; an option of the command wins."
)
LATER = " Not known yet: chosen by the measured speed when a run begins."


def read_settings(path: str | Path) -> dict[str, Any]:
    """The settings of a file, by name.

    Args:
        path: TOML with sections, of which `[generation]` is not for training; the
            `config.json` of a run; or the folder of a run. A run gives every setting.

    Raises:
        InputError: If it cannot be read, or a section, name or value is wrong.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "config.json"
    try:
        if path.suffix == ".json":
            return recorded(path).values
        tables = read_toml(path)
        tables.pop(GENERATION, None)
        known = training_settings()
        return {
            name: next(s[name] for s in known.values() if name in s).checked(value)
            for name, value in flattened(tables).items()
        }
    except InputError as error:
        name = str(path)
        raise InputError(
            str(error) if str(error).startswith(name) else f"{name}: {error}"
        ) from None


def modules_of(path: str | Path) -> list[str]:
    """The modules of its user's own that the run had whose settings `read_settings` reads
    there; none of a TOML file."""
    path = Path(path)
    if path.is_dir():
        path = path / "config.json"
    if path.suffix != ".json":
        return []
    recorded(path)
    found = json.loads(path.read_text("utf-8")).get("modules", [])
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise InputError(f"{path} was not written by this program.")
    return found


def measurement(path: Path) -> dict[str, float]:
    """Units -> seconds a step, of the measurement that a run's `config.json` holds; none of a
    run without one."""
    recorded(path)
    found = json.loads(path.read_text("utf-8")).get("measured", {})
    try:
        return {str(u): float(s) for u, s in found["seconds_a_step"].items() if float(s) > 0}
    except (TypeError, KeyError, ValueError, AttributeError):
        return {}


def recorded(path: Path) -> TrainingConfig:
    """The configuration of a run's `config.json`, of any version: a setting that it lacks
    has its default of today."""
    try:
        record = json.loads(path.read_text("utf-8"))
        settings, origins = record["settings"], record.get("origins", {})
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file; a run has one.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        settings = origins = None
    if not isinstance(settings, dict) or not isinstance(origins, dict):
        raise InputError(f"{path} was not written by this program.")
    try:
        return TrainingConfig.from_dict(settings).with_origins(origins)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def written(config: TrainingConfig) -> str:
    """A configuration as a TOML file, which `read_settings` reads back; what is to be
    measured is left out of it, with a comment."""
    values, later = config.to_dict(), unmeasured(config)
    sections = {
        section: [
            (replace(declared, help=declared.help + LATER), None)
            if name in later
            else (declared, values[section][name])
            for name, declared in settings.items()
        ]
        for section, settings in config.sections.items()
    }
    return toml_of(sections, TITLE)
