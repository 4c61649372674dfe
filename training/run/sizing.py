"""The size of a model by the measured speed of its first steps, so that a run fits its time.

The smallest and the largest size that the data bears train for some seconds each, on the
batches of the run. Between them the time of a step is taken for `a + c * units ** 2`: what
does not depend on the size, and the products. The largest size is chosen that makes the
updates which the data needs in the time that is left, a part of which is for the checks after
the epochs.
"""

import math
import time
from typing import Any

import keras
from rich.console import Console

from keras_seq2seq.data import Pairs, Preprocessor
from keras_seq2seq.wording import counted

from ..run_directory import RunDirectory
from ..settings import TrainingConfig
from ..settings.measured import MEASURED, unmeasured, with_measured
from ..settings.suggestions import LADDER
from .own_parts import OwnParts
from .steps import batches, compiled

# A model has learned what it can of few pairs after so many epochs, and something worth having
# of any number after so many updates.
EPOCHS, UPDATES = 20, 3000
# A size is measured for so many steps or seconds, whichever ends first; what compiling takes
# comes on top. Where the first took more than this share of the time, there is no second.
STEPS, SECONDS, SHARE = 60, 4.0, 0.1
# The pairs whose batches these are.
PAIRS = 20_000
# Of the time, what validation and decoding take.
CHECKS = 0.2


def as_measured(config: TrainingConfig, run: RunDirectory) -> TrainingConfig:
    """The settings with what was chosen when a run began in the place of what is to be
    measured."""
    old = run.settings
    values = {n: v for n, v in old.values.items() if n not in unmeasured(old)}
    return with_measured(config, values, {n: old.origin_of(n) for n in values})


def seconds_of_measuring(run: RunDirectory) -> float:
    """What of the time of a run its measurement took; 0 without one."""
    found = run.config.get("measured")
    seconds = found.get("seconds") if isinstance(found, dict) else None
    return float(seconds) if isinstance(seconds, int | float) else 0.0


def sized(
    config: TrainingConfig,
    run: RunDirectory,
    preprocessor: Preprocessor,
    train: Pairs,
    own: OwnParts,
    console: Console,
) -> TrainingConfig:
    """Measures, chooses, says and records the settings that are to be measured.

    `config.json` of the run gets the settings with the origin `MEASURED` and, as `measured`,
    what they were chosen by: `seconds_a_step` (units -> seconds, as measured), `updates`
    (that the data needs), `steps_an_epoch` and `seconds` (that it took).

    Args:
        config: Settings; `hidden_dim` is the largest size that the data bears.
        run: It accepted these settings.
        preprocessor: Of the model.
        train: Pairs that fit it.
        own: Parts of the user's own.
        console: Where a line is printed.

    Returns:
        The settings of the run.
    """
    begin = time.perf_counter()
    sample = _sample(train)
    data = batches(config, preprocessor, sample)
    steps = math.ceil(data.steps * len(train) / len(sample))
    ladder = sizes(config)
    budget = 60 * config.optimization.minutes
    needed = min(EPOCHS * steps, UPDATES)
    measured: dict[int, float] = {}
    for size in dict.fromkeys((ladder[0], ladder[-1])):
        clock = _StepClock()
        model = compiled(_of_size(config, size), preprocessor, data.steps, own)
        model.fit(
            data.dataset, steps_per_epoch=STEPS, callbacks=[clock], shuffle=False, verbose=0
        )
        measured[size] = clock.seconds_a_step
        spent = time.perf_counter() - begin
        if spent > SHARE * budget:
            break
    left = (1 - CHECKS) * (budget - spent)
    chosen = fitting_size(ladder, measured, left / needed)
    config = _of_size(config, chosen)
    record = {
        "seconds_a_step": {str(size): round(s, 5) for size, s in measured.items()},
        "updates": needed,
        "steps_an_epoch": steps,
        "seconds": round(spent, 2),
    }
    run.write_json(
        run.config_file,
        run.config
        | {"settings": config.to_dict(), "origins": dict(config.origins), "measured": record},
    )
    rates = ", ".join(f"{1 / s:.3g} with {size} units" for size, s in measured.items())
    console.print(
        f"Measured in {spent:.0f} s: steps a second {rates}. Chosen: {chosen} units, to make "
        f"{counted(needed, 'update')} of about {counted(steps, 'step')} an epoch.",
        highlight=False,
        soft_wrap=True,
    )
    return config


def sizes(config: TrainingConfig) -> list[int]:
    """The units to choose from, up to what the data bears; attention heads divide them."""
    unit = 2 * getattr(config.model, "num_heads", 1)
    ladder = [size for size in LADDER if size <= config.model.hidden_dim]
    return sorted({-(-size // unit) * unit for size in ladder})


def fitting_size(ladder: list[int], measured: dict[int, float], most: float) -> int:
    """The largest size whose step takes at most `most` seconds; else the smallest.

    With one size measured all of its time is taken for products, so that a larger one is not
    chosen too easily.

    Args:
        ladder: Units, ascending.
        measured: Units -> seconds a step, of one or two sizes.
        most: Seconds.
    """
    (small, fast), *others = sorted(measured.items())
    large, slow = others[0] if others else (small, fast)
    products = (slow - fast) / (large**2 - small**2) if others else fast / small**2
    products = max(0.0, products)
    constant = max(0.0, fast - products * small**2)
    fit = [size for size in ladder if constant + products * size**2 <= most]
    return fit[-1] if fit else ladder[0]


def _sample(train: Pairs) -> Pairs:
    """Pairs from all over the data, at most `PAIRS`."""
    every = -(-len(train) // PAIRS)
    return Pairs(train.sources[::every], train.targets[::every])


def _of_size(config: TrainingConfig, size: int) -> TrainingConfig:
    values = {"hidden_dim": size, "embedding_dim": max(1, size // 2)}
    return with_measured(config, values, dict.fromkeys(values, MEASURED))


class _StepClock(keras.callbacks.Callback):
    """The mean time of a step but the first, which compiles; stops after `SECONDS`."""

    def __init__(self) -> None:
        super().__init__()
        self.begin = 0.0
        self.steps = -1
        self.seconds_a_step = 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.perf_counter()
        self.steps += 1
        if not self.steps:
            self.begin = now
            return
        self.seconds_a_step = (now - self.begin) / self.steps
        if now - self.begin > SECONDS:
            self.model.stop_training = True
