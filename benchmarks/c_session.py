"""Runs a SavedModel through TensorFlow's C API, as TensorFlow Serving loads it: no Python of
TensorFlow, no Keras, nothing of this package.

The shared library is the one inside TensorFlow's wheel. As a program it reads one JSON
request on standard input, `{"library", "path", "inputs": {tensor: [strings]}, "outputs":
[tensor], "operations": [files]}`, and writes the outputs as JSON: a process that imports no
TensorFlow.
"""

import ctypes
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_STRING = 7  # TF_STRING
_STRING_BYTES = 24  # sizeof(TF_TString)
_DTYPES = {1: np.float32, 3: np.int32, 9: np.int64, 10: np.bool_}


class CError(RuntimeError):
    """What the C API reports: code (3 is invalid argument) and message."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code


class _Output(ctypes.Structure):
    _fields_ = [("oper", ctypes.c_void_p), ("index", ctypes.c_int)]


class CSession:
    """A session of `TF_LoadSessionFromSavedModel`; `run` may be called by several threads.

    Args:
        library: Folder with `libtensorflow_cc.so.2` and `libtensorflow_framework.so.2`.
        path: The SavedModel.
        operations: Shared libraries with operations that are not TensorFlow's own, such as
            those of tensorflow-text, which TensorFlow Serving links. Defaults to none.

    Raises:
        CError: If it cannot be loaded.
    """

    def __init__(
        self, library: str | Path, path: str | Path, operations: Sequence[str | Path] = ()
    ):
        framework = str(Path(library) / "libtensorflow_framework.so.2")
        ctypes.CDLL(framework, mode=ctypes.RTLD_GLOBAL)
        self._c = ctypes.CDLL(str(Path(library) / "libtensorflow_cc.so.2"))
        for name in (
            "TF_NewStatus TF_NewGraph TF_NewSessionOptions TF_LoadSessionFromSavedModel "
            "TF_GraphOperationByName TF_AllocateTensor TF_TensorData TF_StringGetDataPointer "
            "TF_LoadLibrary"
        ).split():
            getattr(self._c, name).restype = ctypes.c_void_p
        for name in ("TF_StringGetSize", "TF_TensorByteSize"):
            getattr(self._c, name).restype = ctypes.c_size_t
        self._c.TF_Dim.restype = ctypes.c_int64
        self._c.TF_Message.restype = ctypes.c_char_p
        for file in operations:
            status = self._status()
            self._c.TF_LoadLibrary(str(file).encode(), status)
            self._check(status)
        self._graph = ctypes.c_void_p(self._c.TF_NewGraph())
        options = ctypes.c_void_p(self._c.TF_NewSessionOptions())
        tags = (ctypes.c_char_p * 1)(b"serve")
        status = self._status()
        self._session = ctypes.c_void_p(
            self._c.TF_LoadSessionFromSavedModel(
                options, None, str(path).encode(), tags, 1, self._graph, None, status
            )
        )
        self._c.TF_DeleteSessionOptions(options)
        self._check(status)

    def _status(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._c.TF_NewStatus())

    def _check(self, status: ctypes.c_void_p) -> None:
        code = self._c.TF_GetCode(status)
        message = self._c.TF_Message(status).decode("utf-8", "replace")
        self._c.TF_DeleteStatus(status)
        if code:
            raise CError(code, message)

    def run(
        self, inputs: Mapping[str, Sequence[str | bytes]], outputs: Sequence[str]
    ) -> list[np.ndarray]:
        """Tensors by name (`"serving_default_text:0"`) -> the values of `outputs`.

        Raises:
            CError: What the server would answer.
        """
        fed = (_Output * len(inputs))(*(self._output(name) for name in inputs))
        fetched = (_Output * len(outputs))(*(self._output(name) for name in outputs))
        tensors = [self._strings(values) for values in inputs.values()]
        values = (ctypes.c_void_p * len(tensors))(*(tensor.value for tensor in tensors))
        results = (ctypes.c_void_p * len(outputs))()
        status = self._status()
        self._c.TF_SessionRun(
            self._session,
            None,
            fed,
            values,
            len(tensors),
            fetched,
            results,
            len(outputs),
            None,
            0,
            None,
            status,
        )
        for tensor in tensors:
            self._c.TF_DeleteTensor(tensor)
        self._check(status)
        arrays = []
        for result in results:
            arrays.append(self._array(ctypes.c_void_p(result)))
            self._c.TF_DeleteTensor(ctypes.c_void_p(result))
        return arrays

    def _output(self, name: str) -> _Output:
        operation, _, index = name.partition(":")
        found = self._c.TF_GraphOperationByName(self._graph, operation.encode())
        if not found:
            raise KeyError(f"The graph has no operation {operation!r}.")
        return _Output(found, int(index or 0))

    def _strings(self, values: Sequence[str | bytes]) -> ctypes.c_void_p:
        size = (ctypes.c_int64 * 1)(len(values))
        tensor = ctypes.c_void_p(
            self._c.TF_AllocateTensor(
                _STRING, size, 1, ctypes.c_size_t(_STRING_BYTES * len(values))
            )
        )
        address = self._c.TF_TensorData(tensor)
        for row, value in enumerate(values):
            content = value.encode() if isinstance(value, str) else value
            place = ctypes.c_void_p(address + _STRING_BYTES * row)
            self._c.TF_StringInit(place)
            self._c.TF_StringCopy(place, content, ctypes.c_size_t(len(content)))
        return tensor

    def _array(self, tensor: ctypes.c_void_p) -> np.ndarray:
        shape = [self._c.TF_Dim(tensor, axis) for axis in range(self._c.TF_NumDims(tensor))]
        address = self._c.TF_TensorData(tensor)
        dtype = self._c.TF_TensorType(tensor)
        if dtype != _STRING:
            size = self._c.TF_TensorByteSize(tensor)
            return np.frombuffer(ctypes.string_at(address, size), _DTYPES[dtype]).reshape(shape)
        values = np.empty(int(np.prod(shape)), object)
        for row in range(values.size):
            place = ctypes.c_void_p(address + _STRING_BYTES * row)
            length = self._c.TF_StringGetSize(place)
            pointer = self._c.TF_StringGetDataPointer(place)
            values[row] = ctypes.string_at(pointer, length) if length else b""
        return values.reshape(shape)


def signature_tensors(
    path: str | Path, signature: str = "serving_default"
) -> tuple[dict[str, str], dict[str, str]]:
    """The graph's tensor names of the inputs and outputs of a signature."""
    from tensorflow.core.protobuf import saved_model_pb2

    content = (Path(path) / "saved_model.pb").read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    definition = graph.signature_def[signature]
    return (
        {name: tensor.name for name, tensor in definition.inputs.items()},
        {name: tensor.name for name, tensor in definition.outputs.items()},
    )


def _plain(array: np.ndarray) -> Any:
    if array.dtype != object:
        return array.tolist()
    flat = [value.decode("utf-8", "replace") for value in array.ravel()]
    return np.array(flat, object).reshape(array.shape).tolist()


if __name__ == "__main__":
    request = json.load(sys.stdin)
    try:
        session = CSession(request["library"], request["path"], request.get("operations", ()))
        answer: Any = [_plain(a) for a in session.run(request["inputs"], request["outputs"])]
    except CError as error:
        answer = {"code": error.code, "message": str(error)}
    if "tensorflow" in sys.modules:
        raise SystemExit("TensorFlow's Python was imported.")
    json.dump(answer, sys.stdout)
