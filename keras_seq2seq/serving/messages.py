"""Requests and answers as TensorFlow Serving's REST door writes them.

The forms are those of its page "RESTful API"; what is wrong is said in the server's own words,
so that a client that reads them goes on working.
"""

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .client import AS_EXPORTED, SIGNALS
from .tensors import DEFAULT_SIGNATURE, PredictRequest, RequestError, Signature, Tensor

# The greatest whole number up to which every one is a float32.
_EXACT_FLOAT = 2**24 - 1
_DTYPES = {"string": object, "bool": bool}
_KINDS = {dict: "Object", list: "Array", str: "String", bool: "False", type(None): "Null"}


def parse_json(body: bytes) -> dict[str, Any]:
    """The object that a body holds; `RequestError` for anything else."""
    if not body:
        raise RequestError(400, "JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except json.JSONDecodeError as error:
        raise RequestError(
            400, f"JSON Parse error: {error.msg} at offset: {error.pos}"
        ) from error
    except UnicodeDecodeError as error:
        raise RequestError(
            400, f"JSON Parse error: Invalid encoding in string. at offset: {error.start}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise RequestError(400, f"JSON Value: {_shown(document)} Is not object")
    return document


def read_request(body: bytes, signatures: Mapping[str, Signature]) -> PredictRequest:
    """Reads the body of `:predict`.

    Raises:
        RequestError: 400, in the words of TensorFlow Serving.
    """
    document = parse_json(body)
    name = document.get("signature_name", DEFAULT_SIGNATURE) or DEFAULT_SIGNATURE
    if not isinstance(name, str):
        raise RequestError(
            400,
            f"JSON Value: {_shown(document)} not formatted correctly. 'signature_name' key "
            "must be a string value.",
        )
    if name not in signatures:
        raise RequestError(400, f'Serving signature name: "{name}" not found in signature def')
    wanted = signatures[name].inputs
    if {"instances", "inputs"} <= document.keys():
        raise RequestError(
            400,
            f"JSON Value: {_shown(document)} Not formatted correctly expecting only one of "
            "'inputs' or 'instances' keys to exist ",
        )
    if "instances" in document:
        inputs = _from_rows(document["instances"], wanted)
    elif "inputs" in document:
        inputs = _from_columns(document["inputs"], wanted)
    else:
        raise RequestError(400, "Missing 'inputs' or 'instances' key")
    return checked_request(name, inputs, signatures[name], by_row="instances" in document)


def checked_request(
    name: str, inputs: dict[str, np.ndarray], signature: Signature, *, by_row: bool
) -> PredictRequest:
    """The request of a signature's inputs.

    Raises:
        RequestError: 400 for other shapes than the signature's.
    """
    for key, array in inputs.items():
        _check_shape(key, array, signature.inputs[key])
    request = PredictRequest(name, inputs, by_row)
    if signature.answers_by_row:
        _one_value_a_source(request)
    return request


def read_source(body: bytes, signatures: Mapping[str, Signature]) -> PredictRequest:
    """Reads the body of `generate_stream`: one source, and what it changes of the settings.

    Raises:
        RequestError: 400.
    """
    row = parse_json(body)
    name = "generate" if "generate" in signatures else DEFAULT_SIGNATURE
    wanted = signatures[name].inputs
    if unknown := sorted(row.keys() - wanted.keys()):
        raise RequestError(
            400, f"unknown: {', '.join(unknown)[:200]}; this model takes {', '.join(wanted)}"
        )
    for signal in set(SIGNALS) & row.keys():
        if isinstance(row[signal], list):
            row.setdefault("lengths", len(row[signal]))
    row = {key: value for key, value in AS_EXPORTED.items() if key in wanted} | row
    inputs = _from_rows([row], wanted)
    for key, array in inputs.items():
        _check_shape(key, array, wanted[key])
    return PredictRequest(name, inputs, by_row=True)


def _one_value_a_source(request: PredictRequest) -> None:
    """Repeats what one value stands for all sources; `RequestError` for other counts."""
    rows = request.rows
    if not rows:
        raise RequestError(400, "a request needs at least one source")
    for name, array in request.inputs.items():
        if len(array) == 1:
            request.inputs[name] = np.repeat(array, rows, axis=0)
        elif len(array) != rows:
            raise RequestError(
                400, f"{name} has {len(array)} values, other inputs {rows}; give one a source"
            )


def _from_rows(instances: Any, wanted: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    if not isinstance(instances, list):
        raise RequestError(
            400, f"JSON Value: {_shown(instances)} Excepting 'instances' to be an list/array"
        )
    if not instances:
        raise RequestError(400, "JSON Value: [] No values in 'instances' array")
    objects = _is_object(instances[0])
    if not objects and len(wanted) > 1:
        raise RequestError(
            400,
            "instances is a plain list, but expecting list of objects as multiple input "
            "tensors required as per tensorinfo_map",
        )
    columns: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    for number, row in enumerate(instances):
        if objects != _is_object(row):
            found = (
                "Expecting value/list but got object"
                if not objects
                else ("Expecting object but got list")
            )
            raise RequestError(400, f"{found} at item {number} of input list")
        if not objects:
            row = {next(iter(wanted)): row}
        for name, value in row.items():
            where = f"Failed to process element: {number} key: {name} of 'instances' list."
            if name not in wanted:
                raise RequestError(
                    400,
                    f"{where} Error: INVALID_ARGUMENT: JSON object: does not have named input: "
                    f"{name}",
                )
            try:
                array = _array(value, wanted[name].dtype)
            except RequestError as error:
                raise RequestError(400, f"{where} Error: INVALID_ARGUMENT: {error}") from error
            first = columns[name][0] if columns[name] else array
            if first.shape != array.shape:
                shapes = [list(shape) for shape in (first.shape, array.shape)]
                raise RequestError(
                    400,
                    f"{where} Error: INVALID_ARGUMENT: Expecting shape {shapes[0]} but got: "
                    f"{shapes[1]}",
                )
            columns[name].append(array)
        if row.keys() != wanted.keys():
            raise RequestError(
                400,
                f"Failed to process element: {number} of 'instances' list. JSON object: "
                f"{_shown(row)} keys must be equal to: {','.join(sorted(wanted))}",
            )
    return {name: np.stack(arrays) for name, arrays in columns.items()}


def _from_columns(given: Any, wanted: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    if not _is_object(given):
        if len(wanted) > 1:
            raise RequestError(
                400,
                "inputs is a plain value/list, but expecting an object as multiple input "
                "tensors required as per tensorinfo_map",
            )
        given = {next(iter(wanted)): given}
    for name in wanted:
        if name not in given:
            raise RequestError(400, f"Missing named input: {name} in 'inputs' object.")
    return {name: _array(given[name], tensor.dtype) for name, tensor in wanted.items()}


def _is_object(value: Any) -> bool:
    """Whether it is an object that is not base64 data."""
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _array(value: Any, dtype: str) -> np.ndarray:
    shape: list[int] = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    flat: list[Any] = []
    _fill(value, shape, 0, dtype, flat)
    array = np.empty(len(flat), _DTYPES.get(dtype, dtype))
    array[:] = flat
    return array.reshape(shape)


def _fill(value: Any, shape: Sequence[int], level: int, dtype: str, flat: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise RequestError(
                400,
                f"JSON Value: {_shown(value)} found at incorrect level: {level + 1} in the "
                f"JSON DOM. Expected at level: {len(shape)}",
            )
        flat.append(_scalar(value, dtype))
    elif level >= len(shape):
        raise RequestError(
            400, f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        )
    elif len(value) != shape[level]:
        raise RequestError(
            400,
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected "
            f"size: {shape[level]}",
        )
    else:
        for item in value:
            _fill(item, shape, level + 1, dtype, flat)


def _scalar(value: Any, dtype: str) -> Any:
    if dtype == "string" and isinstance(value, str):
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RequestError(
                400, "JSON Parse error: The surrogate pair in string is invalid."
            ) from error
    if dtype == "string" and isinstance(value, dict):
        return _from_base64(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if dtype == "bool" and isinstance(value, bool):
        return value
    if dtype.startswith("int") and whole:
        limit = 2 ** (int(dtype[3:]) - 1)
        if -limit <= value < limit:
            return value
    if dtype.startswith("float") and (whole or isinstance(value, float)):
        greatest = _EXACT_FLOAT if whole else float(np.finfo(np.float32).max)
        if math.isfinite(value) and abs(value) > greatest:
            raise RequestError(
                400,
                f"Cannot convert JSON value: {_shown(value)} to float without loss of "
                "precision.",
            )
        return value
    kind = "True" if value is True else _KINDS.get(type(value), "Number")
    raise RequestError(
        400, f"JSON Value: {_shown(value)} Type: {kind} is not of expected type: {dtype}"
    )


def _from_base64(value: dict[str, Any]) -> bytes:
    if not _is_base64(value):
        raise RequestError(
            400, f"JSON Value: {_shown(value)} not formatted correctly for base64 data"
        )
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(400, "Unable to base64 decode") from error


def _check_shape(name: str, array: np.ndarray, tensor: Tensor) -> None:
    sizes = zip(array.shape, tensor.shape, strict=False)
    if array.ndim != len(tensor.shape) or any(y not in (None, x) for x, y in sizes):
        wanted = ["?" if size is None else size for size in tensor.shape]
        raise RequestError(
            400, f"{name} must have the shape {wanted}. Received: {list(array.shape)}"
        )


def _shown(value: Any) -> str:
    """The beginning of a value as JSON, for a message."""
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."


def write_answer(outputs: Mapping[str, np.ndarray], by_row: bool) -> bytes:
    """The body of an answer: `predictions`, one a source, or `outputs`, one a name."""
    columns = {name: _plain(name, array) for name, array in outputs.items()}
    answer: Any
    if not by_row:
        answer = {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}
    elif len(columns) > 1:
        rows = zip(*columns.values(), strict=True)
        answer = {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}
    else:
        answer = {"predictions": next(iter(columns.values()))}
    return json.dumps(answer, ensure_ascii=False).encode()


def _plain(name: str, array: np.ndarray) -> Any:
    """Lists that JSON can hold; outputs called `..._bytes` are base64."""
    if array.dtype == object:
        flat = [
            {"b64": base64.b64encode(value).decode()}
            if name.endswith("_bytes")
            else value.decode("utf-8", "replace")
            for value in array.ravel()
        ]
        texts = np.empty(len(flat), object)
        texts[:] = flat
        return texts.reshape(array.shape).tolist()
    if array.dtype == np.float32:
        # The fewest digits that say which float32 it is.
        return array.astype("U32").astype(np.float64).tolist()
    return array.tolist()


def metadata(name: str, version: int, signatures: Mapping[str, Signature]) -> dict[str, Any]:
    """What `/metadata` answers; the names in the graph are by TensorFlow's habit."""

    def described(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Any]:
        return {
            key: {
                "dtype": "DT_FLOAT" if one.dtype == "float32" else f"DT_{one.dtype.upper()}",
                "tensor_shape": {
                    "dim": [
                        {"size": str(-1 if size is None else size), "name": ""}
                        for size in one.shape
                    ],
                    "unknown_rank": False,
                },
                "name": f"{prefix}_{key}:0",
            }
            for key, one in tensors.items()
        }

    def signature(key: str, one: Signature) -> dict[str, Any]:
        return {
            "inputs": described(one.inputs, key),
            "outputs": described(one.outputs, f"{key}_output"),
            "method_name": "tensorflow/serving/predict",
            "defaults": {},
        }

    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(version)},
        "metadata": {
            "signature_def": {
                "signature_def": {key: signature(key, one) for key, one in signatures.items()}
            }
        },
    }
