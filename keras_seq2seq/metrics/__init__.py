"""How good generated sequences are, and whether a metric says it."""

from .checks import metric_warnings, never_scores
from .scores import (
    BLEU_METRICS,
    TEXT_METRICS,
    ErrorRates,
    TextScores,
    bleu_metric,
    check_metric,
    error_percent,
    error_rates,
    rouge_tokens,
    sentence_bleu,
    text_scores,
    word_edits,
)

__all__ = [
    "BLEU_METRICS",
    "TEXT_METRICS",
    "ErrorRates",
    "TextScores",
    "bleu_metric",
    "check_metric",
    "error_percent",
    "error_rates",
    "metric_warnings",
    "never_scores",
    "rouge_tokens",
    "sentence_bleu",
    "text_scores",
    "word_edits",
]
