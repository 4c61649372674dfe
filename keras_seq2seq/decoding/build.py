"""From settings to a strategy and its rules."""

from collections.abc import Callable

from keras_seq2seq.decoding.beam import BeamSearch
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
    MinLength,
    NoRepeatNGram,
    RepetitionPenalty,
    Rule,
    SuppressTokens,
)
from keras_seq2seq.settings import GenerationSettings

LENGTH_RULES: dict[str, Callable[[float], LengthRule]] = {
    "power": LengthPenalty,
    "gnmt": GNMTLengthPenalty,
    "reward": WordReward,
}


def build_strategy(settings: GenerationSettings, end_id: int) -> Strategy:
    """Greedy search, beam search or sampling."""
    if settings.sample:
        return Sampling(settings.num_hypotheses, end_id, build_filters(settings), settings.seed)
    if settings.num_beams == 1:
        return GreedySearch(end_id)
    rule = LENGTH_RULES[settings.length_rule](settings.length_penalty)
    return BeamSearch(
        settings.num_beams, end_id, settings.num_hypotheses, rule, settings.patience
    )


def build_filters(settings: GenerationSettings) -> list[Filter]:
    """The filters of a sampler, temperature first."""
    filters: list[Filter] = []
    if settings.temperature != 1:
        filters.append(Temperature(settings.temperature))
    if settings.top_k:
        filters.append(TopK(settings.top_k))
    if settings.top_p < 1:
        filters.append(TopP(settings.top_p))
    if settings.min_p:
        filters.append(MinP(settings.min_p))
    return filters


def build_rules(
    settings: GenerationSettings, *, end_id: int, start_id: int, pad_id: int, unknown_id: int
) -> list[Rule]:
    """The rules; padding and start are always suppressed."""
    never = [pad_id, start_id, *([unknown_id] if settings.forbid_unknown else [])]
    rules: list[Rule] = [SuppressTokens(never)]
    if settings.repetition_penalty != 1:
        rules.append(RepetitionPenalty(settings.repetition_penalty))
    if settings.no_repeat_ngram_size:
        rules.append(NoRepeatNGram(settings.no_repeat_ngram_size))
    if settings.min_length:
        rules.append(MinLength(settings.min_length, end_id))
    return rules
