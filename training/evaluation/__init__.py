"""How good a model is: of one run, of two beside each other, of many in a table."""

from .evaluation import SCORE_NAMES, evaluate, evaluate_run, parts_table, plural, results_table

__all__ = [
    "SCORE_NAMES",
    "evaluate",
    "evaluate_run",
    "parts_table",
    "plural",
    "results_table",
]
