"""What chooses the best epoch and stops the run."""

from dataclasses import dataclass

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings import BLEU_TOKENIZERS
from keras_seq2seq.settings.declarations import Bounds, Settings, setting

from .monitors import SCORES


@dataclass(frozen=True)
class SelectionSettings(Settings):
    """Choice of the best epoch."""

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
        choices=("sequence_error_rate", "token_error_rate", "loss", *SCORES),
    )
    evaluate_steps: int = setting(
        0,
        "Steps from one validation and checkpoint to the next, in place of an epoch; 0 for an "
        "epoch. --patience, --average and --plateau-patience count them.",
        bounds="[0, 1000000000]",
    )
    patience: int = setting(
        5, "Epochs without a better result before the run stops.", bounds="[1, 1000000]"
    )
    average: int = setting(
        0,
        "Epochs whose mean weights are the model, if it beats the best epoch; 0 for none.",
        bounds="[0, 10000]",
    )
    average_of: str = setting(
        "best",
        "Which epochs --average takes.",
        choices=("best", "last"),
        needs={"average": Bounds("[1, inf)")},
    )
    validation_sources: int = setting(
        1000,
        "Sources held out to choose the best epoch, when no validation file is given.",
        bounds="[1, 1000000000]",
    )
    validation_decoded: int = setting(
        1000,
        "Validation sources that are decoded after every epoch; 0 for all.",
        bounds="[0, 1000000000]",
    )

    def check_together(self) -> None:
        if self.bleu_tokenizer != "13a" and not self.metric.startswith("bleu"):
            raise InputError(
                "--bleu-tokenizer applies to --metric bleu and bleu_lowercase. Received: "
                f"--bleu-tokenizer {self.bleu_tokenizer}, --metric {self.metric}."
            )
        if SCORES.get(self.monitor, self.metric) != self.metric:
            raise InputError(
                f"--monitor {self.monitor} needs --metric {SCORES[self.monitor]}. "
                f"Received: --metric {self.metric}."
            )
