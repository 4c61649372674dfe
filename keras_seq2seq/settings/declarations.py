"""One declaration a setting: a field of a frozen dataclass, with all that is said about it.

The declaration makes the option of a command, the line of a settings file and the check of a
value, from wherever it comes. Imports no TensorFlow, so that `--help` is instant.
"""

import dataclasses
import functools
import math
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_seq2seq.errors import InputError

# What 32 bits hold; a number beyond becomes 0 or infinite inside a model.
SMALLEST, GREATEST = 1e-37, 1e38

_ACCEPTED: dict[Any, type] = {
    bool: bool,
    int: numbers.Integral,
    float: numbers.Real,
    str: str,
}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


# Another setting -> its values that have a use for this one: some, an interval, or all but one.
Needs = Mapping[str, "tuple[Any, ...] | Bounds | AllBut"]


def setting(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] | None = None,
    bounds: str | None = None,
    needs: Needs | None = None,
    option: str | None = None,
    item: Callable[[str], Any] | None = None,
    lines: bool = False,
    tuned: tuple[Any, ...] = (),
) -> Any:
    """A dataclass field that declares a setting; name and type are those of the field.

    Args:
        default: Default value; a tuple is an option that may be given several times.
        help: One sentence.
        choices: The values it may have, if they are few.
        bounds: The interval of a number, such as `"[0, 1)"`, `"[1, inf)"` or
            `"(0, 10] or inf"`.
        needs: Where it applies: another setting of the same class, and the values of it, as a
            tuple, `Bounds` or `AllBut`, that have a use for this one. Elsewhere only the
            default is accepted.
        option: Name of the option, if not that of the field.
        item: Of a tuple, makes an item from the text given. Defaults to `str`.
        lines: Whether the option names a file with an item a line.
        tuned: The values that a search over settings tries; none if it leaves it as it is.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "bounds": None if bounds is None else Bounds(bounds),
        "needs": dict(needs or {}),
        "option": option,
        "item": item or str,
        "lines": lines,
        "tuned": tuned,
    }
    return field(default=default, metadata=metadata)


def option_name(name: str) -> str:
    """`hidden_dim` -> `--hidden-dim`."""
    return "--" + name.replace("_", "-")


class Bounds:
    """An interval of numbers, written as in mathematics.

    Args:
        text: Such as `"[0, 1)"`; with `" or inf"` infinity is accepted too.
    """

    def __init__(self, text: str):
        self.interval, _, rest = text.partition(" or ")
        self.infinite = rest == "inf"
        self.low, self.high = map(float, self.interval[1:-1].split(","))

    def __contains__(self, number: Any) -> bool:
        if not isinstance(number, int | float):  # Of a record that was changed by hand.
            return False
        real: Any = number
        if real == math.inf:
            return self.infinite
        above = real > self.low if self.interval[0] == "(" else real >= self.low
        below = real < self.high if self.interval[-1] == ")" else real <= self.high
        return above and below

    def expected(self, number: float) -> str:
        """What a number outside should be: `"at least 1"`, `"in [0, 1)"`."""
        if self.high <= 1:
            return f"in {self.interval}"
        if self.low < number:
            return "finite" if self.high == math.inf else f"at most {self.high:.15g}"
        return f"{'above' if self.interval[0] == '(' else 'at least'} {self.low:.15g}"


class AllBut:
    """Every value but one.

    Args:
        value: The one.
    """

    def __init__(self, value: Any):
        self.value = value

    def __contains__(self, value: Any) -> bool:
        return bool(value != self.value)


@dataclass(frozen=True)
class Setting:
    """A declared setting. Attributes are those of `setting`, with:

    Attributes:
        name: string. Of the field.
        type: Of the field: `bool`, `int`, `float`, `str`, one of these or `None`, or a tuple.
    """

    name: str
    type: Any
    default: Any
    help: str
    choices: tuple[str, ...] | None = None
    bounds: Bounds | None = None
    needs: Needs = field(default_factory=dict)
    option: str = ""
    item: Callable[[str], Any] = str
    lines: bool = False
    tuned: tuple[Any, ...] = ()

    @property
    def plain_type(self) -> Any:
        """The type without `None`."""
        return next(kind for kind in _alternatives(self.type) if kind is not types.NoneType)

    @property
    def described(self) -> str:
        """Help and choices."""
        return f"{self.help} One of {', '.join(self.choices)}." if self.choices else self.help

    def checked(self, value: Any) -> Any:
        """The value with the declared type; a whole number is taken for a float.

        Raises:
            InputError: If it has another type, is none of the choices or out of bounds.
        """
        if self.choices and not (isinstance(value, str) and value in self.choices):
            raise self._refusal(f"must be one of {', '.join(self.choices)}", value)
        try:
            typed = _typed(self.type, value)
        except (TypeError, ValueError, OverflowError):
            raise self._refusal(_expected(self.plain_type), value) from None
        if typed is not None and self.bounds is not None and typed not in self.bounds:
            raise self._refusal(f"must be {self.bounds.expected(typed)}", value)
        if not all(map(_fits, _numbers(typed))):
            limits = f"0 or between {SMALLEST:g} and {GREATEST:g} in size"
            raise self._refusal(f"must be {limits}", value)
        return typed

    def parsed(self, text: str) -> Any:
        """The value that a text of the command line stands for."""
        kind = self.plain_type
        try:
            value = kind(text) if kind in (int, float) else text
        except ValueError:
            raise self._refusal(_expected(kind), text) from None
        return self.checked(value)

    def check_needs(self, settings: Any) -> None:
        """Raises `InputError` where other settings leave this one without a use."""
        value = getattr(settings, self.name)
        if value == self.default or (other := self.unmet(vars(settings))) is None:
            return
        found = getattr(settings, other)
        where = (
            f"needs {option_name(other)}"
            if found is False
            else f"does not apply to {settings_of(type(settings))[other].option} {found}"
        )
        raise InputError(f"{self.option} {where}. Received: {value}.")

    def unmet(self, values: Mapping[str, Any]) -> str | None:
        """The setting whose value among these leaves this one without a use, if one does."""
        found = (other for other, uses in self.needs.items() if values[other] not in uses)
        return next(found, None)

    def _refusal(self, expected: str, value: Any) -> InputError:
        return InputError(f"{self.option} {expected}. Received: {shown(value)}.")


def settings_of(declared: type) -> dict[str, Setting]:
    """The settings that a dataclass declares, by name, in their order."""
    key: Any = declared
    return _settings_of(key)


@functools.cache
def _settings_of(declared: Any) -> dict[str, Setting]:
    kinds = typing.get_type_hints(declared)
    return {
        item.name: Setting(
            name=item.name,
            type=kinds[item.name],
            default=item.default,
            **{**item.metadata, "option": item.metadata["option"] or option_name(item.name)},
        )
        for item in dataclasses.fields(declared)
    }


def without_unused(declared: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a record, which an earlier version wrote, without those that others leave
    without a use: it accepted them."""
    settings, kept = settings_of(declared), dict(values)
    while True:
        whole = {name: kept.get(name, one.default) for name, one in settings.items()}
        unused = {name for name in kept if name in settings and settings[name].unmet(whole)}
        if not unused:
            return kept
        # What one of them had a use for may have none without it.
        kept = {name: value for name, value in kept.items() if name not in unused}


@dataclass(frozen=True)
class Settings:
    """Base of frozen dataclasses whose fields are declared with `setting`."""

    def __post_init__(self) -> None:
        declared = settings_of(type(self)).values()
        for one in declared:
            object.__setattr__(self, one.name, one.checked(getattr(self, one.name)))
        for one in declared:
            one.check_needs(self)
        self.check_together()

    def check_together(self) -> None:
        """Raises `InputError` for values that contradict each other."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name; the class called with them makes the same settings."""
        return dataclasses.asdict(self)


def shown(value: Any) -> str:
    """A value in a message: one line, not too long."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python prints no number of so many digits.
        return "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """`float | None` -> `(float, NoneType)`; of a plain type itself."""
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _typed(kind: Any, value: Any) -> Any:
    """The value with a declared type; `TypeError` or `ValueError` if it is of another."""
    *_, last = kinds = _alternatives(kind)
    if value is None and last is types.NoneType:
        return None
    kind = kinds[0]
    if typing.get_origin(kind) is tuple:
        return _typed_tuple(typing.get_args(kind), value)
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, _ACCEPTED[kind]):
        raise TypeError
    if isinstance(value, str):
        value.encode("utf-8")  # A lone surrogate cannot be written to a file.
    return kind(value)


def _typed_tuple(items: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError
    values = list(value.items() if isinstance(value, Mapping) else value)
    if items[-1] is Ellipsis:
        return tuple(_typed(items[0], one) for one in values)
    return tuple(_typed(kind, one) for kind, one in zip(items, values, strict=True))


def _expected(kind: Any) -> str:
    if typing.get_origin(kind) is not tuple:
        return f"must be {_KINDS[kind]}"
    item = typing.get_args(kind)[0]
    parts = typing.get_args(item) or (item,)
    return f"takes a list, each item {' and '.join(_KINDS[part] for part in parts)}"


def _numbers(value: Any) -> Iterable[float]:
    if isinstance(value, tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, float):
        yield value


def _fits(number: float) -> bool:
    return not number or math.isinf(number) or SMALLEST <= abs(number) <= GREATEST
