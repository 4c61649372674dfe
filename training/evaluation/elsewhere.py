"""Error rates of a model that JAX trains: a TensorFlow process beside it decodes."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError

# What a line of the answers begins with: libraries may print too.
ANSWER = "keras_seq2seq: "


class Elsewhere:
    """`evaluate` in a process of its own, which is begun when it is first asked and ends with
    the `with` block. It computes on the processor: accelerators are the training's.

    Args:
        pairs: What to decode.
        options: Of `evaluate`, in its order.
        modules: Names of modules of the user's own that a saved model needs.
    """

    def __init__(self, pairs: Pairs, options: Sequence[Any], modules: Sequence[str] = ()):
        self._job = Pairs([*pairs.sources], [*pairs.targets]), options, [*modules]
        self._folder: TemporaryDirectory | None = None
        self._process: subprocess.Popen | None = None

    def ask(self, path: Path) -> dict[str, float]:
        """Error rates and scores of a model on the disk.

        Raises:
            InputError: As `evaluate`, or if the process has ended.
        """
        process = self._begin()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("The process has no pipes.")
        try:
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # What it said before it ended is read below.
        for line in process.stdout:
            if line.startswith(ANSWER):
                told = json.loads(line.removeprefix(ANSWER))
                if "error" in told:
                    raise InputError(told["error"])
                return told
        errors = self._path("errors.txt").read_text("utf-8", "replace").strip().splitlines()
        raise InputError(
            f"The process that decodes ended with status {process.wait()}: "
            f"{errors[-1] if errors else 'it said nothing'}. --monitor loss does without it."
        )

    def __enter__(self) -> "Elsewhere":
        return self

    def __exit__(self, *_: Any) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        if self._folder is not None:
            self._folder.cleanup()

    def _path(self, name: str) -> Path:
        if self._folder is None:
            self._folder = TemporaryDirectory()
        return Path(self._folder.name) / name

    def _begin(self) -> subprocess.Popen:
        if self._process is None:
            job = self._path("job.pickle")
            job.write_bytes(pickle.dumps(self._job))
            with self._path("errors.txt").open("wb") as errors:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "keras_seq2seq.training.evaluation.elsewhere", job],
                    env={
                        **os.environ,
                        "KERAS_BACKEND": "tensorflow",
                        "CUDA_VISIBLE_DEVICES": "-1",
                        "PYTHONPATH": os.pathsep.join(sys.path),
                    },
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                )
        return self._process


def answer(job: Path) -> None:
    """Answers the names of models, a line each, until there are no more."""
    # Of the process that began this one, which alone writes there.
    pairs, options, modules = pickle.loads(job.read_bytes())
    from keras_seq2seq.models import load_model

    from .evaluation import evaluate

    for module in modules:
        import_module(module)
    for line in sys.stdin:
        told: dict[str, Any]
        try:
            model = load_model(line.rstrip("\n"), compile=False)
            told = {k: float(v) for k, v in evaluate(model, pairs, *options).values.items()}
        except InputError as error:
            told = {"error": str(error)}
        print(f"{ANSWER}{json.dumps(told)}", flush=True)


if __name__ == "__main__":
    answer(Path(sys.argv[1]))
