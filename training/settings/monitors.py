"""What chooses the best epoch: the monitored metrics, and which way they get better."""

import math
from collections.abc import Sequence

# As Keras' logs call the error rates of what was decoded.
TOKEN_ERROR_RATE = "val_token_error_rate"
SEQUENCE_ERROR_RATE = "val_sequence_error_rate"

# What can be monitored that is better when it is higher -> the metric that has it.
SCORES = {
    "bleu": "bleu",
    "bleu_lowercase": "bleu_lowercase",
    "chrf": "chrf",
    "rouge_l": "rouge",
}


def cost(monitor: str, value: float) -> float:
    """The value of a monitored metric as a number that is better when it is lower."""
    return -value if monitor.removeprefix("val_") in SCORES else value


def rank(monitor: str, metrics: dict[str, float]) -> tuple[float, float]:
    """What orders epochs, the best lowest: the monitored metric, of equals the loss.

    On an easy validation part many epochs have no error; the first of them may still be far
    from sure of what it says, which a beam search needs.
    """
    return cost(monitor, metrics[monitor]), metrics.get("val_loss", 0.0)


def epochs_without_better(monitor: str, history: Sequence[dict[str, float]]) -> int:
    """How many of the last epochs brought nothing better than one before, as early stopping
    counts them: equal is not better."""
    best, waited = math.inf, 0
    for metrics in history:
        value = cost(monitor, metrics[monitor])
        best, waited = (value, 0) if value < best else (best, waited + 1)
    return waited


def mode_of(monitor: str) -> str:
    """What Keras calls the direction of a monitored metric: `"min"` or `"max"`."""
    return "min" if cost(monitor, 1.0) > 0 else "max"
