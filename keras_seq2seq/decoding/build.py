"""From settings to a strategy and its rules."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

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
from keras_seq2seq.settings import GenerationSettings

LENGTH_RULES: dict[str, Callable[[Any], LengthRule]] = {
    "power": LengthPenalty,
    "gnmt": GNMTLengthPenalty,
    "reward": WordReward,
}


# What a request may change of the settings: name of the field -> scalar tensor, or one value
# a row.
Request = Mapping[str, Any]


def build_strategy(
    settings: GenerationSettings,
    end_id: int,
    source_mask: tf.Tensor | None = None,
    request: Request | None = None,
) -> Strategy:
    """Greedy search, beam search in one group or several, or sampling.

    Args:
        settings: The settings.
        end_id: int. The end token.
        source_mask: `(batch, source_length)`, bool, of the positions that attention reads;
            a coverage penalty needs it.
        request: Tensors in the place of `length_penalty`, `temperature` or `seed`.
    """
    request = request or {}
    if settings.sample:
        seed = request.get("seed", settings.seed)
        filters = build_filters(settings, request)
        return Sampling(settings.num_hypotheses, end_id, filters, seed)
    if settings.num_beams == 1:
        return GreedySearch(end_id)
    strength = request.get("length_penalty", settings.length_penalty)
    options: dict[str, Any] = {
        "end_id": end_id,
        "num_hypotheses": settings.num_hypotheses,
        "length_rule": LENGTH_RULES[settings.length_rule](strength),
        "patience": settings.patience,
    }
    if settings.coverage_penalty:
        options["coverage"] = CoveragePenalty(settings.coverage_penalty, source_mask)
    if settings.num_beam_groups == 1:
        return BeamSearch(settings.num_beams, **options)
    return DiverseBeamSearch(
        settings.num_beams, settings.num_beam_groups, settings.diversity_penalty, **options
    )


def build_filters(settings: GenerationSettings, request: Request | None = None) -> list[Filter]:
    """The filters of a sampler, temperature first."""
    temperature = (request or {}).get("temperature", settings.temperature)
    filters: list[Filter] = []
    if tf.is_tensor(temperature) or temperature != 1:
        filters.append(Temperature(temperature))
    if settings.top_k:
        filters.append(TopK(settings.top_k))
    if settings.top_p < 1:
        filters.append(TopP(settings.top_p))
    if settings.min_p:
        filters.append(MinP(settings.min_p))
    return filters


def build_rules(
    settings: GenerationSettings,
    *,
    end_id: int,
    never: Sequence[int],
    max_length: Any,
    min_length: Any = 0,
    biases: Mapping[int, float] | None = None,
    allowed: np.ndarray | None = None,
) -> list[Rule]:
    """The rules of the settings, their words already ids.

    Args:
        settings: The settings.
        end_id: int. The end token.
        never: Ids that are suppressed.
        biases: Token id -> what is added to its log probability.
        allowed: `(targets, length)`, int32: the allowed targets with end token and padding.
        min_length: int, or int32 `(batch,)`, without the end token.
        max_length: Likewise.
    """
    rules: list[Rule] = [SuppressTokens(never)]
    if biases:
        rules.append(TokenBias(biases))
    if settings.repetition_penalty != 1:
        rules.append(RepetitionPenalty(settings.repetition_penalty))
    if settings.no_repeat_ngram_size:
        rules.append(NoRepeatNGram(settings.no_repeat_ngram_size))
    if allowed is not None:
        rules.append(AllowedTargets(allowed))
    if tf.is_tensor(min_length) or min_length:
        rules.append(MinLength(min_length, end_id))
    return [*rules, MaxLength(max_length, end_id)]
