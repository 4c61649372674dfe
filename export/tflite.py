"""TFLite (LiteRT) file for devices: ids in, ids out, builtin operations only."""

import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.python.convert_phase import ConverterError
from tensorflow.lite.python.lite import TFLiteSavedModelConverterV2
from tensorflow.python.saved_model.loader_impl import parse_saved_model

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import write_new
from keras_seq2seq.garbage import not_collecting
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.settings import GenerationSettings

from .device_bundle import write_bundle
from .eight_bits import give_8_bits
from .flatbuffer import bound_constants, compact, unfit_operations
from .graph import write_graph
from .lacking import check_format
from .signatures import IdSignatures, describe
from .trained import warn_if_untrained

QUANTIZATIONS = ("float32", "float16", "int8")
# Sources of a call at most.
MOST_SOURCES = 1024
# Weights of 32 bits that the converter is asked for at most, on the way to 8 bits: a file has
# less than 2 GiB, and a weight may be in it twice.
MOST_BYTES = 1_000_000_000


class WrittenGraph:
    """The signatures over ids of a model on the disk, traced and written when the first file
    is made of them: files of several quantizations have one graph. A context, in which the
    model stays as it is.

    Args, also attributes:
        model: The model.
        settings: The generation of `serving_default`. Defaults to greedy.
        batch_size: int, from 1 to 1024. Sources of a call. Defaults to 1.
    """

    def __init__(
        self, model: Seq2Seq, settings: GenerationSettings | None = None, batch_size: int = 1
    ):
        self.model, self.batch_size = model, batch_size
        self.settings = settings or GenerationSettings()
        self._folder: tempfile.TemporaryDirectory | None = None

    def __enter__(self) -> "WrittenGraph":
        return self

    def __exit__(self, *error: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    @not_collecting()
    def convert(self, quantization: str) -> bytes:
        """The bytes of a `.tflite` file; errors are those of the function `convert`."""
        self._check(quantization)
        if self._folder is None:
            # A fixed batch: recurrent layers convert to builtin operations only then.
            signatures = IdSignatures(self.model, self.settings, self.batch_size)
            functions = signatures.functions()
            self._folder = tempfile.TemporaryDirectory()
            write_graph(self._folder.name, functions)
        return _convert(self._folder.name, IdSignatures.NAMES, quantization)

    def _check(self, quantization: str) -> None:
        if quantization == "full-int8":
            raise InputError(
                "8-bit activations cannot be exported: TensorFlow's converter crashes when it "
                'calibrates a graph with a loop. Use "int8", whose activations are quantized '
                "as they come (docs/devices.md)."
            )
        if quantization not in QUANTIZATIONS:
            raise InputError(
                f"`quantization` must be one of {QUANTIZATIONS}. Received: {quantization!r}."
            )
        if not 1 <= self.batch_size <= MOST_SOURCES:
            raise InputError(
                f"`batch_size` must be at least 1 and at most {MOST_SOURCES}. Received: "
                f"{self.batch_size}."
            )
        name = "tflite" if quantization == "float32" else f"tflite_{quantization}"
        check_format(name, self.settings)


def convert(
    model: Seq2Seq,
    settings: GenerationSettings | None = None,
    quantization: str = "float32",
    batch_size: int = 1,
) -> bytes:
    """Converts a model to the bytes of a `.tflite` file.

    Three signatures share one copy of the weights: `serving_default` runs the whole loop,
    `encode` and `decode_step` are for hosts that run the loop themselves. The batch is fixed;
    the source length is free.

    Args:
        model: The model.
        settings: The generation of `serving_default`. Defaults to greedy.
        quantization: `"float32"`; `"float16"` for weights of 16 bits that are widened as
            they are read; or `"int8"` for weights of 8 bits with activations that are
            quantized at run time (dynamic range).
        batch_size: int, from 1 to 1024. Sources of a call. Defaults to 1.

    Raises:
        InputError: If `quantization` is unknown, or `batch_size` out of range.
        InputError: If it is `"full-int8"`, the settings sample or do not fit the model, or
            the model has an operation that TFLite lacks; with its name and layer.
    """
    with WrittenGraph(model, settings, batch_size) as graph:
        return graph.convert(quantization)


@not_collecting()
def convert_signatures(functions: dict[str, Any], quantization: str) -> bytes:
    """Converts functions, as `write_graph` takes them, by signature name.

    Raises:
        InputError: If an operation is not builtin in TFLite.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_graph(folder, functions)
        return _convert(folder, functions, quantization)


def _convert(folder: str, names: Iterable[str], quantization: str) -> bytes:
    """The bytes of a file. Weights of 8 bits are made of those of 32, unless the converter has
    to make them."""
    if quantization == "int8" and _size_of_weights(folder) < MOST_BYTES:
        model = _tables(_wide(folder, names))
        if give_8_bits(model):
            return compact(model)
    is_wide = quantization == "float32"
    content = _wide(folder, names) if is_wide else _converted(folder, names, quantization)
    return compact(_tables(content))


def _tables(content: bytes) -> schema.ModelT:
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    bound_constants(model)
    return model


def _wide(folder: str, names: Iterable[str]) -> bytes:
    """What the converter makes with weights of 32 bits, which lies beside the graph for the
    next file that is made of it."""
    path = Path(folder, "float32.tflite")
    if path.exists():
        return path.read_bytes()
    content = _converted(folder, names, "float32")
    path.write_bytes(content)
    return content


def _size_of_weights(folder: str) -> int:
    return sum(path.stat().st_size for path in Path(folder, "variables").glob("*"))


def _converted(folder: str, names: Iterable[str], quantization: str) -> bytes:
    converter = _Converter(folder, {tf.saved_model.SERVING}, list(names))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    # It looks at every weight by itself, for half of the time of it all.
    converter.canonicalizing_inf_as_min_max_float = False
    if quantization != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        content = converter.convert()
    except ConverterError as error:
        raise InputError(_lacking(str(error))) from error
    if unfit := unfit_operations(content):
        listed = ", ".join(
            f"{operation.name}{' in a loop' * operation.in_loop} (at {operation.place})"
            for operation in unfit
        )
        raise InputError(
            f"LiteRT does not run operations of this model, or not reliably: {listed} "
            "(docs/devices.md)."
        )
    return content


class _Converter(TFLiteSavedModelConverterV2):
    """TensorFlow's converter of a SavedModel without what it does beside: it loads the graph
    twice as Python functions and reads and writes the whole file as Python objects, for notes
    on how a file was made that `compact` or no runtime reads. That is half of its time."""

    def convert(self) -> bytes:
        (meta_graph,) = parse_saved_model(self.saved_model_dir).meta_graphs
        return self._convert_from_saved_model(meta_graph.graph_def)

    def _optimize_tflite_model(self, content: bytes, *rest: Any, **options: Any) -> bytes:
        # Of equal weights `compact` keeps one.
        return content


def _lacking(message: str) -> str:
    """The converter's message -> which operations, and where."""
    # Lines such as `error: loc(fused["Inv:", "model/layer/Inv@f"]): 'tf.Inv' op is neither`.
    found = []
    for line in message.splitlines():
        if names := re.findall(r"'tf\.(\w+)' op", line):
            place = re.search(rf'"{names[0]}:", "([^"@]+)', line)
            found.append(names[0] + (f" (at {place[1]})" if place else ""))
    if not found:
        return f"TFLite cannot convert this model: {message.strip()[:300]}"
    return (
        f"TFLite lacks operations of this model: {', '.join(dict.fromkeys(found))}. Replace "
        "what uses them, or export a SavedModel."
    )


@checked
def export_tflite(
    model: Seq2Seq,
    path: str | Path,
    settings: GenerationSettings | None = None,
    quantization: str = "float32",
    *,
    batch_size: int = 1,
    model_name: str = "seq2seq",
    sources: Sequence[Any] = (),
) -> None:
    """Writes a folder for a device: `model.tflite`, both vocabularies, `signatures.json`,
    `test_vectors.json`, `MODEL_CARD.md` and `litert_runner.py`, which runs it without this
    package.

    Args:
        model: Model with a preprocessor.
        path: New folder.
        settings: The generation of `serving_default`. Defaults to greedy.
        quantization: `"float32"`, `"float16"` or `"int8"`; see `convert`.
        batch_size: int. Sources of a call, which take as long as the longest target: for
            throughput. Defaults to 1.
        model_name: Title of the card.
        sources: Sources of the model's data for the test vectors. Defaults to some that are
            made of the vocabulary.

    Raises:
        InputError: If `path` exists, cannot be written, or the model cannot be converted.
    """
    with WrittenGraph(model, settings, batch_size) as graph:
        write_tflite(graph, path, quantization, model_name=model_name, sources=sources)


def write_tflite(
    graph: WrittenGraph,
    path: str | Path,
    quantization: str,
    *,
    model_name: str,
    sources: Sequence[Any] = (),
) -> None:
    """`export_tflite` of a graph that other files are made of too."""
    warn_if_untrained(graph.model)

    def write(folder: Path) -> None:
        content = graph.convert(quantization)
        names = list(IdSignatures.NAMES)
        description = describe(graph.model, graph.settings, quantization, names)
        description["batch_size"] = graph.batch_size
        write_bundle(folder, content, graph.model, description, model_name, sources)

    write_new(Path(path), write)
