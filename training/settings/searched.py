"""The values of settings that a search tries."""

from collections.abc import Collection, Mapping
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings.declarations import Setting, option_name

from .config import TrainingConfig, training_settings


def searched_values(
    base: TrainingConfig, fixed: Collection[str], asked: Mapping[str, str]
) -> dict[str, list[Any]]:
    """The values that a search tries, by setting.

    Args:
        base: The settings of the first trial; its values are tried too.
        fixed: Settings that were given, which are not searched.
        asked: Setting -> values as a text with commas between. With one of them no others
            are searched.

    Raises:
        InputError: If a setting is unknown, fixed, or cannot have a value.
    """
    declared = {
        n: one for section in training_settings().values() for n, one in section.items()
    }
    values: dict[str, list[Any]] = {}
    for name, text in asked.items():
        if name not in declared:
            known = ", ".join(n for n, one in declared.items() if one.tuned)
            raise InputError(
                f"--values {name}: there is no such setting. Those that are searched without "
                f"--values are {known}."
            )
        if name in fixed:
            raise InputError(
                f"--values {name} and {option_name(name)} contradict each other. Give one."
            )
        values[name] = [_parsed(declared[name], part) for part in text.split(",")]
    if not asked:
        given_model = "architecture" in fixed
        values = {
            name: list(one.tuned)
            for name, one in declared.items()
            if one.tuned and name not in fixed and (not given_model or name in base.values)
        }
        whole = {name: one.default for name, one in declared.items()} | base.values
        values = {
            name: tried
            for name, tried in values.items()
            if (other := declared[name].unmet(whole)) is None or other in values
        }
    for name, tried in values.items():
        if name in base.values and base.values[name] not in tried:
            tried.append(base.values[name])
        values[name] = sorted(set(tried), key=lambda value: (str(type(value)), value))
    return {name: tried for name, tried in values.items() if len(tried) > 1}


def _parsed(declared: Setting, text: str) -> Any:
    if declared.plain_type is bool:
        return declared.checked({"true": True, "false": False}.get(text.strip(), text))
    return declared.parsed(text.strip())
