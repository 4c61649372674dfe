"""Settings in a TOML file: sections named as the classes, keys as their fields.

```
[generation]
# 1 is greedy search. [default: 1]
num_beams = 4
```
"""

import difflib
import json
import math
import textwrap
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings.declarations import Setting, settings_of
from keras_seq2seq.settings.generation import GenerationSettings

GENERATION = "generation"
WIDTH = 96


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file; `InputError` if it is none."""
    try:
        return tomllib.loads(Path(path).read_text("utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8. Settings files are TOML.") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not TOML: {error}.") from None


def read_generation(path: str | Path) -> dict[str, Any]:
    """The section `[generation]` of a file, as arguments of `GenerationSettings`.

    The other sections are those of training, which one file may hold too.

    Raises:
        InputError: If there is none, or a key is unknown or has a wrong value.
    """
    tables = read_toml(path)
    if not isinstance(settings := tables.get(GENERATION), dict):
        raise InputError(f"{path}: there is no section [{GENERATION}].")
    known = settings_of(GenerationSettings)
    for name in settings:
        if name not in known:
            raise InputError(f"{path}: {unknown_setting(name, known.values())}")
    try:
        return {name: known[name].checked(value) for name, value in settings.items()}
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def unknown_setting(name: str, known: Iterable[Setting]) -> InputError:
    """What is said of a name that no setting has: the nearest one, also by its option."""
    names = {}
    for one in known:
        names[one.name] = names[one.option[2:].replace("-", "_")] = one.name
    near = difflib.get_close_matches(str(name), names, 1, 0.5)
    hint = f" Did you mean {names[near[0]]}?" if near else ""
    return InputError(f"There is no setting {str(name)[:60]!r}.{hint}")


def toml_of(sections: Mapping[str, Iterable[tuple[Setting, Any]]], title: str) -> str:
    """A TOML file with help, choices and default of each setting in comments.

    Args:
        sections: Name -> declarations with their values; one that is `None` is a comment.
        title: First line.
    """
    lines = _comment(title)
    for section, settings in sections.items():
        lines += ["", f"[{section}]"]
        for declared, value in settings:
            default = "none" if declared.default is None else _toml(declared.default)
            lines += _comment(f"{declared.described} [default:\0{default}]")
            given = f"{declared.name} = {_toml(value)}"
            lines.append(f"# {declared.name} =" if value is None else given)
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    lines = textwrap.wrap(text, WIDTH - 2, break_on_hyphens=False, break_long_words=False)
    return [f"# {line}".replace("\0", " ") for line in lines]


def _toml(value: Any) -> str:
    """A value in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # JSON's escapes are TOML's, which wants one more.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    return "inf" if value == math.inf else repr(value)
