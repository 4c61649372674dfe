"""Arguments of another kind than their annotation: one line where a call begins, in place of a
`TypeError` from its depth, or of a wrong result."""

import collections.abc
import functools
import inspect
import numbers
import os
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from keras_seq2seq.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])

# What a value of this kind can be said to be, and the annotations that take it.
_WORDS: dict[Any, str] = {
    bool: "a bool",
    int: "a whole number",
    float: "a number",
    str: "a string",
    bytes: "bytes",
    type(None): "None",
    np.ndarray: "an array",
}
_PLAIN = (bool, int, float, str, bytes, type(None))
_LISTS = (collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)


def checked(function: F) -> F:
    """A decorator: an argument that surely is of another kind than its annotation is an
    `InputError` that names it.

    ```
    def f(size: int, name: str | None = None)    f("x")   `size` must be a whole number.
                                                          Received: 'x'.
    ```

    Numbers, bools, strings, paths, lists and dictionaries are looked at, from outside; any
    object may stand where one of a class is wanted, and any tensor where a number is. What a
    value has to be beyond that, the function says.
    """
    signature = inspect.signature(function)
    hints: dict[str, tuple[Any, ...]] = {}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not hints:
            found = typing.get_type_hints(function)
            hints.update(
                {name: _members(found.get(name, Any)) for name in signature.parameters}
            )
        try:
            given = signature.bind_partial(*args, **kwargs).arguments
        except TypeError:
            return function(*args, **kwargs)  # Python says what is too much.
        for name, value in given.items():
            kind = signature.parameters[name].kind
            if kind in (kind.VAR_POSITIONAL, kind.VAR_KEYWORD):
                continue
            if not _fits(value, hints[name]):
                raise InputError(_line(name, value, hints[name]))
            if isinstance(value, str) and any(map(_is_path, hints[name])):
                _check_path(value)
        return function(*args, **kwargs)

    # Keras reads the arguments of a layer off its signature.
    vars(call)["__signature__"] = signature
    return typing.cast(F, call)


def _members(hint: Any) -> tuple[Any, ...]:
    """What an annotation takes: classes, `Any`, and values of a `Literal`."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return tuple(one for part in typing.get_args(hint) for one in _members(part))
    if isinstance(hint, typing.TypeVar) or origin is typing.Literal:
        return (Any,)
    return (hint if origin is type else origin or hint,)


def _fits(value: Any, members: tuple[Any, ...]) -> bool:
    if Any in members or object in members:
        return True
    return any(_is_one(value, member) for member in members)


def _is_one(value: Any, member: Any) -> bool:
    if isinstance(value, bool | np.bool_):
        return member is bool
    if isinstance(value, numbers.Real):
        whole = isinstance(value, numbers.Integral)
        return member is float or (member is int and whole)
    if value is None or isinstance(value, str):
        return member is type(value) or (member is str and isinstance(value, str))
    if isinstance(value, bytes | bytearray):
        return member is bytes
    if isinstance(value, os.PathLike):
        return _is_path(member)
    if isinstance(value, collections.abc.Mapping):
        return _is_class(member, collections.abc.Mapping)
    if isinstance(value, np.ndarray):
        if not value.ndim and member in _PLAIN:
            return _is_one(value.item(), member)
        return member is np.ndarray or _is_list(member)
    if isinstance(value, list | tuple | set | frozenset):
        return _is_list(member) or (isinstance(member, type) and isinstance(value, member))
    if isinstance(value, type) or typing.get_origin(member) is type:
        return member in (type, collections.abc.Callable) or _is_subclass(value, member)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return member not in (bool, str, bytes, type(None))
    if member in _PLAIN or _is_path(member):
        return isinstance(value, member)
    if member in _LISTS or member is np.ndarray:
        return hasattr(value, "__iter__") or hasattr(value, "__getitem__")
    return True


def _is_subclass(value: Any, member: Any) -> bool:
    """Whether a class is one of `type[...]`; what makes objects as a class does passes."""
    (base,) = typing.get_args(member) or (None,)
    if not isinstance(value, type):
        return base is not None and callable(value)
    return isinstance(base, type) and issubclass(value, base)


def _check_path(path: str) -> None:
    try:
        if "\0" not in path:
            os.fsencode(path)
            return
    except UnicodeEncodeError:
        pass
    raise InputError(f"No path has such characters: {ascii(path):.60}.")


def _is_list(member: Any) -> bool:
    return _is_class(member, collections.abc.Iterable) and not (
        member in (str, bytes) or _is_class(member, collections.abc.Mapping)
    )


def _is_path(member: Any) -> bool:
    return _is_class(member, os.PathLike)


def _is_class(member: Any, base: type) -> bool:
    return isinstance(member, type) and issubclass(member, base)


def _line(name: str, value: Any, members: tuple[Any, ...]) -> str:
    shown = f"{value!r:.60}".replace("\n", " ")
    if any(map(_is_path, members)):
        return f"A path must be {_wanted(members)}. Received: {type(value).__name__} {shown}."
    if not (value is None or isinstance(value, numbers.Real | str)):
        shown = f"{type(value).__name__} {shown}"
    return f"`{name}` must be {_wanted(members)}. Received: {shown}."


def _wanted(members: tuple[Any, ...]) -> str:
    words = []
    for member in members:
        if _is_path(member):
            word = "a Path"
        elif member in _WORDS:
            word = _WORDS[member]
        elif _is_class(member, collections.abc.Mapping):
            word = "a dictionary"
        elif member in _LISTS or member in (list, tuple):
            word = "a list"
        elif typing.get_origin(member) is type:
            word = f"a class of {getattr(typing.get_args(member)[0], '__name__', 'any kind')}"
        elif member in (type, collections.abc.Callable):
            word = "a class" if member is type else "a function"
        else:
            name = getattr(member, "__name__", str(member))
            word = f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
        if word not in words:
            words.append(word)
    return " or ".join(words)
