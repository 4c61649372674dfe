"""The run as a whole: seed, threads, and what its results are called."""

from dataclasses import dataclass

from keras_seq2seq.settings.declarations import Settings, setting

# By these environment variables Keras tells the processes of a run of each other.
ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"
COUNT = "KERAS_DISTRIBUTION_NUM_PROCESSES"
INDEX = "KERAS_DISTRIBUTION_PROCESS_ID"


@dataclass(frozen=True)
class RunSettings(Settings):
    """The run."""

    intra_op_threads: int = setting(
        0,
        "Threads inside an operation; 0 lets TensorFlow choose. 1 can be faster on few cores.",
        bounds="[0, 1024]",
    )
    seed: int = setting(
        1, "Seed of split, weights, dropout and order.", bounds=f"[0, {2**31 - 1}]"
    )
    keep_checkpoint: bool = setting(
        True,
        "Keep the last weights and optimizer of the finished run, about three times the "
        "weights, so that it can go on exactly.",
    )
    distribute: bool = setting(
        False,
        "Train on all devices, and with the processes that KERAS_DISTRIBUTION_JOB_ADDRESSES "
        "names; with KERAS_BACKEND=jax.",
    )
    model_devices: int = setting(
        1,
        "Devices that share the weights of one Transformer, with --distribute.",
        bounds="[1, 65536]",
        needs={"distribute": (True,)},
    )
    tracker: str = setting(
        "tensorboard",
        "Where the figures of every epoch go beside the run's own files.",
        choices=("tensorboard", "mlflow", "wandb", "none"),
    )
    tracker_samples: int = setting(
        0,
        "Validation sources whose output and attention TensorBoard shows after every epoch.",
        bounds="[0, 1000]",
        needs={"tracker": ("tensorboard",)},
    )
    token_name: str = setting("token", "What a target token is called in results.")
    sequence_name: str = setting("sequence", "What a target is called in results.")
