"""How good a model is: of one run, of two beside each other, of many in a table."""

from .evaluation import SCORE_NAMES, evaluate, evaluate_run, parts_table, results_table
from .files import evaluated_name

__all__ = [
    "SCORE_NAMES",
    "evaluate",
    "evaluate_run",
    "evaluated_name",
    "parts_table",
    "results_table",
]
