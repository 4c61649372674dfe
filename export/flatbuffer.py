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

# Inside a loop LiteRT's XNNPACK delegate now and then runs them with the length of the call
# before (ai_edge_litert 2.3: about one call in a hundred after the length changed).
CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"})


@dataclass(frozen=True)
class Operation:
    """One operation of a file.

    Attributes:
        name: Such as `"FULLY_CONNECTED"`, or the name of a custom operation (`"FlexRelu"`).
        is_builtin: Whether every LiteRT runtime has it.
        place: Name of the tensor that it makes, which tells the layer.
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
            # Files that old readers understand keep small numbers in the older field.
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
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
