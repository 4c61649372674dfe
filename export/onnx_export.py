"""ONNX files for ONNX Runtime: `encode` and `decode_step`, with a loop in NumPy beside them; or
one file with the whole search inside."""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import write_new
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.settings.declarations import settings_of

from . import litert_runner, onnx_runner, plain_search, plain_tokenizers, vector_check
from .description import fingerprint
from .device_bundle import tokenizer_files
from .shortlist import check_no_shortlist
from .signatures import IdSignatures, describe
from .trained import warn_if_untrained

# The latest whose operations the converter writes.
OPSET = 18
# Bytes of a message of protocol buffers, at most one less.
LARGEST = 2**31
# Names of signatures, each with its function and the shapes and dtypes of its inputs.
Functions = dict[str, tuple[Any, dict[str, tf.TensorSpec]]]
_OTHERS = "onnx_loop, tflite or saved_model"
# What `plain_search` has not, each with the value that does nothing.
_LACKING: dict[str, Any] = {
    "sample": False,
    "num_beam_groups": 1,
    "ctc_weight": 0.0,
    "coverage_penalty": 0.0,
    "max_length_ratio": None,
    "min_length_ratio": 0.0,
    "allowed": None,
    "alignments": False,
    "replace_unknown": False,
    "shortlist": None,
}


@checked
def export_onnx(
    model: Seq2Seq, path: str | Path, settings: GenerationSettings | None = None
) -> None:
    """Writes a folder for ONNX Runtime: `encode.onnx`, `decode_step.onnx`, the vocabularies,
    `signatures.json`, and `onnx_runner.py`, which runs them without this package.

    `decode_step` takes `token` and the state by name, and gives `logits` and the entries that
    changed, with `next_` in front of their names. The batch is free.

    Args:
        model: Model with a preprocessor.
        path: New folder.
        settings: How the runner generates. Defaults to greedy.

    Raises:
        InputError: If `path` exists, tf2onnx is not installed or cannot convert the model, or
            the runner lacks a setting.
    """
    settings = settings or GenerationSettings()
    options = settings_of(GenerationSettings)
    for name, value in _LACKING.items():
        if getattr(settings, name) != value:
            raise InputError(
                f"The runner of the ONNX format has no {options[name].option}; leave it out, "
                f"or export {_OTHERS}."
            )
    if getattr(model.preprocessor.target_tokenizer, "writes_times", False):
        raise InputError(
            f"The runner of the ONNX format has no rules for marks of time: export {_OTHERS}."
        )
    signatures = IdSignatures(model, settings)
    functions = {
        "encode": (signatures.encode, model.encoder_spec(None)),
        "decode_step": (signatures.decode_step, signatures.step_spec()),
    }
    more = {"search": _search_options(model, settings)}
    _write(model, path, settings, functions, more)


@checked
def export_onnx_loop(
    model: Seq2Seq, path: str | Path, settings: GenerationSettings | None = None
) -> None:
    """Writes a folder for ONNX Runtime with the whole search in one file, `generate.onnx`: ids,
    frames or sound in, hypotheses out, as `serving_default` of a `.tflite` file. The batch is
    free. The runner beside it is that of `export_onnx`.

    Args:
        model: Model with a preprocessor.
        path: New folder.
        settings: The generation. Defaults to greedy.

    Raises:
        InputError: If `path` exists, the settings sample, or tf2onnx is not installed or
            cannot convert the model.
    """
    settings = settings or GenerationSettings()
    if settings.sample:
        raise InputError(
            "Sampling cannot be exported to ONNX, whose random numbers are not TensorFlow's. "
            "Export a search, or sampling as saved_model."
        )
    check_no_shortlist(settings, "onnx_loop")
    signatures = IdSignatures(model, settings)
    functions = {"generate": (signatures.generate, model.encoder_spec(None))}
    _write(model, path, settings, functions, {})


def _write(
    model: Seq2Seq,
    path: str | Path,
    settings: GenerationSettings,
    functions: Functions,
    more: dict[str, Any],
) -> None:
    """The folder of these functions, with more in its description."""
    warn_if_untrained(model)
    description = describe(model, settings, "float32", list(functions)) | more

    def write(folder: Path) -> None:
        contents = _convert(functions)
        folder.mkdir(parents=True)
        contents |= {name: text.encode() for name, text in tokenizer_files(model).items()}
        files = {name: fingerprint(content) for name, content in contents.items()}
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        text = json.dumps(description | {"files": files}, indent=2)
        (folder / "signatures.json").write_text(text, "utf-8")
        for module in (
            onnx_runner,
            litert_runner,
            plain_search,
            plain_tokenizers,
            vector_check,
        ):
            shutil.copy(str(module.__file__), folder)

    write_new(Path(path), write)


def _search_options(model: Any, settings: GenerationSettings) -> dict[str, Any]:
    """What `plain_search.search` takes: numbers and ids alone."""
    values = model.values(settings)
    biases = values.get("token_biases", np.zeros(0, np.float32))
    target = model.preprocessor.target_tokenizer
    same = (
        *("num_beams", "num_hypotheses", "length_penalty", "length_rule", "patience"),
        *("min_length", "repetition_penalty", "no_repeat_ngram_size"),
    )
    return {
        **{name: getattr(settings, name) for name in same},
        "max_length": int(values["max_length"]),
        "start": model.start_id,
        "end": model.end_id,
        # Of each position the ids of which the most probable is taken.
        "prefix": target.begin_choices,
        "never_first": target.never_first_ids,
        "suppressed": np.flatnonzero(values["suppressed"]).tolist(),
        "biases": [[int(one), float(biases[one])] for one in np.flatnonzero(biases)],
    }


def _convert(functions: Functions) -> dict[str, bytes]:
    """Names of files -> their contents."""
    try:
        import tf2onnx
    except ImportError as error:
        raise InputError(
            "Writing ONNX needs tf2onnx: `pip install keras-seq2seq[onnx]`."
        ) from error
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    contents = {}
    for name, (call, spec) in functions.items():
        function, names = _listed(call, spec)
        traced = function.get_concrete_function()
        try:
            with _without_warnings():
                proto, _ = tf2onnx.convert.from_function(
                    function,
                    input_signature=[*spec.values()],
                    opset=OPSET,
                    custom_op_handlers={"Erfc": (_erfc, [])},
                )
        except Exception as error:  # Of as many kinds as there are operations.
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"tf2onnx cannot convert {name}: {reason}") from error
        inner = zip(traced.inputs[len(spec) :], traced.captured_inputs, strict=True)
        _hold(proto, {tensor.name: value for tensor, value in inner})
        # An output may not have the name of an input.
        prefix = onnx_runner.NEXT if name == "decode_step" else ""
        _name(proto, [f"{prefix}{one}" if one in spec else one for one in names])
        _check(proto, name)
        if proto.ByteSize() >= LARGEST:
            raise InputError(
                f"{name}.onnx would have {proto.ByteSize():,} bytes, and a file of ONNX less "
                "than 2 GB. Export saved_model."
            )
        contents[f"{name}.onnx"] = proto.SerializeToString()
    return contents


def _erfc(graph: Any, node: Any, name: str, _: Any) -> None:
    """What the converter lacks: `erfc(x) = 1 - erf(x)`."""
    (source,), outputs, dtype = node.input, node.output, graph.get_dtype(node.output[0])
    shapes, dtypes = [graph.get_shape(one) for one in outputs], [dtype]
    graph.remove_node(name)
    one = graph.make_const(f"{name}_one", np.array(1, np.float32)).output[0]
    erf = graph.make_node("Erf", [source], dtypes=dtypes, shapes=shapes).output[0]
    graph.make_node("Sub", [one, erf], name=name, outputs=outputs, dtypes=dtypes, shapes=shapes)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """The converter copies graphs with the tables of whatever was loaded in the process, of
    which TensorFlow warns, and which no file here holds."""
    logger = logging.getLogger("tensorflow")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _listed(call: Any, spec: dict[str, tf.TensorSpec]) -> tuple[Any, list[str]]:
    """A `tf.function` of the tensors in their order, with a list of outputs; and the list that
    their names are in once it is traced."""
    names: list[str] = []

    def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
        outputs = call(**dict(zip(spec, tensors, strict=True)))
        names[:] = outputs
        return list(outputs.values())

    return tf.function(run, autograph=False, input_signature=[*spec.values()]), names


def _hold(proto: Any, captured: dict[str, Any]) -> None:
    """Makes constants of the inputs that the graph captured."""
    from onnx import numpy_helper

    for one in list(proto.graph.input):
        if one.name in captured:
            array = captured[one.name].numpy()
            proto.graph.initializer.append(numpy_helper.from_array(array, one.name))
            proto.graph.input.remove(one)


def _name(proto: Any, names: list[str]) -> None:
    """Gives the outputs their names, in their order."""
    from onnx import helper

    for output, name in zip(proto.graph.output, names, strict=True):
        proto.graph.node.append(helper.make_node("Identity", [output.name], [name]))
        output.name = name


def _check(proto: Any, name: str) -> None:
    """`InputError` for operations that the converter left as they were."""
    from onnx import defs

    lacking = {node.op_type for node in proto.graph.node if not defs.has(node.op_type)}
    if lacking:
        raise InputError(
            f"ONNX lacks operations of {name}: {', '.join(sorted(lacking))}. Export tflite or "
            "saved_model."
        )
