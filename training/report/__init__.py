"""The page that a run leaves."""

from .report import write_report

__all__ = ["write_report"]
