"""How JAX compiles what a model needs once, and what of it is kept for other processes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras


@contextmanager
def compiled_quickly() -> Iterator[None]:
    """What JAX compiles meanwhile takes less time to compile and more to run: the first values
    of weights are computed once, and take most of the time in which a model is built. May be
    used as a decorator, too."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


def keep_compiled() -> Path | None:
    """Has JAX keep what it compiles from now on in the user's cache folder, where the next
    process finds it; the folder, or `None` where it is not JAX that computes.

    A folder that JAX was told of, by its variable or from Python, stays.
    """
    if keras.backend.backend() != "jax":
        return None
    import jax

    config: Any = jax.config  # Its options are made at run time.
    if (given := config.jax_compilation_cache_dir) is not None:
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "keras_seq2seq" / "jax"
    config.update("jax_compilation_cache_dir", str(folder))
    # Many small programs: by default those are kept that took a second each.
    config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder
