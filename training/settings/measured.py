"""Settings that a run chooses by its measured speed when it begins, and their origins."""

from collections.abc import Mapping
from typing import Any

from .config import TrainingConfig

# The origin of what is chosen when the run begins, before and after that.
UNMEASURED = "not measured yet"
MEASURED = "measured"
SIZES = ("hidden_dim", "embedding_dim")


def unmeasured(config: TrainingConfig) -> list[str]:
    """The settings of a configuration that are to be measured."""
    return [name for name, origin in config.origins.items() if origin == UNMEASURED]


def with_measured(
    config: TrainingConfig, values: Mapping[str, Any], origins: Mapping[str, str]
) -> TrainingConfig:
    """The same configuration with values, and their origins, for what is to be measured."""
    names = [name for name in unmeasured(config) if name in values]
    if not names:
        return config
    changed = config.replace(**{name: values[name] for name in names})
    return changed.with_origins(
        {**config.origins, **{name: origins.get(name, "default") for name in names}}
    )
