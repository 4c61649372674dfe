"""Weights of 8 bits, made of those of a `.tflite` file of 32 bits."""

from typing import NamedTuple

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from .flatbuffer import builtin_number

# Smaller weights stay as they are, as TensorFlow's converter leaves them.
FEWEST_ELEMENTS = 1024
# The greatest weight has 127, and counts as this at least: weights may all be 0.
GREATEST, LEAST = 127, 5e-7
# Half less its last bit: what is below a half by as little does not reach the next integer.
_HALF = np.nextafter(0.5, 0)
# Numbers that are divided together: few enough for a processor's cache.
_PIECE = 1 << 16

_OPERATOR = schema.BuiltinOperator
# Operations whose second input may have weights of 8 bits with a scale for each row, and the
# version that they have then.
_PRODUCTS = {_OPERATOR.FULLY_CONNECTED: 12, _OPERATOR.CONV_2D: 5}
_GATHER_VERSION, _DEQUANTIZE_VERSION = 2, 2
_RUNTIME_KEY, _RUNTIME_VERSION = b"min_runtime_version", b"2.17.0"
# Operations whose weights the converter makes smaller too, and which are left to it.
_OTHERS = frozenset(
    {
        _OPERATOR.BATCH_MATMUL,
        _OPERATOR.BIDIRECTIONAL_SEQUENCE_LSTM,
        _OPERATOR.BIDIRECTIONAL_SEQUENCE_RNN,
        _OPERATOR.CONV_3D,
        _OPERATOR.DEPTHWISE_CONV_2D,
        _OPERATOR.EMBEDDING_LOOKUP,
        _OPERATOR.LSTM,
        _OPERATOR.RNN,
        _OPERATOR.SVDF,
        _OPERATOR.TRANSPOSE_CONV,
        _OPERATOR.UNIDIRECTIONAL_SEQUENCE_LSTM,
        _OPERATOR.UNIDIRECTIONAL_SEQUENCE_RNN,
    }
)


class _Read(NamedTuple):
    """An operation that reads a large constant of 32 bits.

    Attributes:
        operator: The operation.
        place: Which of its inputs it is.
        tensor: Index of the constant in the graph.
        scales: `"rows"` where weights may have a scale for each row, `"one"` where rows are
            gathered, or `""` where the constant stays as it is.
    """

    operator: schema.OperatorT
    place: int
    tensor: int
    scales: str


def give_8_bits(model: schema.ModelT) -> bool:
    """Gives the weights of a model 8 bits in place of 32.

    They are those that TensorFlow's converter makes, in a fraction of its time: `q = round(w /
    s)`, halves away from 0, with `s = max |w| / 127` of each output of a dense layer or a
    convolution, or of all of an embedding. Dense layers quantize their activations as they
    come; rows of an embedding are widened after they are gathered.

    Args:
        model: The tables of a file of float32, which are changed.

    Returns:
        Whether it was done. Else the file has weights that are left to the converter, of other
        operations or not finite, and the tables are of no use any more.
    """
    codes = [builtin_number(code) for code in model.operatorCodes]
    reads = [_reads(model, graph, codes) for graph in model.subgraphs]
    if any(codes[read.operator.opcodeIndex] in _OTHERS for found in reads for read in found):
        return False
    weights = _Weights(model)
    for graph, found in zip(model.subgraphs, reads, strict=True):
        _change(graph, found, weights)
    for entry in model.metadata or []:
        if entry.name == _RUNTIME_KEY:
            text = np.frombuffer(_RUNTIME_VERSION.ljust(16, b"\0"), np.uint8)
            model.buffers[entry.buffer].data = text
    return weights.are_finite


def _reads(model: schema.ModelT, graph: schema.SubGraphT, codes: list[int]) -> list[_Read]:
    found = []
    for operator in graph.operators:
        code = codes[operator.opcodeIndex]
        for place, index in enumerate(operator.inputs):
            tensor = graph.tensors[index]
            data = model.buffers[tensor.buffer].data if index >= 0 else None
            if data is None or tensor.type != schema.TensorType.FLOAT32:
                continue
            if len(data) < 4 * FEWEST_ELEMENTS:
                continue
            scales = ""
            if code in _PRODUCTS and place == 1:
                scales = "rows"
            elif code == _OPERATOR.GATHER and place == 0:
                # A single row is no embedding: nothing but it could be gathered.
                axis = getattr(operator.builtinOptions, "axis", 0)
                is_table = axis == 0 and tensor.shape[0] > 1
                scales = "one" if is_table else ""
            found.append(_Read(operator, place, int(index), scales))
    return found


def _change(graph: schema.SubGraphT, reads: list[_Read], weights: "_Weights") -> None:
    """Has operations read weights of 8 bits, and widens what is gathered of them."""
    kinds: dict[int, set[str]] = {index: {""} for index in graph.outputs}
    for read in reads:
        kinds.setdefault(read.tensor, set()).add(read.scales)
    made: dict[tuple[int, str], int] = {}
    gathered = {}
    for read in reads:
        if not read.scales:
            continue
        key = read.tensor, read.scales
        if key not in made:
            narrow = weights.of(graph.tensors[read.tensor], read.scales)
            if len(kinds[read.tensor]) == 1:
                made[key] = read.tensor
                graph.tensors[read.tensor] = narrow
            else:  # Others read it in another way.
                made[key] = len(graph.tensors)
                graph.tensors.append(narrow)
        inputs = np.array(read.operator.inputs)
        inputs[read.place] = made[key]
        read.operator.inputs = inputs
        if read.scales == "one":
            weights.has_version(read.operator, _GATHER_VERSION)
            gathered[id(read.operator)] = graph.tensors[made[key]].quantization
        else:
            weights.has_version(read.operator, _PRODUCTS[weights.code_of(read.operator)])
            if hasattr(read.operator.builtinOptions, "asymmetricQuantizeInputs"):
                read.operator.builtinOptions.asymmetricQuantizeInputs = True
    operators = []
    for operator in graph.operators:
        operators.append(operator)
        if (quantization := gathered.get(id(operator))) is not None:
            (wide,) = operator.outputs
            narrow = _like(graph.tensors[wide], quantization)
            operator.outputs = np.array([len(graph.tensors)], np.int32)
            graph.tensors.append(narrow)
            operators.append(weights.widening(operator.outputs, wide))
    graph.operators = operators


def _like(tensor: schema.TensorT, quantization: schema.QuantizationParametersT):
    """A tensor of 8 bits of the same shape, without data."""
    narrow = schema.TensorT()
    narrow.shape, narrow.shapeSignature = tensor.shape, tensor.shapeSignature
    narrow.hasRank, narrow.name = tensor.hasRank, tensor.name
    narrow.type, narrow.quantization = schema.TensorType.INT8, quantization
    return narrow


class _Weights:
    """The constants of a model with 8 bits, each made once, and the codes of operations.

    Attributes:
        are_finite: bool. Whether all were finite so far.
    """

    def __init__(self, model: schema.ModelT):
        self._model = model
        self._made: dict[tuple[int, str], tuple[int, schema.QuantizationParametersT]] = {}
        self._widening: int | None = None
        self.are_finite = True

    def code_of(self, operator: schema.OperatorT) -> int:
        return builtin_number(self._model.operatorCodes[operator.opcodeIndex])

    def has_version(self, operator: schema.OperatorT, version: int) -> None:
        """Raises the version of an operation to one that reads weights of 8 bits."""
        code = self._model.operatorCodes[operator.opcodeIndex]
        code.version = max(code.version, version)

    def of(self, tensor: schema.TensorT, scales: str) -> schema.TensorT:
        """The constant with 8 bits and the scales that `_Read` names."""
        key = tensor.buffer, scales
        if key not in self._made:
            data = self._model.buffers[tensor.buffer].data
            values = np.frombuffer(data, np.float32).reshape(tensor.shape)
            numbers, found = quantized(values, by_row=scales == "rows")
            self.are_finite &= bool(np.isfinite(found).all())
            buffer = schema.BufferT()
            buffer.data = numbers.reshape(-1).view(np.uint8)
            quantization = schema.QuantizationParametersT()
            quantization.scale = found
            quantization.zeroPoint = np.zeros(len(found), np.int64)
            self._made[key] = len(self._model.buffers), quantization
            self._model.buffers.append(buffer)
        position, quantization = self._made[key]
        narrow = _like(tensor, quantization)
        narrow.buffer = position
        return narrow

    def widening(self, inputs: np.ndarray, output: int) -> schema.OperatorT:
        """An operation that widens a tensor."""
        if self._widening is None:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = _OPERATOR.DEQUANTIZE
            code.version = _DEQUANTIZE_VERSION
            self._widening = len(self._model.operatorCodes)
            self._model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._widening
        operator.inputs, operator.outputs = inputs, np.array([output], np.int32)
        return operator


def quantized(values: np.ndarray, by_row: bool) -> tuple[np.ndarray, np.ndarray]:
    """`(rows, ...)` float32 -> int8 of the same shape, from -127 to 127, and the scales, one
    for each row or one in all, float32."""
    rows = values.reshape(len(values), -1)
    greatest = np.maximum(rows.max(1), -rows.min(1)).astype(np.float64)
    scales = np.maximum(greatest if by_row else greatest.max(keepdims=True), LEAST) / GREATEST
    divisors = np.broadcast_to(scales, len(rows))[:, None]
    numbers = np.empty(rows.shape, np.int8)
    step = max(1, _PIECE // rows.shape[1])
    with np.errstate(invalid="ignore"):  # What is not finite is seen by its scale.
        for begin in range(0, len(rows), step):
            piece = rows[begin : begin + step] / divisors[begin : begin + step]
            piece += np.copysign(_HALF, piece)
            numbers[begin : begin + step] = piece  # Cut off, not rounded.
    return numbers.reshape(values.shape), scales.astype(np.float32)
