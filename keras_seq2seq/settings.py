"""Settings as frozen values: each field is an argument in Python and an option of a command.

Imports no TensorFlow, so that `--help` is instant.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_seq2seq.errors import InputError

# How sacrebleu can split texts for BLEU; the last four need something to be installed, or a
# file that sacrebleu downloads.
BLEU_TOKENIZERS = (
    "13a",
    "intl",
    "zh",
    "char",
    "none",
    "ja-mecab",
    "ko-mecab",
    "flores101",
    "flores200",
)


def setting(
    default: Any,
    help: str,
    choices: tuple[str, ...] | None = None,
    option: str | None = None,
    item: Callable[[str], Any] | None = None,
    lines: bool = False,
) -> Any:
    """A dataclass field with what a command line says about it.

    Args:
        default: Default value; a tuple is an option that may be given several times.
        help: One sentence.
        choices: The values it may have, if they are few.
        option: Name of the option, if not that of the field.
        item: Of a tuple, makes an item from the text given. Defaults to `str`.
        lines: Whether the option names a file with an item a line.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "option": option,
        "item": item or str,
        "lines": lines,
    }
    return field(default=default, metadata=metadata)


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


def word_bias(text: str) -> tuple[str, float]:
    """`"word=-1.5"` -> `("word", -1.5)`; the last equals sign counts."""
    word, _, number = text.rpartition("=")
    return word, _number(number, text)


def id_bias(text: str) -> tuple[int, float]:
    """`"17=-1.5"` -> `(17, -1.5)`."""
    token_id, _, number = text.rpartition("=")
    return token_number(token_id, text), _number(number, text)


def token_number(text: str, whole: str | None = None) -> int:
    """A token id in digits."""
    if not (text.isascii() and text.isdigit()):
        raise InputError(
            f"Expected a token id, a number such as 17. Received: {whole or text!r}."
        )
    return int(text)


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(
            "Expected a token, an equals sign and a number, such as the=-1.5. "
            f"Received: {whole!r}."
        ) from None


@dataclass(frozen=True)
class GenerationSettings:
    """How targets are generated: the same for `generate`, the command line and an export.

    Equations and sources: `docs/decoding.md`. Lists are taken for tuples, and a mapping for
    the biases; words must be single tokens of the target vocabulary.

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
    coverage_penalty: float = setting(
        0.0, "Beam search: strength of the GNMT coverage penalty; needs attention."
    )
    ctc_weight: float = setting(
        0.0,
        "Joint CTC/attention decoding: share of CTC in the score of a token; needs a model "
        "trained with an auxiliary CTC loss.",
    )
    num_beam_groups: int = setting(
        1, "Diverse beam search: groups that the beam is cut into.", option="--beam-groups"
    )
    diversity_penalty: float = setting(
        0.5, "Diverse beam search: off a token for each earlier group's choice of it."
    )
    patience: float = setting(
        1.0, "Stop a beam search after patience x beam size ended hypotheses; inf: never early."
    )
    max_length: int | None = setting(None, "Target tokens at most, without the end token.")
    min_length: int = setting(0, "Target tokens at least, without the end token.")
    max_length_ratio: float | None = setting(
        None, "Target tokens at most, times the source tokens; rounded down, at least 1."
    )
    min_length_ratio: float = setting(
        0.0, "Target tokens at least, times the source tokens; rounded up."
    )
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
    suppress: tuple[str, ...] = setting((), "A target token that never comes out.")
    suppress_ids: tuple[int, ...] = setting(
        (), "The same by id.", option="--suppress-id", item=token_number
    )
    bias: tuple[tuple[str, float], ...] = setting(
        (), "TOKEN=NUMBER: added to the log probability of a target token.", item=word_bias
    )
    bias_ids: tuple[tuple[int, float], ...] = setting(
        (), "ID=NUMBER: the same by id.", option="--bias-id", item=id_bias
    )
    allowed: tuple[str, ...] = setting(
        (), "File of targets, one a line: nothing else comes out.", lines=True
    )
    alignments: bool = setting(False, "Record the attention of every target token.")
    replace_unknown: bool = setting(
        False, "Put the source token with the most attention in place of an unknown one."
    )

    def __post_init__(self) -> None:
        self._freeze_collections()
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
        if self.num_beam_groups < 1 or self.num_beams % self.num_beam_groups:
            raise InputError(
                "The beam groups must divide the beam size. Received: "
                f"beam groups {self.num_beam_groups}, beam size {self.num_beams}."
            )
        if self.coverage_penalty and self.num_beams == 1:
            raise InputError(
                "A coverage penalty ranks the hypotheses of a beam search; use a beam size "
                f"above 1. Received: coverage penalty {self.coverage_penalty}, beam size 1."
            )
        for name, holds, range_ in (
            ("coverage_penalty", 0 <= self.coverage_penalty < math.inf, "at least 0"),
            ("ctc_weight", 0 <= self.ctc_weight <= 1, "in [0, 1]"),
            ("diversity_penalty", 0 <= self.diversity_penalty < math.inf, "at least 0"),
            ("min_length_ratio", 0 <= self.min_length_ratio < math.inf, "at least 0"),
            (
                "max_length_ratio",
                self.max_length_ratio is None or 0 < self.max_length_ratio < math.inf,
                "above 0",
            ),
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

        if self.max_length_ratio is not None and self.min_length_ratio > self.max_length_ratio:
            raise InputError(
                "The least length must not exceed the greatest. Received: --min-length-ratio "
                f"{self.min_length_ratio}, --max-length-ratio {self.max_length_ratio}."
            )
        if any(not math.isfinite(number) for _, number in (*self.bias, *self.bias_ids)):
            raise InputError("A bias must be a finite number; to forbid a token, suppress it.")

    def _freeze_collections(self) -> None:
        """Tuples in place of lists and mappings, so that settings can be keys."""
        for item in dataclasses.fields(self):
            if isinstance(item.default, tuple):
                value = getattr(self, item.name)
                if isinstance(value, str):
                    raise InputError(
                        f"{option_name(item.name)} takes a list. Received: {value!r}."
                    )
                items = value.items() if isinstance(value, Mapping) else value
                frozen = tuple(tuple(x) if isinstance(x, list) else x for x in items)
                object.__setattr__(self, item.name, frozen)

    @property
    def records_alignments(self) -> bool:
        """Whether the attention of every token must be kept."""
        return self.alignments or self.replace_unknown or self.coverage_penalty > 0

    @property
    def has_length_ratio(self) -> bool:
        """Whether the lengths depend on the source."""
        return self.min_length_ratio > 0 or self.max_length_ratio is not None

    @property
    def description(self) -> str:
        """`"greedy"`, `"beam 4"`, `"beam 4 in 2 groups"`, `"beam 4, patience 2"` or
        `"sample"`; with joint CTC `"greedy, CTC 0.5"`."""
        if self.sample:
            search = "sample"
        elif self.num_beams == 1:
            search = "greedy"
        else:
            search = f"beam {self.num_beams}"
            if self.num_beam_groups > 1:
                search += f" in {self.num_beam_groups} groups"
            if self.patience != 1:
                search += f", patience {self.patience:g}"
        return f"{search}, CTC {self.ctc_weight:g}" if self.ctc_weight else search

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `GenerationSettings(**settings.to_dict())` is the same."""
        return dataclasses.asdict(self)
