"""What of a trained model a run begins with, and what of it is trained."""

import os
from dataclasses import dataclass

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings.declarations import Settings, setting


@dataclass(frozen=True)
class FineTuningSettings(Settings):
    """Fine-tuning. `base` becomes an absolute path."""

    base: str = setting(
        "",
        "Folder of a run whose weights, tokenizers and settings this one begins with.",
        option="--from",
    )
    extend_vocabulary: bool = setting(
        False, "Tokens of the data that the tokenizers of --from lack become new ones."
    )
    freeze: tuple[str, ...] = setting(
        (), "Part of the model of --from that is not trained, such as encoder."
    )
    lora_rank: int = setting(
        0,
        "Train a change of this rank of each matrix (LoRA), nothing else; 0 for all weights.",
        bounds="[0, 65536]",
    )

    def check_together(self) -> None:
        if self.base:
            object.__setattr__(self, "base", os.path.abspath(self.base))
            return
        for option, given in (
            ("--extend-vocabulary", self.extend_vocabulary),
            ("--freeze", self.freeze),
            ("--lora-rank", self.lora_rank),
        ):
            if given:
                raise InputError(f"{option} is about the model of --from. Give --from RUN.")
