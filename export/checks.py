"""Whether a model of parts of one's own can be exported, and says the same there."""

import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.testing import ContractError
from keras_seq2seq.testing.comparison import require_equal
from keras_seq2seq.testing.samples import Inputs, lengths_of, sample_sources

from .graph import write_graph
from .litert_runner import Growing
from .native_notes import without_notes
from .tflite import convert


def check_exports(
    model: Seq2Seq,
    inputs: Inputs | None = None,
    *,
    settings: GenerationSettings | None = None,
    formats: Sequence[str] = ("saved_model", "tflite"),
) -> None:
    """Checks that a search runs outside of Keras and generates the same.

    As a SavedModel, with a batch of any size; and as a `.tflite` file of builtin operations
    alone, one source at a time. Ids go in and come out, so no preprocessor is needed.

    Args:
        model: `Seq2Seq`, of any weights.
        inputs: Encoder inputs of some sources. By default made at random.
        settings: How targets are generated. Defaults to a beam of 2, at most 6 tokens.
        formats: `"saved_model"`, `"tflite"`, or both, the default. The latter needs the
            package `ai-edge-litert`.

    Raises:
        ContractError: An `AssertionError`: an operation cannot be exported, or a result
            differs.
    """
    inputs = inputs or sample_sources(model.encoder)
    settings = settings or GenerationSettings(num_beams=2, max_length=6)

    def generate(**given: Any) -> dict[str, Any]:
        result = model.generate_ids(given, settings)
        return {"token_ids": result.token_ids, "scores": result.scores}

    expected = generate(**_tensors(inputs))  # Without a graph, where nothing is fixed.
    for kind in formats:
        run = {"saved_model": _saved_model, "tflite": _tflite}[kind]
        engine, rows = run(model, settings, generate), [slice(None)]
        if kind == "tflite":
            rows = [slice(row, row + 1) for row in range(len(lengths_of(inputs)))]
        for chosen in rows:
            given = {name: np.ascontiguousarray(a[chosen]) for name, a in inputs.items()}
            received = engine(given)
            for name, atol in (("token_ids", 0.0), ("scores", 1e-4)):
                require_equal(
                    f"The {kind} differs in {name} from the model (sources {chosen})",
                    received[name],
                    expected[name][chosen],
                    axes=("source", "hypothesis", "position"),
                    atol=atol,
                    cause="Usually something is decided in Python when the graph is made: a "
                    "shape, a length, a number at random.",
                )


def _saved_model(model: Seq2Seq, settings: Any, generate: Any) -> Any:
    spec, function = model.encoder_spec(), tf.function(generate, autograph=False)
    try:
        with tempfile.TemporaryDirectory() as folder:
            write_graph(folder, {"generate": function.get_concrete_function(**spec)})
            loaded = tf.saved_model.load(folder)
    except (AssertionError, TypeError, ValueError) as error:
        raise ContractError(f"The search cannot be saved: {_first_line(error)}") from error
    signature = loaded.signatures["generate"]
    # The object holds what the signature reads.
    return lambda given: (loaded, signature(**_tensors(given)))[1]


def _tflite(model: Seq2Seq, settings: Any, generate: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        content = convert(model, settings)
    except InputError as error:
        raise ContractError(str(error)) from error
    with without_notes():
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        run = Growing(interpreter.get_signature_runner("serving_default"))
    return lambda given: run(**given)


def _tensors(given: Inputs) -> dict[str, tf.Tensor]:
    return {name: tf.constant(array) for name, array in given.items()}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
