"""Artefacts and models opened to be served: batches of named arrays in and out.

What `keras_seq2seq.serving.server` asks of an engine, with the signatures of `signatures.py`.
"""

import dataclasses
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

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
from .engines import load_saved_model, open_runner
from .request_options import DTYPES
from .signal_signatures import source_signatures

Arrays = dict[str, np.ndarray]

# TensorFlow's memory optimizer keeps sums of large loops in variables by the names of their
# nodes: graphs that run in several Python threads at once could take each other's.
_ONE_AT_A_TIME = threading.Lock()
# Inputs of `generate` -> fields of `GenerationSettings`.
_FIELDS = {"n_best": "num_hypotheses"}
# Of a source without an answer.
_NOTHING = {"log_probs": -1e9, "scores": -1e9}


def open_predictor(path: Path) -> Any:
    """The predictor of a SavedModel or of a device's folder.

    Raises:
        InputError: If it is no artefact of this package, or damaged.
    """
    settings = generation_of(read_description(path), path)
    if (path / "saved_model.pb").exists():
        return SavedModelPredictor(path, joins=not settings.sample)
    if not (path / "model.tflite").exists():
        raise InputError(
            f"{path} cannot be served: a run, a SavedModel and a folder for a device can."
        )
    return LiteRTPredictor(path)


class SavedModelPredictor:
    """A SavedModel.

    Args:
        path: Its folder.
        joins: Whether a source's answer is the same beside others. Defaults to `True`.
    """

    def __init__(self, path: Path, joins: bool = True):
        self.joins = joins
        self.sample_rate = _sample_rate(read_description(path))
        # Kept, since it owns the vocabularies.
        self._loaded = load_saved_model(path)
        self._functions = dict(self._loaded.signatures)
        self.signatures = {
            name: Signature(
                _described(function.structured_input_signature[1]),
                _described(function.structured_outputs),
            )
            for name, function in self._functions.items()
        }

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Outputs of a signature; `RequestError` for inputs that it refuses."""
        return _called(self._functions[signature], self.signatures[signature], inputs)

    def stream(self, inputs: Mapping[str, np.ndarray]) -> Iterator[str] | None:
        """`None`: its loop is in the graph."""
        return None

    def attention(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
        """`None`: it is asked of the model of a run."""
        return None


class KerasPredictor:
    """The Keras model of a run: the functions that an export would hold, and streams.

    Args:
        model: The model, with a preprocessor.
        settings: Of `serving_default`.
    """

    def __init__(self, model: Seq2Seq, settings: GenerationSettings):
        self.joins = not settings.sample
        self.sample_rate = getattr(model.preprocessor, "sample_rate", 0)
        self._model, self._settings = model, settings
        made = source_signatures(model, settings)
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
        return _called(self._functions[signature], self.signatures[signature], inputs)

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
        return {
            "source": found.source_tokens,
            "target": found.target_tokens,
            "weights": np.round(found.weights.astype(float), 4).tolist(),
        }

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
    """

    joins = True

    def __init__(self, path: Path):
        self._runner = open_runner(path)
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
        answers = iter(self._runner.generate_all(taken))
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
        """`None`: it is asked of the model of a run."""
        return None


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


def _called(function: Any, signature: Signature, inputs: Mapping[str, np.ndarray]) -> Arrays:
    tensors = {
        name: tf.constant(array, signature.inputs[name].dtype) for name, array in inputs.items()
    }
    try:
        with _ONE_AT_A_TIME:
            outputs = function(**tensors)
            return {name: tensor.numpy() for name, tensor in outputs.items()}
    except tf.errors.InvalidArgumentError as error:
        raise RequestError(400, error.message) from error
    except tf.errors.ResourceExhaustedError as error:
        raise RequestError(503, f"too large for this machine: {error.message[:200]}") from error
