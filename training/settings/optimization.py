"""How weights are learned: time, batches, optimizer, learning rate, regularization."""

from dataclasses import dataclass

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings.declarations import Settings, setting

MOST_STEPS = 2**31 - 1
PLATEAU = {"schedule": ("plateau",)}
SAMPLING = {
    "scheduled_sampling": ("constant", "linear", "exponential", "inverse_sigmoid"),
}


@dataclass(frozen=True)
class OptimizationSettings(Settings):
    """Optimization and schedule."""

    epochs: int = setting(20, "Passes over the training data at most.", bounds="[1, 1000000]")
    minutes: float = setting(
        0.0,
        "Time to train at most; the learning rate falls with the clock. Without other settings "
        "these are chosen from the data. 0 for none.",
        bounds="[0, 10000000]",
    )
    batch_size: int = setting(
        64,
        "Pairs a batch.",
        bounds="[1, 10000000]",
        needs={"batch_tokens": (0,)},
        tuned=(16, 32, 64, 128),
    )
    batch_tokens: int = setting(
        0,
        "Tokens a batch, padding included, of its longer side; 0 to use --batch-size.",
        bounds=f"[0, {MOST_STEPS}]",
    )
    num_buckets: int = setting(8, "Length buckets at most.", bounds="[1, 10000]")
    precision: str = setting(
        "float32",
        "What layers compute in; weights are float32.",
        choices=("float32", "mixed_float16", "mixed_bfloat16"),
    )
    optimizer: str = setting("adam", "Optimizer.", choices=("adam", "sgd"))
    learning_rate: float = setting(
        1e-3, "Peak learning rate.", bounds="(0, inf)", tuned=(5e-4, 1e-3, 2e-3, 4e-3)
    )
    beta_2: float = setting(
        0.999,
        "Decay of Adam's second moment; 0.98 is the Transformer's.",
        bounds="[0, 1)",
        needs={"optimizer": ("adam",)},
    )
    weight_decay: float = setting(
        0.0,
        "Decoupled weight decay, biases and norms excluded; with adam it is AdamW.",
        bounds="[0, inf)",
    )
    warmup_steps: int = setting(
        200,
        "Updates over which the learning rate grows to its peak; 0 for none.",
        bounds=f"[0, {MOST_STEPS}]",
    )
    schedule: str = setting(
        "cosine",
        "Learning rate after the peak; plateau: lower when --monitor improves no more.",
        choices=("cosine", "inverse_square_root", "constant", "plateau"),
    )
    plateau_factor: float = setting(
        0.5,
        "What --schedule plateau multiplies the learning rate with.",
        bounds="(0, 1)",
        needs=PLATEAU,
    )
    plateau_patience: int = setting(
        2,
        "Epochs without a better result before --schedule plateau lowers the rate.",
        bounds="[1, 1000000]",
        needs=PLATEAU,
    )
    clipnorm: float = setting(
        1.0, "Largest norm of a weight's gradient; 0 for no limit.", bounds="[0, inf)"
    )
    global_clipnorm: float = setting(
        0.0,
        "Largest norm of all gradients together, in place of --clipnorm; 0 for no limit.",
        bounds="[0, inf)",
    )
    gradient_accumulation: int = setting(
        1, "Batches whose gradients make one update.", bounds="[1, 1000000]"
    )
    label_smoothing: float = setting(
        0.0,
        "Share of probability spread over all tokens.",
        bounds="[0, 1)",
        tuned=(0.0, 0.1),
    )
    r_drop: float = setting(
        0.0,
        "Weight of the agreement of two passes under dropout; 0 for one pass. Above 0 an "
        "epoch takes up to twice as long.",
        bounds="[0, inf)",
    )
    ema: float = setting(
        0.0,
        "Momentum of a moving average of the weights to evaluate and keep; 0 for none.",
        bounds="[0, 1)",
        tuned=(0.0, 0.99),
    )
    scheduled_sampling: str = setting(
        "none",
        "Share of given tokens that the decoder reads in training.",
        choices=("none", "constant", "linear", "exponential", "inverse_sigmoid"),
    )
    sampling_steps: int = setting(
        1000,
        "Updates that set the speed of --scheduled-sampling.",
        bounds=f"[1, {MOST_STEPS}]",
        needs={"scheduled_sampling": ("linear", "exponential", "inverse_sigmoid")},
    )
    sampling_floor: float = setting(
        0.0, "Smallest share of given tokens.", bounds="[0, 1]", needs=SAMPLING
    )

    def check_together(self) -> None:
        if self.minutes and self.schedule != "cosine":
            raise InputError(
                "--minutes has a schedule of its own, a cosine of the time. Leave --schedule "
                f"out. Received: {self.schedule!r}."
            )
