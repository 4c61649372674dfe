"""Compiles and runs the C++ program of a bundle."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import ai_edge_litert
import pytest

from keras_seq2seq.decoding import Hypotheses

# In the place of LiteRT's function: the first run of a process computes nothing, as what it
# computes where memory grows is not to be relied on.
LAZY = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
typedef int (*Run)(void*, size_t, size_t, void**, size_t, void**);
int LiteRtRunCompiledModel(void* model, size_t signature, size_t m, void** in, size_t n,
                           void** out) {
  static int calls = 0;
  if (calls++ == 0) return 0;
  return ((Run)dlsym(RTLD_NEXT, "LiteRtRunCompiledModel"))(model, signature, m, in, n, out);
}
"""


def assert_program_gives(
    bundle: Path, arguments: list[list[Any]], expected: Hypotheses, folder: Path
) -> None:
    """The program of the bundle, run with each list of arguments, gives the hypotheses; also
    where the first run of LiteRT gives nothing."""
    program = compiled_program(bundle, folder)
    lazy = folder / "lazy.so"
    (folder / "lazy.c").write_text(LAZY)
    build = ["gcc", "-shared", "-fPIC", folder / "lazy.c", "-o", lazy, "-ldl"]
    subprocess.run(build, check=True)
    environment = os.environ | {"LD_PRELOAD": str(lazy)}
    for row, given in enumerate(arguments):
        done = subprocess.run(
            [program, bundle / "model.tflite", *map(str, given)],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
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
