"""What a callback may read and change while an epoch runs."""

from typing import Any


def next_step(model: Any) -> int:
    """Number of the coming step, from 0. Afterwards what is set of the optimizer holds from
    that step on."""
    # JAX keeps the state of an epoch apart: this gives it back to the variables.
    if (sync := getattr(model, "jax_state_sync", None)) is not None:
        sync()
    return int(model.optimizer.iterations)
