"""What of a run's settings may change after it began."""

from typing import Any

# Whatever they are, a run goes on from where it is.
FREE = ("keep_checkpoint", "tracker", "tracker_samples", "distribute", "model_devices")
GROWING = ("epochs", "minutes", "patience")


def may_change(name: str, before: Any, now: Any) -> bool:
    """Whether a run whose setting was `before` may be continued with `now`.

    Epochs, minutes and patience may grow; a run of epochs gets no minutes, which have a
    learning rate of their own.
    """
    if name == "minutes" and not before:
        return False
    return name in FREE or (name in GROWING and now > before)
