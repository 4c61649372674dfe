"""Artefacts opened to generate, all with one interface, and what a process of each takes."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.converters import from_safetensors
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.settings import GenerationSettings

from .ctranslate2_runner import CTranslate2Runner
from .description import ADVICE, generation_of, kind_of, read_description
from .litert_runner import LiteRTRunner
from .native_notes import without_notes
from .onnx_runner import OnnxLoopRunner, OnnxRunner

# Sources, texts or arrays -> of each its target texts and their log probabilities, the best
# first.
Generate = Callable[[Sequence[Any]], list[tuple[list[str], np.ndarray]]]


@dataclass(frozen=True)
class Engine:
    """Something that generates.

    Attributes:
        name: Name of the artefact.
        quantization: `"float32"`, `"float16"` or `"int8"`.
        settings: Its search.
        generate: Sources -> target texts and log probabilities of each.
        threads: Threads of LiteRT, ONNX Runtime or CTranslate2; 0 for TensorFlow's own choice.
        command: Program that reads sources on standard input and needs the artefact alone;
            empty for the Keras model.
        batch_size: Sources that it decodes together; 1 for what takes any number.
    """

    name: str
    quantization: str
    settings: GenerationSettings
    generate: Generate
    threads: int = 0
    command: tuple[str, ...] = ()
    batch_size: int = 1


def open_artefact(path: Path, threads: Sequence[int] = (1,)) -> list[Engine]:
    """The engines of an artefact: one for each number of threads, where it takes one.

    Raises:
        InputError: If it is none that this package wrote, or damaged.
    """
    description = read_description(path)
    settings = generation_of(description, path)
    # The name of a version is a number alone.
    name = f"{path.absolute().parent.name}/{path.name}" if path.name.isdecimal() else path.name
    quantization = str(description.get("quantization"))
    kind = kind_of(path)
    if kind == "saved_model.pb":
        command = (sys.executable, "-c", SAVED_MODEL_PROGRAM, str(path))
        generate = _saved_model(path)
        return [Engine(name, quantization, settings, generate, 0, command)]
    if kind == "model.safetensors":
        engine = keras_engine(from_safetensors(path), settings)
        return [replace(engine, name=name, quantization=quantization)]
    module, runner = _RUNNERS[str(kind)]
    program = RUNNER_PROGRAM.format(module=module, runner=runner.__name__)
    return [
        Engine(
            name,
            quantization,
            settings,
            _run_by(runner, path, count),
            count,
            (sys.executable, "-c", program, str(path), str(count)),
            description.get("batch_size", 1),
        )
        for count in threads
    ]


def keras_engine(model: Seq2Seq, search: GenerationSettings) -> Engine:
    """The Keras model itself."""

    def generate(sources: Sequence[Any]):
        hypotheses = model.search(sources, search)
        texts = model.texts(hypotheses, sources if search.replace_unknown else None)
        return list(zip(texts, hypotheses.log_probs, strict=True))

    return Engine("Keras model", "float32", search, generate)


# Each reads sources on standard input and prints the peak of its resident memory: of the
# program alone, which `getrusage` does not give (it keeps what the parent had).
_PEAK = """
try:
    lines = open("/proc/self/status").read().splitlines()
    print([line.split()[1] for line in lines if line.startswith("VmHWM")][0])
except OSError:
    print("nan")
"""
SAVED_MODEL_PROGRAM = (
    """
import sys
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
serving = model.signatures["serving_default"]
names = set(serving.structured_input_signature[1])
for line in sys.stdin:
    line = line.rstrip("\\n")
    if names == {"text"}:
        serving(text=tf.constant([line]))
    else:
        array = np.load(line)
        inputs = {(names - {"lengths"}).pop(): tf.constant(array[None])}
        serving(lengths=tf.constant([len(array)]), **inputs)
"""
    + _PEAK
)
RUNNER_PROGRAM = (
    """
import sys
sys.path.insert(0, sys.argv[1])
from {module} import {runner}
runner = {runner}(sys.argv[1], int(sys.argv[2]))
runner.generate_all([line.rstrip("\\n") for line in sys.stdin])
"""
    + _PEAK
)


def peak_megabytes(engine: Engine, sources: Sequence[Any]) -> float:
    """The most resident memory of a new process that runs the artefact alone, in MB.

    NaN for the Keras model, and where the system has no `/proc`.

    Raises:
        InputError: If the process fails.
    """
    if not engine.command:
        return float("nan")
    with tempfile.TemporaryDirectory() as folder:
        lines = [_line(source, Path(folder) / f"{i}.npy") for i, source in enumerate(sources)]
        done = subprocess.run(
            engine.command,
            input="".join(f"{line}\n" for line in lines).encode(),
            capture_output=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            check=False,
        )
    if done.returncode:
        raise InputError(f"{engine.name} fails on its own: {done.stderr.decode()[-300:]}")
    return float(done.stdout.split()[-1]) * 1024 / 1e6


def _line(source: Any, path: Path) -> str:
    """A source as a line of text: itself, or the file that an array is saved to."""
    if isinstance(source, str):
        return source
    np.save(path, source)
    return str(path)


def load_saved_model(path: Path) -> Any:
    """The SavedModel; `InputError` if it is damaged."""
    with _damaged(path):
        return tf.saved_model.load(str(path))


def load_session(path: Path) -> tuple[tf.compat.v1.Session, dict[str, Any]]:
    """The SavedModel as a server runs it: a session, and its signatures by name.

    Threads may call it at the same time: each runs the graph by itself, operation after
    operation, and what a run keeps is its own. `InputError` if it is damaged.
    """
    # In the thread that calls, without a pool.
    config = tf.compat.v1.ConfigProto(inter_op_parallelism_threads=-1)
    graph = tf.Graph()
    with _damaged(path), graph.as_default(), _without_warnings():
        session = tf.compat.v1.Session(graph=graph, config=config)
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
    # What makes the tables is none that can be asked.
    signatures = loaded.signature_def.items()
    return session, {name: one for name, one in signatures if name != _INIT}


@contextmanager
def _without_warnings() -> Iterator[None]:
    """TensorFlow would have its loader of sessions, which it documents as an old one, said."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


_INIT = "__saved_model_init_op"

# File that tells the kind -> module of the folder, and its class.
_RUNNERS: dict[str, tuple[str, type[LiteRTRunner]]] = {
    "model.tflite": ("litert_runner", LiteRTRunner),
    "decode_step.onnx": ("onnx_runner", OnnxRunner),
    "generate.onnx": ("onnx_runner", OnnxLoopRunner),
    "model.bin": ("ctranslate2_runner", CTranslate2Runner),
}
_ONNX = "ONNX needs onnxruntime: `pip install keras-seq2seq[onnx]`"
_NEEDED = {
    LiteRTRunner: "a .tflite file needs ai-edge-litert: `pip install keras-seq2seq[litert]`",
    CTranslate2Runner: "a folder for CTranslate2 needs it: `pip install ctranslate2`",
    OnnxRunner: _ONNX,
    OnnxLoopRunner: _ONNX,
}


def open_runner(
    path: Path, threads: int = 1, runner: type[LiteRTRunner] = LiteRTRunner
) -> LiteRTRunner:
    """The runner of a folder; `InputError` if it is damaged."""
    try:
        with _damaged(path), without_notes():
            return runner(path, threads)
    except ImportError as error:
        raise InputError(f"Running {_NEEDED[runner]}.") from error


def _saved_model(path: Path) -> Generate:
    loaded = load_saved_model(path)
    with _damaged(path):
        serving = loaded.signatures["serving_default"]
        names = set(serving.structured_input_signature[1])
        inputs_name = (names - {"lengths"}).pop()

    def answer(source: Any):
        inputs = {inputs_name: tf.constant([source])}
        if "lengths" in names:
            inputs["lengths"] = tf.constant([len(source)])
        with _damaged(path):
            # Keeps `loaded`, which owns the vocabularies, alive.
            outputs = loaded and serving(**inputs)
            texts = [text.decode("utf-8", "replace") for text in outputs["text"].numpy()[0]]
            return texts, outputs["log_probs"].numpy()[0]

    return lambda sources: [answer(source) for source in sources]


def _run_by(kind: type[LiteRTRunner], path: Path, threads: int) -> Generate:
    runner = open_runner(path, threads, kind)

    def generate(sources: Sequence[Any]):
        with _damaged(path):
            answers = runner.generate_all(sources)
            return [(texts, outputs["log_probs"][0]) for texts, outputs in answers]

    return generate


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Whatever a runtime raises about an artefact, in one line that names it."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # Of as many kinds as there are ways to be damaged.
        reason = getattr(error, "message", None) or str(error) or type(error).__name__
        raise InputError(
            f"{path} cannot be run, it may be damaged: {reason[:300].rstrip('.')}. {ADVICE}"
        ) from error
