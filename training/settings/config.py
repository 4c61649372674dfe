"""What a training run is made of, as one frozen value. Imports no TensorFlow."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import BLEU_TOKENIZERS, check_choices, option_name, setting

from .monitors import SCORES

TOKENIZERS = ("characters", "symbols", "words", "sentencepiece", "bpe", "wordpiece")


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a run. Every one is also an option of `keras-seq2seq train`."""

    source: str = setting(
        "text",
        "What sources are: features are frames in .npy files, waveform is sound files.",
        choices=("text", "features", "waveform"),
    )
    sample_rate: int = setting(
        0, "Samples a second of a waveform, others are resampled; 0 for the first file's."
    )
    architecture: str = setting(
        "lstm_attention",
        "Model to build.",
        choices=("lstm", "lstm_attention", "recurrent", "transformer"),
    )
    embedding_dim: int = setting(128, "Size of an embedding; a Transformer has --hidden-dim.")
    hidden_dim: int = setting(256, "Units of a recurrent layer, or width of a Transformer.")
    num_layers: int = setting(1, "Layers of the encoder, and of the decoder.")
    encoder_layers: int = setting(0, "Layers of the encoder alone; 0 for --num-layers.")
    num_heads: int = setting(4, "Attention heads of a Transformer.")
    dropout: float = setting(0.1, "Share of the values dropped in training.")

    cell: str = setting(
        "lstm", "Cell of a recurrent model.", choices=("lstm", "gru", "simple_rnn")
    )
    bidirectional: bool = setting(True, "The encoder of a recurrent model reads both ways.")
    attention: str = setting(
        "general",
        "Attention of a recurrent model.",
        choices=("none", "dot", "general", "concat", "additive", "location", "monotonic"),
    )
    input_feeding: str = setting(
        "none",
        "What a recurrent decoder reads of its last attention.",
        choices=("none", "attention", "context"),
    )
    residual: bool = setting(False, "Residual connections of a recurrent model.")
    recurrent_dropout: float = setting(0.0, "Share of the recurrent state dropped in training.")
    intermediate_dim: int = setting(
        0, "Width inside a Transformer's feed-forward layers; 0 for 4 times --hidden-dim."
    )
    positions: str = setting(
        "sinusoidal",
        "Positions of a Transformer.",
        choices=("sinusoidal", "learned", "rotary", "relative", "none"),
    )
    attention_dropout: float | None = setting(
        None, "Share of a Transformer's attention weights dropped; as --dropout if not given."
    )
    normalize_first: bool = setting(True, "A Transformer normalizes before its sublayers.")
    tie_output: bool = setting(False, "Logits from the target embeddings.")
    share_embeddings: bool = setting(
        False, "Source and target share embeddings; needs --joint-vocabulary."
    )
    copy: bool = setting(
        False, "Copy source tokens (pointer-generator); needs attention, --joint-vocabulary."
    )
    time_reduction: int = setting(
        1, "Each encoder layer but the first of a recurrent model joins so many positions."
    )
    convolutions: int = setting(0, "Convolutions over the source in front of the encoder.")
    convolution_strides: int = setting(2, "Positions that each convolution makes one of.")
    spec_augment: bool = setting(
        False, "Hide stretches and bands of features or sound in training (SpecAugment)."
    )
    picture_cells: bool = setting(
        False, "Each place of a picture is a position of its own, for attention to choose."
    )
    sentence_ends: str = setting(
        "", "Tokens that end a sentence, with spaces between: the encoder reads sentences."
    )
    ctc_weight: float = setting(0.0, "Weight of an auxiliary CTC loss on the encoder.")
    scheduled_sampling: str = setting(
        "none",
        "Share of given tokens that the decoder reads in training.",
        choices=("none", "constant", "linear", "exponential", "inverse_sigmoid"),
    )
    sampling_steps: int = setting(1000, "Updates that set the speed of --scheduled-sampling.")
    sampling_floor: float = setting(0.0, "Smallest share of given tokens.")

    source_tokenizer: str = setting(
        "characters", "How sources are split; bpe is SentencePiece's.", choices=TOKENIZERS
    )
    target_tokenizer: str = setting("symbols", "How targets are split.", choices=TOKENIZERS)
    vocabulary_size: int = setting(
        0, "Tokens of a vocabulary at most; 0 for 8000 subwords, and all of other tokens."
    )
    joint_vocabulary: bool = setting(
        False, "One vocabulary for sources and targets, learned from both."
    )
    lowercase_source: bool = setting(False, "Lower-case the sources.")
    lowercase_target: bool = setting(False, "Lower-case the targets.")
    min_count: int = setting(1, "Tokens seen less often become unknown.")
    max_source_length: int = setting(0, "Source tokens at most; 0 for the longest in the data.")
    max_target_length: int = setting(0, "Target tokens at most; 0 for the longest in the data.")

    epochs: int = setting(20, "Passes over the training data at most.")
    minutes: float = setting(
        0.0,
        "Time to train at most; the learning rate falls with the clock. Without other settings "
        "these are chosen from the data. 0 for none.",
    )
    batch_size: int = setting(64, "Pairs a batch.")
    batch_tokens: int = setting(
        0, "Tokens a batch, padding included, of its longer side; 0 to use --batch-size."
    )
    num_buckets: int = setting(8, "Length buckets at most.")
    precision: str = setting(
        "float32",
        "What layers compute in; weights are float32.",
        choices=("float32", "mixed_float16", "mixed_bfloat16"),
    )

    optimizer: str = setting("adam", "Optimizer.", choices=("adam", "sgd"))
    learning_rate: float = setting(1e-3, "Peak learning rate.")
    beta_2: float = setting(0.999, "Decay of Adam's second moment; 0.98 is the Transformer's.")
    weight_decay: float = setting(
        0.0, "Decoupled weight decay, biases and norms excluded; with adam it is AdamW."
    )
    warmup_steps: int = setting(
        200, "Updates over which the learning rate grows to its peak; 0 for none."
    )
    schedule: str = setting(
        "cosine",
        "Learning rate after the peak; plateau: lower when --monitor improves no more.",
        choices=("cosine", "inverse_square_root", "constant", "plateau"),
    )
    plateau_factor: float = setting(
        0.5, "What --schedule plateau multiplies the learning rate with."
    )
    plateau_patience: int = setting(
        2, "Epochs without a better result before --schedule plateau lowers the rate."
    )
    clipnorm: float = setting(1.0, "Largest norm of a weight's gradient; 0 for no limit.")
    global_clipnorm: float = setting(
        0.0, "Largest norm of all gradients together, in place of --clipnorm; 0 for no limit."
    )
    gradient_accumulation: int = setting(1, "Batches whose gradients make one update.")
    label_smoothing: float = setting(0.0, "Share of probability spread over all tokens.")
    r_drop: float = setting(
        0.0,
        "Weight of the agreement of two passes under dropout; 0 for one pass. Above 0 an "
        "epoch takes up to twice as long.",
    )
    ema: float = setting(
        0.0, "Momentum of a moving average of the weights to evaluate and keep; 0 for none."
    )

    metric: str = setting(
        "none",
        "Score of generated texts, beside the error rates.",
        choices=("none", "bleu", "bleu_lowercase", "chrf", "rouge", "wer"),
    )
    bleu_tokenizer: str = setting(
        "13a",
        "How BLEU splits texts: 13a for languages with spaces, zh, ja-mecab, char and others.",
        choices=BLEU_TOKENIZERS,
    )
    references: str = setting(
        "source",
        "What a target is right against: all targets that the data has for its source, or "
        "that of its own pair.",
        choices=("source", "pair"),
    )
    monitor: str = setting(
        "sequence_error_rate",
        "Validation metric that chooses the best epoch and stops the run.",
        choices=(
            "sequence_error_rate",
            "token_error_rate",
            "loss",
            "bleu",
            "bleu_lowercase",
            "chrf",
            "rouge_l",
        ),
    )
    patience: int = setting(5, "Epochs without a better result before the run stops.")
    average: int = setting(
        0,
        "Epochs whose mean weights are the model, if it beats the best epoch; 0 for none.",
    )
    average_of: str = setting("best", "Which epochs --average takes.", choices=("best", "last"))
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
        for name in ("dropout", "recurrent_dropout", "label_smoothing", "beta_2", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(
                    f"{option_name(name)} must be in [0, 1). Received: {getattr(self, name)}."
                )
        if not 0 <= self.sampling_floor <= 1:
            raise InputError(
                f"--sampling-floor must be in [0, 1]. Received: {self.sampling_floor}."
            )
        if not 0 < self.plateau_factor < 1:
            raise InputError(
                f"--plateau-factor must be in (0, 1). Received: {self.plateau_factor}."
            )
        if SCORES.get(self.monitor, self.metric) != self.metric:
            raise InputError(
                f"--monitor {self.monitor} needs --metric {SCORES[self.monitor]}. "
                f"Received: --metric {self.metric}."
            )
        if self.bleu_tokenizer != "13a" and not self.metric.startswith("bleu"):
            raise InputError(
                "--bleu-tokenizer applies to --metric bleu and bleu_lowercase. Received: "
                f"--bleu-tokenizer {self.bleu_tokenizer}, --metric {self.metric}."
            )
        unused = ["source_tokenizer", "lowercase_source"] if self.source != "text" else []
        unused += ["sample_rate"] if self.source != "waveform" else []
        defaults = {item.name: item.default for item in dataclasses.fields(self)}
        for name in unused:
            if getattr(self, name) != defaults[name]:
                raise InputError(
                    f"{option_name(name)} does not apply to --source {self.source}. "
                    f"Received: {getattr(self, name)}."
                )
        if not 0 < self.learning_rate < float("inf"):
            raise InputError(
                f"--learning-rate must be above 0. Received: {self.learning_rate}."
            )

        if self.minutes and self.schedule != "cosine":
            raise InputError(
                "--minutes has a schedule of its own, a cosine of the time. Leave --schedule "
                f"out. Received: {self.schedule!r}."
            )

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def replace(self, **changes: Any) -> "TrainingConfig":
        """A copy with some settings changed."""
        return dataclasses.replace(self, **changes)


# Fields that only some architectures have; another one refuses them.
MODEL_SETTINGS = (
    "cell",
    "bidirectional",
    "attention",
    "input_feeding",
    "residual",
    "recurrent_dropout",
    "intermediate_dim",
    "positions",
    "attention_dropout",
    "normalize_first",
    "tie_output",
    "share_embeddings",
    "copy",
    "encoder_layers",
    "time_reduction",
    "convolutions",
    "convolution_strides",
    "spec_augment",
    "picture_cells",
    "sentence_ends",
    "ctc_weight",
)

_LOWEST = {
    "sample_rate": 0,
    "encoder_layers": 0,
    "time_reduction": 1,
    "convolutions": 0,
    "convolution_strides": 1,
    "ctc_weight": 0,
    "intermediate_dim": 0,
    "sampling_steps": 1,
    "embedding_dim": 1,
    "hidden_dim": 1,
    "num_layers": 1,
    "num_heads": 1,
    "min_count": 1,
    "max_source_length": 0,
    "max_target_length": 0,
    "vocabulary_size": 0,
    "epochs": 1,
    "minutes": 0,
    "batch_size": 1,
    "batch_tokens": 0,
    "num_buckets": 1,
    "warmup_steps": 0,
    "clipnorm": 0,
    "global_clipnorm": 0,
    "weight_decay": 0,
    "gradient_accumulation": 1,
    "r_drop": 0,
    "plateau_patience": 1,
    "average": 0,
    "patience": 1,
    "validation_sources": 1,
    "validation_decoded": 0,
    "intra_op_threads": 0,
    "seed": 0,
}
