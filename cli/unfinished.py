"""What an output of `generate` is written with, beside it until it is whole."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.files import write_text
from keras_seq2seq.settings.declarations import option_name


def check_same_options(output: Path, options: dict[str, Any]) -> None:
    """Refuses to continue an output that other options, or another model, began.

    Raises:
        InputError: Names what differs. An output without a record is taken as it is.
    """
    try:
        began = json.loads(_record_of(output).read_text("utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise InputError(f"{_record_of(output)} cannot be read: {error}.") from error
    # As it comes back from the file: tuples are lists there.
    now = json.loads(json.dumps(options))
    differences = [
        f"{option_name(name)} was {began[name]!r} and is now {value!r}"
        for name, value in now.items()
        if name in began and began[name] != value
    ]
    if differences:
        raise InputError(
            f"{output} was begun otherwise: {'; '.join(differences)}. Give the same to "
            "continue it, or another --output."
        )


@contextmanager
def unfinished(
    output: Path, options: dict[str, Any], is_whole: Callable[[], bool]
) -> Iterator[None]:
    """While the block runs, and after it unless all `is_whole`, a record of the options lies
    beside the output."""
    record = _record_of(output)
    write_text(record, json.dumps(options) + "\n")
    yield
    if is_whole():
        record.unlink(missing_ok=True)


def _record_of(output: Path) -> Path:
    return output.with_name(f"{output.name}.options.json")
