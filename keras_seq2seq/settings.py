"""Settings as frozen values: each field is an argument in Python and an option of a command.

Imports no TensorFlow, so that `--help` is instant.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from keras_seq2seq.errors import InputError


def setting(
    default: Any, help: str, choices: tuple[str, ...] | None = None, option: str | None = None
) -> Any:
    """A dataclass field with what a command line says about it."""
    return field(default=default, metadata={"help": help, "choices": choices, "option": option})


def option_name(name: str) -> str:
    """`hidden_dim` -> `--hidden-dim`."""
    return "--" + name.replace("_", "-")


def check_choices(settings: Any) -> None:
    """Raises `InputError` for a field that is none of its choices."""
    for item in dataclasses.fields(settings):
        choices, value = item.metadata["choices"], getattr(settings, item.name)
        if choices and value not in choices:
            raise InputError(
                f"{option_name(item.name)} must be one of {', '.join(choices)}. "
                f"Received: {value!r}."
            )


@dataclass(frozen=True)
class GenerationSettings:
    """How targets are generated: the same for `generate`, the command line and an export.

    Raises:
        InputError: If a value is out of range, or two contradict each other.
    """

    num_beams: int = setting(1, "1 is greedy search.", option="--beam-size")
    num_hypotheses: int = setting(
        1,
        "Hypotheses a source, at most the beam size; samples when sampling.",
        option="--n-best",
    )
    length_penalty: float = setting(0.0, "Strength of the length rule; 0 ranks by probability.")
    length_rule: str = setting(
        "power",
        "power: log P / length^a; gnmt: log P / ((5 + length) / 6)^a; "
        "reward: log P + a length.",
        choices=("power", "gnmt", "reward"),
    )
    patience: float = setting(
        1.0, "Stop a beam search after patience x beam size ended hypotheses; inf: never early."
    )
    max_length: int | None = setting(None, "Target tokens at most, without the end token.")
    min_length: int = setting(0, "Target tokens at least, without the end token.")
    sample: bool = setting(False, "Draw tokens at random in place of searching.")
    seed: int = setting(0, "Seed of sampling; the same seed gives the same targets.")
    temperature: float = setting(1.0, "Sampling: above 1 flattens probabilities.")
    top_k: int = setting(0, "Sampling: among the k most probable tokens; 0 for all.")
    top_p: float = setting(1.0, "Sampling: among the most probable tokens of this total.")
    min_p: float = setting(0.0, "Sampling: among tokens of this share of the highest.")
    repetition_penalty: float = setting(
        1.0, "Multiply log probabilities of tokens that occurred already; above 1 hinders them."
    )
    no_repeat_ngram_size: int = setting(0, "No n-gram of this size twice; 0 for no limit.")
    forbid_unknown: bool = setting(False, "Never generate the unknown token.")

    def __post_init__(self) -> None:
        check_choices(self)
        if self.num_beams < 1 or self.num_hypotheses < 1:
            raise InputError(
                "The beam size and the n-best must be at least 1. Received: "
                f"beam size {self.num_beams}, n-best {self.num_hypotheses}."
            )
        if self.sample and self.num_beams > 1:
            raise InputError(
                "Sampling and beam search exclude each other; ask for several samples with "
                f"the n-best. Received: beam size {self.num_beams}."
            )
        if not self.sample and self.num_hypotheses > self.num_beams:
            raise InputError(
                "The n-best must be at most the beam size. Received: "
                f"beam size {self.num_beams}, n-best {self.num_hypotheses}."
            )
        if not math.isfinite(self.length_penalty) or (
            self.length_penalty < 0 and self.length_rule != "reward"
        ):
            raise InputError(
                "The length penalty must be at least 0 (for the rule reward any number). "
                f"Received: {self.length_penalty}."
            )
        for name, holds, range_ in (
            ("patience", self.patience > 0, "above 0"),
            ("temperature", 0 < self.temperature < math.inf, "above 0"),
            ("top_k", self.top_k >= 0, "at least 0"),
            ("top_p", 0 < self.top_p <= 1, "in (0, 1]"),
            ("min_p", 0 <= self.min_p < 1, "in [0, 1)"),
            ("repetition_penalty", 0 < self.repetition_penalty < math.inf, "above 0"),
            ("no_repeat_ngram_size", self.no_repeat_ngram_size >= 0, "at least 0"),
            ("min_length", self.min_length >= 0, "at least 0"),
            ("max_length", self.max_length is None or self.max_length >= 1, "at least 1"),
            ("seed", 0 <= self.seed < 2**31, "in [0, 2^31)"),
        ):
            if not holds:
                raise InputError(
                    f"{option_name(name)} must be {range_}. Received: {getattr(self, name)}."
                )
        if self.max_length is not None and self.min_length > self.max_length:
            raise InputError(
                "The least length must not exceed the greatest. Received: "
                f"--min-length {self.min_length}, --max-length {self.max_length}."
            )

    @property
    def description(self) -> str:
        """`"greedy"`, `"beam 4"` or `"sample"`."""
        if self.sample:
            return "sample"
        return "greedy" if self.num_beams == 1 else f"beam {self.num_beams}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `GenerationSettings(**settings.to_dict())` is the same."""
        return dataclasses.asdict(self)
