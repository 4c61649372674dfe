"""Learning rate schedules that Keras does not have."""

from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError, check_counts


@keras.saving.register_keras_serializable("keras_seq2seq")
class InverseSquareRoot(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then decay with the square root of the step.

    `rate(s) = peak * min(s / w, sqrt(w / s))` with `s = step + 1` and `w = warmup_steps`.
    With `peak = (hidden_dim * warmup_steps) ** -0.5` it is the schedule of the Transformer
    paper, equation 3 (`noam`).

    Args:
        peak: float. The rate at step `warmup_steps`.
        warmup_steps: int, at least 1.

    Raises:
        InputError: If `peak` is not above 0 or `warmup_steps` is below 1.

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), section 5.3.
    """

    @checked
    def __init__(self, peak: float, warmup_steps: int):
        super().__init__()
        _check(peak, warmup_steps)
        self.peak = peak
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32") + 1
        warm = step / self.warmup_steps
        return self.peak * keras.ops.minimum(warm, keras.ops.sqrt(1 / warm))

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warmup_steps": self.warmup_steps}


@keras.saving.register_keras_serializable("keras_seq2seq")
class LinearWarmup(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then constant: `rate(s) = peak * min(1, (s + 1) / warmup_steps)`.

    Args:
        peak: float. The rate from step `warmup_steps` on.
        warmup_steps: int, at least 1.

    Raises:
        InputError: If `peak` is not above 0 or `warmup_steps` is below 1.
    """

    @checked
    def __init__(self, peak: float, warmup_steps: int):
        super().__init__()
        _check(peak, warmup_steps)
        self.peak = peak
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Any:
        warm = (keras.ops.cast(step, "float32") + 1) / self.warmup_steps
        return self.peak * keras.ops.minimum(warm, 1.0)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "warmup_steps": self.warmup_steps}


@checked
def noam(hidden_dim: int, warmup_steps: int, scale: float = 1.0) -> InverseSquareRoot:
    """`scale * hidden_dim^-0.5 * min(s^-0.5, s * warmup_steps^-1.5)`, equation 3 of Vaswani
    et al. (2017), as an `InverseSquareRoot`."""
    check_counts(hidden_dim=hidden_dim, warmup_steps=warmup_steps)
    return InverseSquareRoot(scale * (hidden_dim * warmup_steps) ** -0.5, warmup_steps)


def _check(peak: float, warmup_steps: int) -> None:
    if not peak > 0 or not warmup_steps >= 1:
        raise InputError(
            "`peak` must be above 0 and `warmup_steps` at least 1. Received: "
            f"peak={peak}, warmup_steps={warmup_steps}."
        )
