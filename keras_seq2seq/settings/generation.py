"""How targets are generated, as one frozen value. Imports no TensorFlow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_seq2seq.errors import InputError
from keras_seq2seq.settings.declarations import (
    AllBut,
    Bounds,
    Settings,
    option_name,
    setting,
    without_unused,
)
from keras_seq2seq.settings.other_names import refuses_other_names

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

# More than any model here was ever asked for; beyond, a machine runs out of memory.
MOST_BEAMS = 65536
LONGEST = 1_000_000
SAMPLING = {"sample": (True,)}
BEAMS = {"num_beams": Bounds("[2, inf)")}


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


# So that the biases of a whole target stay far from what stands for the impossible.
MOST_BIAS = 10_000


@refuses_other_names
@dataclass(frozen=True)
class GenerationSettings(Settings):
    """How targets are generated: the same for `generate`, the command line and an export.

    Equations and sources: `docs/decoding.md`. Lists are taken for tuples, and a mapping for
    the biases; words must be single tokens of the target vocabulary.

    Raises:
        InputError: If a name is unknown, a value out of range, or two contradict each other.
    """

    num_beams: int = setting(
        1, "1 is greedy search.", option="--beam-size", bounds=f"[1, {MOST_BEAMS}]"
    )
    num_hypotheses: int = setting(
        1,
        "Hypotheses a source, at most the beam size; samples when sampling.",
        option="--n-best",
        bounds=f"[1, {MOST_BEAMS}]",
    )
    length_penalty: float = setting(
        0.0,
        "Beam search: strength of the length rule; 0 ranks by probability.",
        bounds="(-inf, inf)",
        needs=BEAMS,
    )
    length_rule: str = setting(
        "power",
        "power: log P / length^a; gnmt: log P / ((5 + length) / 6)^a; "
        "reward: log P + a length.",
        choices=("power", "gnmt", "reward"),
        needs={**BEAMS, "length_penalty": AllBut(0)},
    )
    coverage_penalty: float = setting(
        0.0,
        "Beam search: strength of the GNMT coverage penalty; needs attention.",
        bounds="[0, inf)",
        needs=BEAMS,
    )
    ctc_weight: float = setting(
        0.0,
        "Joint CTC/attention decoding: share of CTC in the score of a token; needs a model "
        "trained with an auxiliary CTC loss.",
        bounds="[0, 1]",
    )
    num_beam_groups: int = setting(
        1,
        "Diverse beam search: groups that the beam is cut into.",
        option="--beam-groups",
        bounds=f"[1, {MOST_BEAMS}]",
        needs=BEAMS,
    )
    diversity_penalty: float = setting(
        0.5,
        "Diverse beam search: off a token for each earlier group's choice of it.",
        bounds="[0, inf)",
        needs={"num_beam_groups": Bounds("[2, inf)")},
    )
    patience: float = setting(
        1.0,
        "Stop a beam search after patience x beam size ended hypotheses; inf: never early.",
        bounds="(0, 10000] or inf",
        needs=BEAMS,
    )
    max_length: int | None = setting(
        None, "Target tokens at most, without the end token.", bounds=f"[1, {LONGEST}]"
    )
    min_length: int = setting(
        0, "Target tokens at least, without the end token.", bounds=f"[0, {LONGEST}]"
    )
    max_length_ratio: float | None = setting(
        None,
        "Target tokens at most, times the source tokens; rounded down, at least 1.",
        bounds=f"(0, {LONGEST}]",
    )
    min_length_ratio: float = setting(
        0.0,
        "Target tokens at least, times the source tokens; rounded up.",
        bounds=f"[0, {LONGEST}]",
    )
    sample: bool = setting(False, "Draw tokens at random in place of searching.")
    seed: int = setting(
        0,
        "Seed of sampling; the same seed gives the same targets.",
        bounds=f"[0, {2**31 - 1}]",
        needs=SAMPLING,
    )
    temperature: float = setting(
        1.0, "Sampling: above 1 flattens probabilities.", bounds="(0, inf)", needs=SAMPLING
    )
    top_k: int = setting(
        0,
        "Sampling: among the k most probable tokens; 0 for all.",
        bounds=f"[0, {2**31 - 1}]",
        needs=SAMPLING,
    )
    top_p: float = setting(
        1.0,
        "Sampling: among the most probable tokens of this total.",
        bounds="(0, 1]",
        needs=SAMPLING,
    )
    min_p: float = setting(
        0.0,
        "Sampling: among tokens of this share of the highest.",
        bounds="[0, 1)",
        needs=SAMPLING,
    )
    repetition_penalty: float = setting(
        1.0,
        "Multiply log probabilities of tokens that occurred already; above 1 hinders them.",
        bounds="(0, inf)",
    )
    no_repeat_ngram_size: int = setting(
        0, "No n-gram of this size twice; 0 for no limit.", bounds=f"[0, {LONGEST}]"
    )
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
    allowed: tuple[str, ...] | None = setting(
        None, "File of targets, one a line: nothing else comes out.", lines=True
    )
    shortlist: str | None = setting(
        None,
        "File of the command shortlist: only tokens that it names for the source come out, "
        "and the others cost nothing.",
    )
    alignments: bool = setting(False, "Record the attention of every target token.")
    replace_unknown: bool = setting(
        False,
        "Put the source token with the most attention in place of an unknown one.",
        needs={"forbid_unknown": (False,)},
    )

    def check_together(self) -> None:
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
        if self.length_penalty < 0 and self.length_rule != "reward":
            raise InputError(
                "The length penalty must be at least 0 (for the rule reward any number). "
                f"Received: {self.length_penalty}."
            )
        if self.num_beams % self.num_beam_groups:
            raise InputError(
                "The beam groups must divide the beam size. Received: "
                f"beam groups {self.num_beam_groups}, beam size {self.num_beams}."
            )
        for least, greatest in (
            ("min_length", "max_length"),
            ("min_length_ratio", "max_length_ratio"),
        ):
            low, high = getattr(self, least), getattr(self, greatest)
            if high is not None and low > high:
                raise InputError(
                    "The least length must not exceed the greatest. Received: "
                    f"{option_name(least)} {low}, {option_name(greatest)} {high}."
                )
        for _, number in (*self.bias, *self.bias_ids):
            if not abs(number) <= MOST_BIAS:
                raise InputError(
                    f"A bias must be a finite number from -{MOST_BIAS} to {MOST_BIAS}; to "
                    f"forbid a token, suppress it. Received: {number}."
                )
        if self.allowed is not None and not self.allowed:
            raise InputError(
                "--allowed must hold at least one target; leave it out to allow all. "
                "Received: an empty list."
            )

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

    @classmethod
    def from_file(cls, content: Mapping[str, Any]) -> "GenerationSettings":
        """From what `to_dict` gave, also that of an earlier version, in which an empty list
        of allowed targets stood for all, and what had no use was accepted."""
        used = without_unused(cls, content)
        return cls(**{**used, "allowed": content.get("allowed") or None})
