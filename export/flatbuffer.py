"""The tables of a `.tflite` file: which operations it needs, and how small they can be."""

import hashlib
from dataclasses import dataclass

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

_BUILTINS = {
    number: name
    for name, number in vars(schema.BuiltinOperator).items()
    if not name.startswith("_")
}

# Operations with a state that outlives a call: two users of one interpreter would share it.
STATEFUL = frozenset(
    {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"}
    | {"HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_SIZE"}
)

# Inside a loop LiteRT's XNNPACK delegate now and then runs them with the length of the call
# before (ai_edge_litert 2.3: about one call in a hundred after the length changed).
CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"})


@dataclass(frozen=True)
class Operation:
    """One operation of a file.

    Attributes:
        name: Such as `"FULLY_CONNECTED"`, or the name of a custom operation (`"FlexRelu"`).
        is_builtin: Whether every LiteRT runtime has it.
        place: Name of the tensor that it makes, which tells the layer; none after `compact`.
        in_loop: Whether it is part of a loop.
    """

    name: str
    is_builtin: bool
    place: str
    in_loop: bool


def read_operations(content: bytes) -> list[Operation]:
    """The operations of a `.tflite` file, those of its loops and branches too."""
    model = schema.Model.GetRootAsModel(content, 0)
    loops = _loop_graphs(model)
    operations = []
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        for position in range(graph.OperatorsLength()):
            operator = graph.Operators(position)
            code = model.OperatorCodes(operator.OpcodeIndex())
            number = builtin_number(schema.OperatorCodeT.InitFromObj(code))
            is_builtin = number != schema.BuiltinOperator.CUSTOM
            name = _BUILTINS[number] if is_builtin else (code.CustomCode() or b"?").decode()
            place = ""
            if operator.OutputsLength():
                place = (graph.Tensors(operator.Outputs(0)).Name() or b"").decode()
            operations.append(Operation(name, is_builtin, place, index in loops))
    return operations


def _loop_graphs(model: schema.Model) -> set[int]:
    """Indices of the graphs that are conditions and bodies of loops."""
    found = set()
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        for position in range(graph.OperatorsLength()):
            operator = graph.Operators(position)
            if operator.BuiltinOptionsType() == schema.BuiltinOptions.WhileOptions:
                table = operator.BuiltinOptions()
                options = schema.WhileOptions()
                options.Init(table.Bytes, table.Pos)
                found |= {options.CondSubgraphIndex(), options.BodySubgraphIndex()}
    return found


def builtin_number(code: schema.OperatorCodeT) -> int:
    """Which operation it is. Files that old readers understand keep small numbers in the
    older field."""
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def unfit_operations(content: bytes) -> list[Operation]:
    """Operations that are not builtin, keep a state between calls, or cannot be trusted in a
    loop."""
    return [
        operation
        for operation in read_operations(content)
        if not operation.is_builtin
        or operation.name in STATEFUL
        or (operation.in_loop and operation.name in CONVOLUTIONS)
    ]


def bound_constants(model: schema.ModelT) -> None:
    """Makes infinite constants the greatest or least finite number of 32 bits, as TensorFlow's
    converter does unless it is told not to."""
    of_floats = {
        tensor.buffer
        for graph in model.subgraphs
        for tensor in graph.tensors
        if tensor.type == schema.TensorType.FLOAT32
    }
    most = np.finfo(np.float32).max
    for index in of_floats:
        buffer = model.buffers[index]
        if buffer.data is not None:
            values = np.frombuffer(buffer.data, np.float32)
            if np.isinf(values).any():
                buffer.data = np.clip(values, -most, most).view(np.uint8)


class _SharingBuilder(flatbuffers.Builder):
    """Writes each string and each short vector once, however many tables refer to it."""

    # Longer ones are weights, whose buffers are shared.
    LONGEST_SHARED = 1 << 16
    # What the schema demands of weights; LiteRT reads them where they lie in the file.
    DATA_ALIGNMENT = 16

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[object, int] = {}

    def CreateString(self, s: str | bytes, *options: str) -> int:
        if s not in self._written:
            self._written[s] = super().CreateString(s, *options)
        return self._written[s]

    def CreateNumpyVector(self, x: np.ndarray) -> int:
        content = x.tobytes()
        if len(content) > self.LONGEST_SHARED:
            return self._write(x.itemsize, content)
        key = x.dtype.str, content
        if key not in self._written:
            self._written[key] = self._write(x.itemsize, content)
        return self._written[key]

    def _write(self, item_size: int, content: bytes) -> int:
        count = len(content) // item_size
        self.StartVector(item_size, count, self.DATA_ALIGNMENT if item_size == 1 else item_size)
        self.head -= len(content)
        self.Bytes[self.head : self.head + len(content)] = content
        self.vectorNumElems = count
        return self.EndVector()


def compact(model: schema.ModelT) -> bytes:
    """The bytes of a model, whose tables it changes, fewer than the converter writes.

    The converter gives each tensor its own name, shape, scales and zero points (8 bytes for
    each channel, all 0 for weights), and each signature has tensors and buffers of its own for
    the weights; and each tensor without data has an empty buffer. Here tables refer to one copy
    of what is equal, and tensors without data, or whose data nothing reads, to buffer 0, which
    the schema keeps empty. What goes from one operation to the next loses its name, which no
    runtime reads; inputs, outputs and weights keep theirs. No value or operation is changed.
    """
    named = {
        (signature.subgraphIndex, tensor.tensorIndex)
        for signature in model.signatureDefs or []
        for tensor in (*signature.inputs, *signature.outputs)
    }
    tensors: list[schema.TensorT] = []
    first: dict[bytes, int] = {}
    for graph_index, graph in enumerate(model.subgraphs):
        read = {int(index) for operator in graph.operators for index in operator.inputs}
        read.update(map(int, graph.outputs))
        for index, tensor in enumerate(graph.tensors):
            tensors.append(tensor)
            data = model.buffers[tensor.buffer].data
            if data is None or index not in read:
                tensor.buffer = 0
                if (graph_index, index) not in named:
                    tensor.name = None
            elif not tensor.isVariable:
                # Constants: nothing writes to them.
                digest = hashlib.sha256(data).digest()
                tensor.buffer = first.setdefault(digest, tensor.buffer)
    users = tensors + (model.metadata or [])
    kept = sorted({0, *(user.buffer for user in users)})
    moved = {old: new for new, old in enumerate(kept)}
    model.buffers = [model.buffers[old] for old in kept]
    for user in users:
        user.buffer = moved[user.buffer]
    size = sum(len(one.data) for one in model.buffers if one.data is not None)
    builder = _SharingBuilder(size)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
