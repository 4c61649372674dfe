"""From settings to a strategy and its rules."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.decoding.beam import BeamSearch
from keras_seq2seq.decoding.coverage import CoveragePenalty
from keras_seq2seq.decoding.diverse import DiverseBeamSearch
from keras_seq2seq.decoding.filters import Filter, MinP, Temperature, TopK, TopP
from keras_seq2seq.decoding.independent import GreedySearch, Sampling
from keras_seq2seq.decoding.length import (
    GNMTLengthPenalty,
    LengthPenalty,
    LengthRule,
    WordReward,
)
from keras_seq2seq.decoding.loop import Strategy
from keras_seq2seq.decoding.rules import (
    AllowedTargets,
    MaxLength,
    MinLength,
    NoRepeatNGram,
    RepetitionPenalty,
    Rule,
    SuppressTokens,
    TokenBias,
)
from keras_seq2seq.decoding.values import Values, numbers_of
from keras_seq2seq.settings import GenerationSettings

LENGTH_RULES: dict[str, Callable[[Any], LengthRule]] = {
    "power": LengthPenalty,
    "gnmt": GNMTLengthPenalty,
    "reward": WordReward,
}


@checked
def build_strategy(
    settings: GenerationSettings,
    end_id: int,
    source_mask: tf.Tensor | None = None,
    values: Values | None = None,
    fixed_shapes: bool = False,
) -> Strategy:
    """Greedy search, beam search in one group or several, or sampling.

    Args:
        settings: The settings.
        end_id: int. The end token.
        source_mask: `(batch, source_length)`, bool, of the positions that attention reads;
            a coverage penalty needs it.
        values: What takes the place of numbers of `settings`, optional: `length_penalty` may
            be `(batch, 1)`, `temperature` `(batch, 1, 1)`, the others are scalars.
        fixed_shapes: bool. Whether `top_k` of `settings` is a size, and that of `values` at
            most as large. Defaults to `False`.
    """
    values = {**numbers_of(settings), **(values or {})}
    if settings.sample:
        filters = build_filters(settings, values, fixed_shapes)
        return Sampling(settings.num_hypotheses, end_id, filters, values["seed"])
    if settings.num_beams == 1:
        return GreedySearch(end_id)
    options: dict[str, Any] = {
        "end_id": end_id,
        "num_hypotheses": settings.num_hypotheses,
        "length_rule": LENGTH_RULES[settings.length_rule](values["length_penalty"]),
        "patience": values["patience"],
    }
    if settings.coverage_penalty:
        options["coverage"] = CoveragePenalty(values["coverage_penalty"], source_mask)
    if settings.num_beam_groups == 1:
        return BeamSearch(settings.num_beams, **options)
    return DiverseBeamSearch(
        settings.num_beams, settings.num_beam_groups, values["diversity_penalty"], **options
    )


@checked
def build_filters(
    settings: GenerationSettings, values: Values | None = None, fixed_shapes: bool = False
) -> list[Filter]:
    """The filters of a sampler, temperature first."""
    values = {**numbers_of(settings), **(values or {})}
    filters: list[Filter] = []
    if tf.is_tensor(values["temperature"]) or values["temperature"] != 1:
        filters.append(Temperature(values["temperature"]))
    if settings.top_k:
        filters.append(TopK(values["top_k"], settings.top_k if fixed_shapes else None))
    if settings.top_p < 1:
        filters.append(TopP(values["top_p"]))
    if settings.min_p:
        filters.append(MinP(values["min_p"]))
    return filters


@checked
def build_rules(
    settings: GenerationSettings,
    *,
    end_id: int,
    suppressed: Any,
    max_length: Any,
    min_length: Any = 0,
    token_biases: Any = None,
    allowed: Any = None,
    values: Values | None = None,
) -> list[Rule]:
    """The rules of the settings, their words already ids.

    What changes a log probability comes first, what makes a token impossible after it: so no
    bias and no penalty lifts what is forbidden.

    Args:
        settings: The settings.
        end_id: int. The end token.
        suppressed: Ids, or a vector, as of `SuppressTokens`.
        token_biases: As of `TokenBias`, optional.
        allowed: As of `AllowedTargets`, optional.
        min_length: int, or int32, scalar or `(batch,)`, without the end token.
        max_length: Likewise.
        values: Of `build_strategy`, optional.
    """
    values = {**numbers_of(settings), **(values or {})}
    rules: list[Rule] = []
    if token_biases is not None:
        rules.append(TokenBias(token_biases))
    if settings.repetition_penalty != 1:
        signed = token_biases is not None
        rules.append(RepetitionPenalty(values["repetition_penalty"], signed))
    rules.append(SuppressTokens(suppressed))
    if settings.no_repeat_ngram_size:
        rules.append(NoRepeatNGram(settings.no_repeat_ngram_size))
    if allowed is not None:
        rules.append(AllowedTargets(allowed))
    if tf.is_tensor(min_length) or min_length:
        rules.append(MinLength(min_length, end_id))
    return [*rules, MaxLength(max_length, end_id)]
