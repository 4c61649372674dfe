"""Artefacts and models opened to be served: batches of named arrays in and out.

What `keras_seq2seq.serving.server` asks of an engine, with the signatures of `signatures.py`.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.decoding.pieces import num_threads
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.pictures.attention import attention_of
from keras_seq2seq.serving.client import AS_EXPORTED, SIGNALS
from keras_seq2seq.serving.tensors import (
    DEFAULT_SIGNATURE,
    RequestError,
    Signature,
    Tensor,
    join,
)
from keras_seq2seq.settings import GenerationSettings

from .description import generation_of, read_description
from .engines import load_session, open_runner
from .litert_runner import LiteRTRunner
from .request_options import DTYPES
from .shown_attention import (
    ALIGNMENTS,
    described_attention,
    shown_attention,
    source_tokenizer_in,
    vocabulary_in,
)
from .signal_signatures import source_signatures

Arrays = dict[str, np.ndarray]

# TensorFlow's memory optimizer keeps sums of large loops in variables by the names of their
# nodes: graphs that run in several Python threads at once could take each other's.
_ONE_AT_A_TIME = threading.Lock()
# Inputs of `generate` -> fields of `GenerationSettings`.
_FIELDS = {"n_best": "num_hypotheses"}
# Of a source without an answer.
_NOTHING = {"log_probs": -1e9, "scores": -1e9}


def open_predictor(path: Path, threads: int = 0) -> Any:
    """The predictor of a SavedModel or of a device's folder.

    Args:
        path: The folder.
        threads: int. How many calls may run at the same time. Defaults to 0, one a processor.

    Raises:
        InputError: If it is no artefact of this package, or damaged.
    """
    settings = generation_of(read_description(path), path)
    if (path / "saved_model.pb").exists():
        return SavedModelPredictor(path, joins=not settings.sample, threads=threads)
    if not (path / "model.tflite").exists():
        raise InputError(
            f"{path} cannot be served: a run, a SavedModel and a folder for a device can."
        )
    return LiteRTPredictor(path, threads)


class SavedModelPredictor:
    """A SavedModel.

    Args:
        path: Its folder.
        joins: Whether a source's answer is the same beside others. Defaults to `True`.
        threads: int. How many calls may run at the same time. Defaults to 0, one a processor.
    """

    def __init__(self, path: Path, joins: bool = True, threads: int = 0):
        self.joins, self.threads = joins, threads or num_threads()
        description = read_description(path)
        self.sample_rate = _sample_rate(description)
        self._session, found = load_session(path)
        self.signatures: dict[str, Signature] = {}
        self._calls: dict[str, Any] = {}
        for name, one in found.items():
            inputs, outputs = (
                dict(sorted(one.inputs.items())),
                dict(sorted(one.outputs.items())),
            )
            self.signatures[name] = Signature(_of_infos(inputs), _of_infos(outputs))
            self._calls[name] = self._session.make_callable(
                [info.name for info in outputs.values()],
                [info.name for info in inputs.values()],
            )
        default = self.signatures[DEFAULT_SIGNATURE]
        self._source = source_tokenizer_in(path, description)
        self._vocabulary = vocabulary_in(path, "target")
        is_named = self._source is not None or "text" not in default.inputs
        self.has_attention = ALIGNMENTS in default.outputs and bool(
            self._vocabulary and is_named
        )

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Outputs of a signature; `RequestError` for inputs that it refuses."""
        described = self.signatures[signature]
        with _refusals():
            arrays = self._calls[signature](*(inputs[name] for name in described.inputs))
        return dict(zip(described.outputs, arrays, strict=True))

    def stream(self, inputs: Mapping[str, np.ndarray]) -> Iterator[str] | None:
        """`None`: its loop is in the graph."""
        return None

    def attention(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
        """Tokens of one source and of its best target, and the weights; `None` for an export
        without alignments."""
        if not self.has_attention:
            return None
        name = "generate" if "generate" in self.signatures else DEFAULT_SIGNATURE
        outputs = self.predict(name, inputs)
        sources = None
        if self._source is not None:
            sources = self._source.split(inputs["text"][0].decode("utf-8", "replace"))
        return shown_attention(outputs, sources, self._vocabulary)


class KerasPredictor:
    """The Keras model of a run: the functions that an export would hold, and streams. One call
    runs at a time.

    Args:
        model: The model, with a preprocessor.
        settings: Of `serving_default`.
        jit_compile: bool. Whether XLA compiles `serving_default`. A batch is padded to a power
            of two, so that it is compiled for few sizes; for each of them and each length of
            sources when it first comes, which takes seconds. Defaults to `False`.

    Raises:
        InputError: If the settings do not fit the model, or XLA cannot compile it.
    """

    threads = 1

    def __init__(self, model: Seq2Seq, settings: GenerationSettings, jit_compile: bool = False):
        self.joins = not settings.sample
        self._is_compiled = jit_compile
        self.sample_rate = getattr(model.preprocessor, "sample_rate", 0)
        self._model, self._settings = model, settings
        self.has_attention = model.has_attention
        made = source_signatures(model, settings, num_threads() if jit_compile else 0)
        self._functions = made.functions()
        source = made.source_spec()
        options = {"prefix": tf.TensorSpec([None], tf.string)} | {
            name: tf.TensorSpec([None], dtype) for name, dtype in DTYPES.items()
        }
        # What has named arguments besides the source; the others tell their own.
        inputs = {"generate": source | options}
        if "score" in self._functions:
            inputs["score"] = made.score_spec()
        self.signatures = {}
        for name, function in self._functions.items():
            concrete = function if name != "generate" else function.get_concrete_function()
            given = inputs.get(name) or concrete.structured_input_signature[1]
            outputs = _described(concrete.structured_outputs)
            self.signatures[name] = Signature(_described(given), outputs)

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Outputs of a signature; `RequestError` for inputs that it refuses."""
        if not (self._is_compiled and signature == DEFAULT_SIGNATURE):
            return _called(self._functions[signature], self.signatures[signature], inputs)
        rows = max(len(array) for array in inputs.values())
        chosen = np.minimum(np.arange(1 << (rows - 1).bit_length()), rows - 1)
        padded = {name: array[chosen] for name, array in inputs.items()}
        outputs = _called(self._functions[signature], self.signatures[signature], padded)
        return {name: array[:rows] for name, array in outputs.items()}

    def stream(self, inputs: Mapping[str, np.ndarray]) -> Iterator[str] | None:
        """The target so far of one source of `generate`, token by token.

        `None` where `predict` has an error for the source: it words it as an export does.
        """
        try:
            source, settings, prefix = self._asked(inputs)
            with _ONE_AT_A_TIME:
                texts = self._model.stream(source, settings, prefix=prefix)
        except InputError:
            return None
        return _in_turn(texts)

    def attention(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
        """Tokens of one source of `generate` and of its best target, and the weights; `None`
        for a model without attention."""
        try:
            with _ONE_AT_A_TIME:
                found = attention_of(self._model, *self._asked(inputs))
        except InputError:
            return None
        return described_attention(found.source_tokens, found.target_tokens, found.weights)

    def _asked(self, inputs: Mapping[str, np.ndarray]) -> tuple[Any, GenerationSettings, str]:
        """Source, settings and prefix of one source; `InputError` for wrong settings."""
        changes: dict[str, Any] = {
            _FIELDS.get(name, name): inputs[name][0].item()
            for name in DTYPES
            if inputs[name][0] != np.array(AS_EXPORTED[name], inputs[name].dtype)
        }
        kind = self._model.preprocessor.kind
        source: Any = inputs[kind][0]
        if kind == "text":
            source = source.decode("utf-8", "replace")
        else:
            source = source[: inputs["lengths"][0]]
        settings = dataclasses.replace(self._settings, **changes)
        return source, settings, inputs["prefix"][0].decode("utf-8", "replace")


class LiteRTPredictor:
    """A device's folder: `serving_default` alone, in batches of the size of its file.

    Args:
        path: Its folder.
        threads: int. How many calls may run at the same time, each with an interpreter of its
            own. Defaults to 0, one a processor.
    """

    joins = True

    def __init__(self, path: Path, threads: int = 0):
        self.threads = threads or num_threads()
        self._runner = open_runner(path)
        self._runners: SimpleQueue[LiteRTRunner] = SimpleQueue()
        self._runners.put(self._runner)
        for _ in range(self.threads - 1):
            self._runners.put(open_runner(path))
        self.sample_rate = _sample_rate(self._runner.description)
        details = self._runner.interpreter.get_signature_runner(
            DEFAULT_SIGNATURE
        ).get_output_details()
        # The axis of sources is free here; sizes that a file leaves open are 1.
        self._outputs = {
            name: (np.dtype(one["dtype"]), tuple(one["shape"][1:]))
            for name, one in details.items()
        }
        outputs = {
            name: Tensor(dtype.name, (None, *(None for _ in shape)))
            for name, (dtype, shape) in self._outputs.items()
        }
        self.has_attention = ALIGNMENTS in outputs
        outputs |= {"text": Tensor("string", (None, None)), "error": Tensor("string", (None,))}
        self.signatures = {DEFAULT_SIGNATURE: Signature(self._inputs(), outputs)}

    def _inputs(self) -> dict[str, Tensor]:
        kind = self._runner.kind
        if kind == "text":
            return {"text": Tensor("string", (None,))}
        inner: tuple[int, ...] = ()
        if kind == "features":
            inner = (int(np.prod(self._runner.description["source"]["feature_shape"])),)
        return {
            kind: Tensor("float32", (None, None, *inner)),
            "lengths": Tensor("int32", (None,)),
        }

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Outputs of `serving_default`; a source that does not fit has an `error`."""
        sources = list(self._sources(inputs))
        errors = [self._error(source) for source in sources]
        taken = [one for one, error in zip(sources, errors, strict=True) if not error]
        runner = self._runners.get()
        try:
            answers = iter(runner.generate_all(taken))
        finally:
            self._runners.put(runner)
        rows = [
            self._nothing(error) if error else self._row(*next(answers)) for error in errors
        ]
        return {name: join([row[name] for row in rows]) for name in rows[0]}

    def _sources(self, inputs: Mapping[str, np.ndarray]) -> Iterator[Any]:
        if "text" in inputs:
            yield from (text.decode("utf-8", "replace") for text in inputs["text"])
            return
        (kind,) = set(SIGNALS) & set(inputs)
        for array, length in zip(inputs[kind], inputs["lengths"], strict=True):
            # One that is longer than its row is refused by the same words as a SavedModel's.
            yield array[:length] if 0 <= length <= len(array) else length

    def _error(self, source: Any) -> str:
        """Why a source has no answer, or an empty string."""
        if isinstance(source, np.integer):
            return f"the length is {source}, and the row has fewer"
        try:
            self._runner.encoder_inputs(source)
        except ValueError as error:
            return str(error)
        return ""

    def _nothing(self, error: str) -> Arrays:
        nothing = {
            name: np.full((1, *(max(size, 1) for size in shape)), _NOTHING.get(name, 0), dtype)
            for name, (dtype, shape) in self._outputs.items()
        }
        hypotheses = nothing["log_probs"].shape[1]
        return nothing | {"text": _strings([[""] * hypotheses]), "error": _strings([error])}

    def _row(self, texts: list[str], outputs: dict[str, Any]) -> Arrays:
        return {name: outputs[name] for name in self._outputs} | {
            "text": _strings([texts]),
            "error": _strings([""]),
        }

    def stream(self, inputs: Mapping[str, np.ndarray]) -> Iterator[str] | None:
        """`None`: its loop is in the graph."""
        return None

    def attention(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
        """Tokens of one source and of its best target, and the weights; `None` for an export
        without alignments."""
        if not self.has_attention:
            return None
        (source,) = self._sources(inputs)
        # The runner of the descriptions: its lock is held for a call.
        _, outputs = self._runner.generate(source)
        sources = self._runner.split(source) if self._runner.kind == "text" else None
        return shown_attention(outputs, sources, self._runner.target.vocabulary)


def _sample_rate(description: Mapping[str, Any]) -> int:
    return description["source"].get("sample_rate") or 0


def _strings(values: Any) -> np.ndarray:
    return np.char.encode(np.array(values, np.str_), "utf-8").astype(object)


def _in_turn(texts: Iterator[str]) -> Iterator[str]:
    while True:
        with _ONE_AT_A_TIME:
            text = next(texts, None)
        if text is None:
            return
        yield text


def _described(tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    return {
        name: Tensor(tensor.dtype.name, tuple(tensor.shape)) for name, tensor in tensors.items()
    }


def _of_infos(infos: Mapping[str, Any]) -> dict[str, Tensor]:
    """As a SavedModel describes them."""
    return {
        name: Tensor(
            tf.dtypes.as_dtype(info.dtype).name, tuple(tf.TensorShape(info.tensor_shape))
        )
        for name, info in infos.items()
    }


def _called(function: Any, signature: Signature, inputs: Mapping[str, np.ndarray]) -> Arrays:
    tensors = {
        name: tf.constant(array, signature.inputs[name].dtype) for name, array in inputs.items()
    }
    with _refusals(), _ONE_AT_A_TIME:
        outputs = function(**tensors)
        return {name: tensor.numpy() for name, tensor in outputs.items()}


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """What a graph says of its inputs, as an error of the request."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        raise RequestError(400, error.message) from error
    except tf.errors.ResourceExhaustedError as error:
        raise RequestError(503, f"too large for this machine: {error.message[:200]}") from error
