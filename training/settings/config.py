"""What a training run is made of, as one frozen value. Imports no TensorFlow."""

import copy
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings.declarations import (
    Setting,
    Settings,
    settings_of,
    shown,
    without_unused,
)
from keras_seq2seq.settings.files import unknown_setting

from .data import DataSettings
from .fine_tuning import FineTuningSettings
from .model import (
    ARCHITECTURES,
    ModelSettings,
    architecture_setting,
    architectures_with,
    build_model_settings,
    model_settings,
)
from .optimization import OptimizationSettings
from .run import RunSettings
from .selection import SelectionSettings

# The sections beside the model, whose class depends on the architecture.
SECTIONS: dict[str, type[Settings]] = {
    "data": DataSettings,
    "optimization": OptimizationSettings,
    "selection": SelectionSettings,
    "run": RunSettings,
    "fine_tuning": FineTuningSettings,
}
# Settings that earlier versions had: how they changed the sounds of training, which says
# nothing of a model that is trained.
GONE = ("random_filter", "reverberation")


def training_settings() -> dict[str, dict[str, Setting]]:
    """Every setting of every architecture: section -> name -> declaration."""
    model = {"architecture": architecture_setting(), **model_settings()}
    others = {name: settings_of(declared) for name, declared in SECTIONS.items()}
    return {"data": others.pop("data"), "model": model, **others}


@dataclass(frozen=True, init=False)
class TrainingConfig:
    """Settings of a run, in sections. Every one is also an option of `keras-seq2seq train`.

    It is made of settings by name, without their sections: `TrainingConfig(hidden_dim=8,
    seed=2).model.hidden_dim`. Names, types, bounds and help are declared in the sections.

    Attributes:
        origins: Setting -> where it came from, of those that were given: `"given"` in
            Python, else the name of a layer (`resolve`). Not part of the value.

    Raises:
        InputError: If a setting is unknown, of a wrong type or out of bounds, does not apply,
            or contradicts another.
    """

    data: DataSettings
    model: ModelSettings
    optimization: OptimizationSettings
    selection: SelectionSettings
    run: RunSettings
    fine_tuning: FineTuningSettings
    origins: Mapping[str, str] = field(compare=False, repr=False)

    def __init__(self, **settings: Any):
        parts: dict[str, dict[str, Any]] = {section: {} for section in training_settings()}
        for name, value in settings.items():
            parts[section_of(name)][name] = value
        model = parts["model"]
        architecture = architecture_setting().checked(
            model.pop("architecture", architecture_setting().default)
        )
        for name, value in model.items():
            if architecture not in (having := architectures_with(name)):
                raise InputError(
                    f"{model_settings()[name].option} does not apply to --architecture "
                    f"{architecture}. Received: {shown(value)}. (It is a setting of "
                    f"{', '.join(having)}.)"
                )
        self._set("model", build_model_settings(architecture, model))
        for section, declared in SECTIONS.items():
            self._set(section, declared(**parts[section]))
        self._set("origins", dict.fromkeys(settings, "given"))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @property
    def sections(self) -> dict[str, dict[str, Setting]]:
        """The declarations, section -> name -> declaration, those of its architecture
        alone."""
        sections = training_settings()
        model = {n: one for n, one in sections["model"].items() if n in self.model_values}
        return {**sections, "model": model}

    @property
    def model_values(self) -> dict[str, Any]:
        """The section of the model."""
        return {"architecture": self.model.architecture, **self.model.to_dict()}

    @property
    def values(self) -> dict[str, Any]:
        """Every setting by name, without its section."""
        return {name: v for section in self.to_dict().values() for name, v in section.items()}

    @property
    def given(self) -> dict[str, Any]:
        """What was given, and what is not as its default."""
        return {n: v for n, v in self.values.items() if n in self.origins} | self.changed

    @property
    def changed(self) -> dict[str, Any]:
        """What is not as its default."""
        values = self.values
        return {
            name: values[name]
            for settings in self.sections.values()
            for name, declared in settings.items()
            if values[name] != declared.default
        }

    def origin_of(self, name: str) -> str:
        """Where the value of a setting came from: a key of `origins`, `"default"`, or
        `"not recorded"`, as of runs of older versions."""
        return self.origins.get(name, "not recorded" if name in self.changed else "default")

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain values, section -> name -> value."""
        sections = {section: getattr(self, section).to_dict() for section in SECTIONS}
        return {"data": sections.pop("data"), "model": self.model_values, **sections}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "TrainingConfig":
        """The configuration of `to_dict`, or of a record that an earlier version wrote: without
        sections, where every model had the settings of every other, with values that have no
        use beside others, or with settings that are `GONE`. Such settings are left out."""
        record = {
            name: _without_gone(value) if isinstance(value, Mapping) else value
            for name, value in _without_gone(record).items()
        }
        in_sections = any(isinstance(value, Mapping) for value in record.values())
        values = flattened(record) if in_sections else dict(record)
        architecture = values.get("architecture", architecture_setting().default)
        if not in_sections:
            values = {
                name: value
                for name, value in values.items()
                if name not in model_settings() or architecture in architectures_with(name)
            }
        for declared in (*SECTIONS.values(), ARCHITECTURES.get(architecture, ModelSettings)):
            values = without_unused(declared, values)
        return cls(**values)

    def replace(self, **changes: Any) -> "TrainingConfig":
        """A copy with some settings changed. With another architecture it keeps the settings
        that this has too."""
        kept = self.given
        if "architecture" in changes:
            kept = {
                name: value
                for name, value in kept.items()
                if name not in model_settings()
                or changes["architecture"] in architectures_with(name)
            }
        return type(self)(**{**kept, **changes})

    def with_origins(self, origins: Mapping[str, str]) -> "TrainingConfig":
        """The same value, from elsewhere."""
        same = copy.copy(self)
        same._set("origins", dict(origins))
        return same


def _without_gone(record: Mapping[str, Any]) -> dict[str, Any]:
    for name in GONE:
        if record.get(name):
            warnings.warn(
                f"The run was made with {name} {record[name]}, a setting that is gone: a "
                "training that goes on does so without it.",
                stacklevel=3,
            )
    return {name: value for name, value in record.items() if name not in GONE}


def section_of(name: str) -> str:
    """The section of a setting; `InputError` names the nearest for an unknown one."""
    sections = training_settings()
    for section, settings in sections.items():
        if name in settings:
            return section
    raise unknown_setting(name, [one for s in sections.values() for one in s.values()])


def option_of(name: str) -> str:
    """The option of a setting: `hidden_dim` -> `--hidden-dim`."""
    return training_settings()[section_of(name)][name].option


def flattened(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Section -> name -> value as name -> value.

    Raises:
        InputError: If a section or a setting is unknown, or a setting is in another section.
    """
    known = training_settings()
    flat: dict[str, Any] = {}
    for section, settings in sections.items():
        if section not in known:
            raise InputError(
                f"There is no section {str(section)[:60]!r}; the sections are "
                f"{', '.join(known)}."
            )
        if not isinstance(settings, Mapping):
            raise InputError(f"{section} must be a section, [{section}], with settings in it.")
        for name, value in settings.items():
            if (right := section_of(name)) != section:
                raise InputError(f"{name} belongs in the section {right}, not in {section}.")
            flat[name] = value
    return flat


def resolve(
    layers: Iterable[tuple[str, Mapping[str, Any]]],
) -> tuple[TrainingConfig, dict[str, Any]]:
    """The configuration of several sources of settings.

    What a weaker layer says of another architecture than the one chosen is left out.

    Args:
        layers: Name of the source and its settings, the strongest first.

    Returns:
        The configuration, whose `origins` name the layers, and what was left out although it
        is not the default.
    """
    settings: dict[str, Any] = {}
    origins: dict[str, str] = {}
    left_out: dict[str, Any] = {}
    architecture: Any = None
    for origin, layer in layers:
        # The strongest that names one chose it.
        chosen = architecture if architecture is not None else layer.get("architecture")
        for name, value in layer.items():
            foreign = name in model_settings() and chosen not in architectures_with(name)
            if name in settings:
                continue
            if architecture is not None and foreign:
                if value != model_settings()[name].default:
                    left_out.setdefault(name, value)
                continue
            settings[name], origins[name] = value, origin
        architecture = chosen
    left_out |= _taken_out(settings, origins)
    return TrainingConfig(**settings).with_origins(origins), left_out


def _taken_out(settings: dict[str, Any], origins: dict[str, str]) -> dict[str, Any]:
    """Takes out what a stronger source of settings leaves without a use; what it was."""
    known = {
        name: one for section in training_settings().values() for name, one in section.items()
    }
    layers = list(dict.fromkeys(origins.values()))
    whole = {name: settings.get(name, one.default) for name, one in known.items()}
    taken = {}
    for name in list(settings):
        if not (one := known.get(name)) or settings[name] == one.default:
            continue
        other = one.unmet(whole)
        if other in settings and layers.index(origins[other]) < layers.index(origins[name]):
            taken[name] = settings.pop(name)
            del origins[name]
    return taken
