"""Which operations a `.tflite` file needs, read from its own tables."""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Operation:
    """One operation of a file.

    Attributes:
        name: Such as `"FULLY_CONNECTED"`, or the name of a custom operation (`"FlexRelu"`).
        is_builtin: Whether every LiteRT runtime has it.
        place: Name of the tensor that it makes, which tells the layer.
    """

    name: str
    is_builtin: bool
    place: str


def read_operations(content: bytes) -> list[Operation]:
    """The operations of a `.tflite` file, those of its loops and branches too."""
    model = schema.Model.GetRootAsModel(content, 0)
    operations = []
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        for position in range(graph.OperatorsLength()):
            operator = graph.Operators(position)
            code = model.OperatorCodes(operator.OpcodeIndex())
            # Files that old readers understand keep small numbers in the older field.
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            is_builtin = number != schema.BuiltinOperator.CUSTOM
            name = _BUILTINS[number] if is_builtin else (code.CustomCode() or b"?").decode()
            place = ""
            if operator.OutputsLength():
                place = (graph.Tensors(operator.Outputs(0)).Name() or b"").decode()
            operations.append(Operation(name, is_builtin, place))
    return operations


def unfit_operations(content: bytes) -> list[Operation]:
    """Operations that are not builtin, or keep a state between calls."""
    return [
        operation
        for operation in read_operations(content)
        if not operation.is_builtin or operation.name in STATEFUL
    ]
