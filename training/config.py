"""What a training run is made of, as one frozen value. Imports no TensorFlow."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import check_choices, option_name, setting


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a run. Every one is also an option of `keras-seq2seq train`."""

    architecture: str = setting(
        "lstm_attention",
        "Model to build.",
        choices=("lstm", "lstm_attention", "transformer"),
    )
    embedding_dim: int = setting(128, "Size of an embedding; a Transformer has --hidden-dim.")
    hidden_dim: int = setting(256, "Units of a recurrent layer, or width of a Transformer.")
    num_layers: int = setting(1, "Layers of the encoder, and of the decoder.")
    num_heads: int = setting(4, "Attention heads of a Transformer.")
    dropout: float = setting(0.1, "Share of the values dropped in training.")

    source_tokenizer: str = setting(
        "characters", "How sources are split.", choices=("characters", "symbols")
    )
    target_tokenizer: str = setting(
        "symbols", "How targets are split.", choices=("characters", "symbols")
    )
    lowercase_source: bool = setting(False, "Lower-case the sources.")
    min_count: int = setting(1, "Tokens seen less often become unknown.")
    max_source_length: int = setting(0, "Source tokens at most; 0 for the longest in the data.")
    max_target_length: int = setting(0, "Target tokens at most; 0 for the longest in the data.")

    epochs: int = setting(20, "Passes over the training data at most.")
    batch_size: int = setting(64, "Pairs a batch.")
    num_buckets: int = setting(8, "Length buckets at most.")
    learning_rate: float = setting(1e-3, "Peak learning rate of Adam.")
    warmup_steps: int = setting(200, "Steps over which the learning rate grows to its peak.")
    schedule: str = setting(
        "cosine",
        "Learning rate after the peak.",
        choices=("cosine", "inverse_square_root", "constant"),
    )
    label_smoothing: float = setting(0.0, "Share of probability spread over all tokens.")
    clipnorm: float = setting(1.0, "Largest norm of a weight's gradient.")
    patience: int = setting(5, "Epochs without a better result before the run stops.")
    validation_sources: int = setting(
        1000, "Sources held out to choose the best epoch, when no validation file is given."
    )
    validation_decoded: int = setting(
        1000, "Validation sources that are decoded after every epoch; 0 for all."
    )
    intra_op_threads: int = setting(
        0,
        "Threads inside an operation; 0 lets TensorFlow choose. 1 can be faster on few cores.",
    )
    seed: int = setting(1, "Seed of split, weights, dropout and order.")

    token_name: str = setting("token", "What a target token is called in results.")
    sequence_name: str = setting("sequence", "What a target is called in results.")

    def __post_init__(self) -> None:
        check_choices(self)
        for name, lowest in _LOWEST.items():
            if not getattr(self, name) >= lowest:
                raise InputError(
                    f"{option_name(name)} must be at least {lowest}. "
                    f"Received: {getattr(self, name)}."
                )
        for name in ("dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(
                    f"{option_name(name)} must be in [0, 1). Received: {getattr(self, name)}."
                )
        if not 0 < self.learning_rate < float("inf"):
            raise InputError(
                f"--learning-rate must be above 0. Received: {self.learning_rate}."
            )

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def replace(self, **changes: Any) -> "TrainingConfig":
        """A copy with some settings changed."""
        return dataclasses.replace(self, **changes)


_LOWEST = {
    "embedding_dim": 1,
    "hidden_dim": 1,
    "num_layers": 1,
    "num_heads": 1,
    "min_count": 1,
    "max_source_length": 0,
    "max_target_length": 0,
    "epochs": 1,
    "batch_size": 1,
    "num_buckets": 1,
    "warmup_steps": 0,
    "clipnorm": 0,
    "patience": 1,
    "validation_sources": 1,
    "validation_decoded": 0,
    "intra_op_threads": 0,
    "seed": 0,
}
