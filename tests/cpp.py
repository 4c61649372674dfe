"""Compiles and runs the C++ program of a bundle."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import ai_edge_litert
import pytest

from keras_seq2seq.decoding import Hypotheses


def assert_program_gives(
    bundle: Path, arguments: list[list[Any]], expected: Hypotheses, folder: Path
) -> None:
    """The program of the bundle, run with each list of arguments, gives the hypotheses."""
    program = compiled_program(bundle, folder)
    for row, given in enumerate(arguments):
        done = subprocess.run(
            [program, bundle / "model.tflite", *map(str, given)],
            capture_output=True,
            text=True,
            check=True,
        )
        lines = [line.split() for line in done.stdout.splitlines()]
        assert [float(line[0]) for line in lines] == pytest.approx(
            expected.log_probs[row].tolist(), abs=1e-3
        )
        received = [[int(token) for token in line[1:]] for line in lines]
        assert received == [
            ids[:length].tolist()
            for ids, length in zip(expected.token_ids[row], expected.lengths[row], strict=True)
        ]


def compiled_program(bundle: Path, folder: Path) -> Path:
    """The program of the bundle, compiled into a folder."""
    litert = Path(ai_edge_litert.__file__).parent
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler on this machine")
    if not (litert / "libLiteRt.so").exists():
        pytest.skip("ai-edge-litert has no libLiteRt.so for this platform")
    program = folder / "generate"
    subprocess.run(
        ["g++", "-std=c++17", "-Wall", "-Werror", bundle / "generate.cpp", "-o", program]
        + ["-L", litert, "-l:libLiteRt.so", f"-Wl,-rpath,{litert}"],
        check=True,
    )
    return program
