"""Pictures for people: attention, search trees, accuracy by length."""

from .attention import draw_attention, plot_attention
from .lengths import plot_accuracy_by_length
from .search_tree import draw_search_tree, plot_search_tree

__all__ = [
    "draw_attention",
    "draw_search_tree",
    "plot_accuracy_by_length",
    "plot_attention",
    "plot_search_tree",
]
