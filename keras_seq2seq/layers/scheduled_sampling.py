"""Training on the model's own tokens, more and more of them."""

from collections.abc import Callable
from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError

SCHEDULES = ("constant", "linear", "exponential", "inverse_sigmoid")


@keras.saving.register_keras_serializable("keras_seq2seq")
class ScheduledSampling(keras.layers.Layer):
    """Replaces tokens that a decoder reads in training by those that it would have written.

    At training step `i` a position keeps the given token with probability `p(i)`:

    - `"constant"`: `floor`
    - `"linear"`: `max(floor, 1 - i / steps)`
    - `"exponential"`: `max(floor, exp(-i / steps))`
    - `"inverse_sigmoid"`: `max(floor, k / (k + exp(i / k)))` with `k = steps`

    else the most probable token of the model after the (mixed) tokens before it. Choosing
    takes a pass through the one-step decoder, without gradient; what is trained is then the
    usual whole-sequence pass over the mixed tokens.

    Args:
        schedule: string, one of the above. Defaults to `"inverse_sigmoid"`.
        steps: float, above 0. Training steps that set the speed. Defaults to 1000.
        floor: float in [0, 1]. Smallest `p`. Defaults to 0.
        seed: int, optional.

    Raises:
        InputError: If `schedule` is unknown, or a number is out of range.

    Reference:
        [Bengio et al., 2015](https://arxiv.org/abs/1506.03099), section 2.4.
    """

    @checked
    def __init__(
        self,
        schedule: str = "inverse_sigmoid",
        steps: float = 1000.0,
        floor: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if schedule not in SCHEDULES:
            raise InputError(
                f"`schedule` must be one of {SCHEDULES}. Received: schedule={schedule!r}."
            )
        if not steps > 0 or not 0 <= floor <= 1:
            raise InputError(
                "`steps` must be above 0 and `floor` in [0, 1]. Received: "
                f"steps={steps}, floor={floor}."
            )
        self.schedule = schedule
        self.steps = steps
        self.floor = floor
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.step_count = self.add_weight(
            (),
            "zeros",
            dtype="float32",
            trainable=False,
            autocast=False,  # Half precision cannot count beyond 2048.
            name="step_count",
        )
        self.built = True

    def probability(self, step: Any) -> Any:
        """`p(step)`: share of the given tokens that are kept."""
        relative = keras.ops.cast(step, "float32") / self.steps
        if self.schedule == "constant":
            return keras.ops.full_like(relative, self.floor)
        kept = {
            "linear": lambda: 1 - relative,
            "exponential": lambda: keras.ops.exp(-relative),
            # k / (k + exp(i / k)), without the overflow of exp.
            "inverse_sigmoid": lambda: keras.ops.sigmoid(
                keras.ops.log(keras.ops.cast(self.steps, "float32")) - relative
            ),
        }[self.schedule]()
        return keras.ops.maximum(kept, self.floor)

    def call(self, token_ids: Any, state: dict[str, Any], step: Callable) -> Any:
        """Mixes a batch and counts it as one training step.

        Args:
            token_ids: `(batch, target_length)`, int32, the decoder's input with teacher
                forcing: the start token first, 0 where padded.
            state: The decoder's initial state.
            step: `(token (batch,), state) -> (logits, changed entries)`.

        Returns:
            Token ids of the same shape: start and padding as they were.
        """
        ops = keras.ops
        kept = self.probability(self.step_count)
        self.step_count.assign_add(1.0)
        shape = ops.shape(token_ids)
        draws = keras.random.uniform(shape, seed=self.seed_generator)
        keep = ops.logical_or(draws < kept, token_ids == 0)
        places = ops.arange(shape[1])[None]

        def go_on(time, mixed, state):
            return time < shape[1]

        def body(time, mixed, state):
            logits, changed = step(ops.take(mixed, time - 1, axis=1), state)
            own = ops.cast(ops.argmax(logits, axis=-1), mixed.dtype)[:, None]
            replaced = ops.logical_and(places == time, ops.logical_not(keep))
            return time + 1, ops.where(replaced, own, mixed), {**state, **changed}

        _, mixed, _ = ops.while_loop(go_on, body, (1, token_ids, state))
        return ops.stop_gradient(mixed)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "schedule": self.schedule,
            "steps": self.steps,
            "floor": self.floor,
            "seed": self.seed,
        }
