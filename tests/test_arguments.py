"""Arguments of another kind than their annotation, of every public name: one line each."""

import inspect
import os
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import export
from keras_seq2seq import (
    converters,
    data,
    decoding,
    layers,
    losses,
    metrics,
    models,
    pictures,
    schedules,
    tokenizers,
)
from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError

ROOMS = (converters, data, decoding, layers, losses, metrics, models, pictures, schedules)
METHODS = ("__init__", "from_pairs", "from_lines")
# They look at their arguments themselves, are made by the package alone, or are Keras' own
# with one more argument.
OTHERS = {
    *("Augmentation", "Buckets", "Pairs", "Signal", "Splits", "StoredTexts", "TrainingData"),
    *("read_dataset", "read_pairs", "training_data", "validation_data", "Preprocessor"),
    *("Hypotheses", "Node", "Search", "SearchTree", "Snapshot", "Values", "Strategy"),
    *("Ensemble", "Seq2Seq", "Segment", "transcribe", "Preset", "ErrorRates", "TextScores"),
    *("DecoderOutput", "EncoderOutput", "TransformerStyle", "Seq2SeqLMGeneration"),
    *(
        "TokenSwaps",
        "ByteDropout",
        "Dense",
        "FusedLSTM",
        "LayerNormalization",
        "DenseGradientEmbedding",
    ),
    *("CheckedModel", "OnnxLoopRunner", "OnnxRunner", "LiteRTRunner", "export_formats"),
    "print_parity",
}
WRONG = {
    "bool": True,
    "float": 2.5,
    "none": None,
    "text": "x",
    "bytes": b"x",
    "list": ["a", None],
    "dict": {"a": 1},
    "path": Path("x"),
    "array": np.ones((2, 2)),
    "class": int,
    "object": object(),
}
PLAIN = (bool, int, float, str)


def public():
    """Every public function and constructor, with a name."""
    for room in (*ROOMS, tokenizers, export):
        for name in getattr(room, "__all__", ()) or vars(room):
            value = getattr(room, name)
            own = room.__name__ in getattr(value, "__module__", "")
            if inspect.isfunction(value) and own and not name.startswith("_"):
                yield name, name, value
            elif inspect.isclass(value) and own and not issubclass(value, Exception):
                for method in METHODS:
                    if hasattr(value, method):
                        yield name, f"{name}.{method}", getattr(value, method)


def has_plain(function):
    names = inspect.signature(function).parameters
    hints = {n: h for n, h in typing.get_type_hints(function).items() if n in names}
    return any(h in PLAIN or set(typing.get_args(h)) & set(PLAIN) for h in hints.values())


FOUND = {where: function for _, where, function in public() if hasattr(function, "__wrapped__")}


def test_every_public_name_with_numbers_or_strings_looks_at_them():
    rest = {
        where
        for name, where, function in public()
        if name not in OTHERS
        and where not in FOUND
        and inspect.isfunction(inspect.unwrap(getattr(function, "__func__", function)))
        and "keras_seq2seq" in (getattr(function, "__module__", "") or "")
        and has_plain(function)
    }
    assert not rest
    assert len(FOUND) > 120


@pytest.mark.parametrize("where", sorted(FOUND))
def test_what_is_of_another_kind_is_one_line(where):
    function = FOUND[where]
    hints = typing.get_type_hints(function)
    first = [object()] if where.endswith("__init__") else []
    for name in inspect.signature(function).parameters:
        if (hint := hints.get(name)) not in PLAIN:
            continue
        for kind, value in WRONG.items():
            if kind == {bool: "bool", str: "text", float: "float"}.get(hint):
                continue
            with pytest.raises(InputError) as error:
                function(*first, **{name: value})
            message = str(error.value)
            assert message.startswith(f"`{name}` must be ") and "\n" not in message


@checked
def plain(size: int, share: float = 0.5, name: str | None = None, loud: bool = False):
    return size, share, name, loud


@checked
def listed(
    rows: Sequence[str] | np.ndarray,
    table: Mapping[str, int] | None = None,
    place: str | Path = "",
    kind: type[int] = int,
    weight: float | tf.Tensor = 1.0,
    count: "int" = 1,
    *more: int,
    **rest: int,
):
    return rows


def test_what_fits_goes_through():
    assert plain(np.int64(3), np.float32(0.5), np.str_("a"), np.bool_(True))[0] == 3
    assert plain(3, 1) == (3, 1, None, False)
    assert plain(np.array(3), np.array(0.5))[0] == 3
    # A tensor stands for a number; what it has to be, the function says.
    assert listed([3], weight=tf.constant(1.0)) == [3]
    assert plain(tf.constant(3))[1] == 0.5
    listed([], place=os.fsdecode(b"caf\xe9"))
    with pytest.raises(InputError, match="`rows` must be a list or an array. Received: object"):
        listed(object())
    for rows in (["a"], ("a",), np.array(["a"]), (), {"a"}):
        listed(rows, {"a": 1}, Path("x"), bool, 2, 3, "any", other=None)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("`size` must be a whole number. Received: 2.0.", lambda: plain(2.0)),
        ("`size` must be a whole number. Received: True.", lambda: plain(True)),
        ("`share` must be a number. Received: None.", lambda: plain(1, None)),
        ("`name` must be a string or None. Received: 3.", lambda: plain(1, name=3)),
        ("`loud` must be a bool. Received: 'no'.", lambda: plain(1, loud="no")),
        ("`rows` must be a list or an array. Received: 'ab'.", lambda: listed("ab")),
        ("`table` must be a dictionary or None. Received: list [1].", lambda: listed([], [1])),
        ("A path must be a string or a Path. Received: int 0.", lambda: listed([], None, 0)),
        ("`kind` must be a class of int. Received: 'int'.", lambda: listed([], kind="int")),
        (
            "`weight` must be a number or a Tensor. Received: 'x'.",
            lambda: listed([], weight="x"),
        ),
        ("`count` must be a whole number. Received: 'x'.", lambda: listed([], count="x")),
        (
            "`kind` must be a class of int. Received: type <class 'str'>.",
            lambda: listed([], kind=str),
        ),
        (r"No path has such characters: 'a\x00b'.", lambda: listed([], place="a\0b")),
        (r"No path has such characters: '\ud83d'.", lambda: listed([], place="\ud83d")),
    ],
)
def test_the_line_names_the_argument_and_what_it_takes(message, call):
    with pytest.raises(InputError) as error:
        call()
    assert str(error.value) == message


def test_what_is_missing_or_too_much_python_says():
    for call in (lambda: plain(), lambda: plain(1, 2, None, True, 5), lambda: plain(1, more=2)):
        with pytest.raises(TypeError, match="argument"):
            call()
    assert inspect.signature(plain) == inspect.signature(plain.__wrapped__)
