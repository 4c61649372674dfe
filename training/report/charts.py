"""The charts of a page."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_seq2seq.pictures.canvas import figure_of

from ..run_records import epochs_of
from ..settings.monitors import SEQUENCE_ERROR_RATE, TOKEN_ERROR_RATE
from .errors import Calibration
from .markup import chart

SIZE = (6.2, 3.9)
LENGTH_GROUPS = 8
BLUE, ORANGE, RED, GREY, PALE = "#1f6fb4", "#d98324", "#b3261e", "#5d6b7a", "#8aa4bf"


def _axes(figure: Any) -> Any:
    figure.set_size_inches(*SIZE)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    return axes


def curves(
    history: Sequence[dict[str, float]], metrics: dict[str, Any], settings: dict[str, Any]
) -> str:
    """Loss and error rates by epoch."""
    with figure_of([settings["token_name"], settings["sequence_name"]]) as figure:
        axes = _axes(figure)
        epochs = [epochs_of(row) for row in history]
        for name, label, color in (
            ("loss", "training loss", PALE),
            ("val_loss", "validation loss", BLUE),
        ):
            values = [row[name] for row in history]
            axes.plot(epochs, values, "o-", ms=3, color=color, label=label)
        every = settings.get("evaluate_steps", 0)
        axes.set_xlabel(f"epoch, measured every {every:,} steps" if every else "epoch")
        axes.set_ylabel("loss")
        axes.xaxis.get_major_locator().set_params(integer=True)
        rates = axes.twinx()
        rates.spines["top"].set_visible(False)
        for name, what, color in (
            (TOKEN_ERROR_RATE, settings["token_name"], ORANGE),
            (SEQUENCE_ERROR_RATE, settings["sequence_name"], RED),
        ):
            # A run on another backend than TensorFlow decoded nothing.
            decoded = [row for row in history if name in row]
            if decoded:
                values = [100 * row[name] for row in decoded]
                numbers = [epochs_of(row) for row in decoded]
                rates.plot(numbers, values, "s--", ms=3, color=color, label=f"{what} errors")
        rates.set_ylabel("validation errors (%)")
        rates.set_ylim(0)
        kept = epochs_of(history[metrics["best_epoch"] - 1])
        axes.axvline(kept, color=GREY, lw=1, ls=":", label="model kept")
        handles = [*axes.get_legend_handles_labels()[0], *rates.get_legend_handles_labels()[0]]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
        return chart(figure, "loss and error rates by epoch")


def lengths(model: Any, rows: Sequence[dict[str, Any]], counts: np.ndarray) -> str:
    """Share of right outputs by the length of the source."""
    sizes = model.preprocessor.source_lengths([row["source"] for row in rows])
    right = 100 * (1 - counts[:, 2])
    edges = np.unique(np.quantile(sizes, np.linspace(0, 1, LENGTH_GROUPS + 1)).astype(int))
    # Each group is from its edge to below the next one; the last one has its end too.
    groups = np.clip(np.searchsorted(edges, sizes, "right") - 1, 0, max(0, len(edges) - 2))
    found = []
    for group in np.unique(groups):
        inside = groups == group
        low, high = sizes[inside].min(), sizes[inside].max()
        name = f"{low}" if low == high else f"{low}-{high}"
        found.append((name, right[inside].mean(), int(inside.sum())))
    names, heights, numbers = zip(*found, strict=True)
    with figure_of([model.preprocessor.unit]) as figure:
        axes = _axes(figure)
        bars = axes.bar(names, heights, color=BLUE, width=0.7)
        axes.bar_label(bars, [f"{number:,}" for number in numbers], color=GREY, fontsize=8)
        axes.set_ylim(0, 108)
        axes.set_xlabel(f"source length ({model.preprocessor.unit}); number of sources above")
        axes.set_ylabel("exactly right (%)")
        axes.grid(axis="x", visible=False)
        spoken = "; ".join(f"{name}: {height:.0f} %" for name, height, _ in found)
        return chart(figure, f"share of right targets by source length: {spoken}")


def sureness(found: Calibration) -> str:
    """How often the model is right, by how sure it is."""
    with figure_of([]) as figure:
        axes = _axes(figure)
        axes.plot([0, 100], [0, 100], color=GREY, lw=1, ls=":", label="as sure as right")
        sure = [100 * value for value in found.sure]
        right = [100 * value for value in found.right]
        axes.plot(sure, right, "o-", ms=5, color=BLUE, label="a tenth of the outputs each")
        axes.set_xlim(-3, 103)
        axes.set_ylim(-3, 103)
        axes.set_xlabel("probability that the model gives its output (%)")
        axes.set_ylabel("exactly right (%)")
        axes.legend(frameon=False, loc="upper left")
        spoken = f"{sure[0]:.0f} % sure, {right[0]:.0f} % right; "
        spoken += f"{sure[-1]:.0f} % sure, {right[-1]:.0f} % right"
        return chart(figure, f"right outputs by probability, least to most sure: {spoken}")
