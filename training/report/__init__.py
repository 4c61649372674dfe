"""The pages that runs leave: of one, and of two beside each other."""

from .comparison import comparison_page, write_comparison
from .report import write_report

__all__ = ["comparison_page", "write_comparison", "write_report"]
