"""Runs an exported folder with ONNX Runtime: needs numpy and onnxruntime, nothing else.

A copy of this file, of `litert_runner.py`, `plain_search.py`, `plain_tokenizers.py` and
`vector_check.py` lies in the folder; there it is a program too:

    python onnx_runner.py hello world
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

try:
    from .litert_runner import LiteRTRunner, run_program
    from .plain_search import search
except ImportError:  # In an exported folder.
    from litert_runner import (  # type: ignore[import-not-found, no-redef]
        LiteRTRunner,
        run_program,
    )
    from plain_search import search  # type: ignore[import-not-found, no-redef]

# What an output of a step has in front of the name of the entry that it replaces.
NEXT = "next_"


class OnnxRunner(LiteRTRunner):
    """Strings, sound or frames in, strings out, from the folder that `export_onnx` writes.

    The loop is NumPy; sources, tokens and files are read as `LiteRTRunner` reads them.

    Args:
        path: The folder.
        num_threads: int. Defaults to 1.

    Raises:
        FileNotFoundError: If the folder lacks a file.
        ValueError: As of `LiteRTRunner`.
    """

    MODELS = ("encode.onnx", "decode_step.onnx")

    def _open(self, path: Path, num_threads: int) -> Callable[..., dict[str, Any]]:
        encoder, decoder = (_session(path / name, num_threads) for name in self.MODELS)
        outputs = [output.name for output in decoder.get_outputs()]
        wanted = [name for name in outputs if name == "logits" or name.startswith(NEXT)]
        takes = {one.name for one in decoder.get_inputs()}

        def step(
            tokens: np.ndarray, state: dict[str, np.ndarray]
        ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            found = dict(
                zip(wanted, decoder.run(wanted, {"token": tokens, **state}), strict=True)
            )
            logits = found.pop("logits")
            return logits, {name.removeprefix(NEXT): entry for name, entry in found.items()}

        def generate(**inputs: np.ndarray) -> dict[str, np.ndarray]:
            names = [output.name for output in encoder.get_outputs()]
            state = dict(zip(names, encoder.run(names, inputs), strict=True))
            state = {name: entry for name, entry in state.items() if name in takes}
            return search(step, state, self.description["search"])

        return generate


class OnnxLoopRunner(LiteRTRunner):
    """The same, from the folder that `export_onnx_loop` writes: the loop is in the file.

    Args:
        path: The folder.
        num_threads: int. Defaults to 1.

    Raises:
        FileNotFoundError: If the folder lacks a file.
        ValueError: As of `LiteRTRunner`.
    """

    MODELS = ("generate.onnx",)

    def _open(self, path: Path, num_threads: int) -> Callable[..., dict[str, Any]]:
        session = _session(path / self.MODELS[0], num_threads)
        names = [output.name for output in session.get_outputs()]

        def generate(**inputs: np.ndarray) -> dict[str, np.ndarray]:
            return dict(zip(names, session.run(names, inputs), strict=True))

        return generate


def _session(file: Path, num_threads: int) -> Any:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = num_threads
    return InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def main(arguments: Sequence[str]) -> int:
    """Prints source, tab, log probability, tab, target for each argument or input line."""
    folder = Path(__file__).parent
    has_loop = (folder / OnnxLoopRunner.MODELS[0]).exists()
    runner = OnnxLoopRunner(folder) if has_loop else OnnxRunner(folder)
    return run_program(runner, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
