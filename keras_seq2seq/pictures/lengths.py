"""The picture of the bottleneck: accuracy by the length of the source."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_seq2seq.errors import InputError
from keras_seq2seq.files import write_atomically

FORMATS = (".png", ".svg")
# Where lines lie on each other, both are seen.
STYLES = ("o-", "s-", "^--", "v:")


def plot_accuracy_by_length(
    panels: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]], path: str | Path
) -> None:
    """Draws accuracy by source length: one panel a data set, one line a model.

    Args:
        panels: Title of a panel -> name of a model -> `(length, accuracy)` points, ascending;
            accuracy is a share in [0, 1].
        path: File to write, `.png` or `.svg`.

    Raises:
        InputError: If the format is unknown.
        ValueError: If there is no panel.

    Reference:
        [Bahdanau et al., 2014](https://arxiv.org/abs/1409.0473), figure 2.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: a picture must end in {' or '.join(FORMATS)}.")
    if not panels:
        raise ValueError("`panels` must hold at least one panel. Received none.")
    # The object interface: no global state, no display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(panels), 3.8), dpi=150, layout="constrained")
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, lines) in zip(row, panels.items(), strict=True):
        for (name, points), style in zip(lines.items(), itertools.cycle(STYLES), strict=False):
            lengths = [length for length, _ in points]
            axes.plot(lengths, [100 * share for _, share in points], style, ms=4, label=name)
        axes.set_title(title)
        axes.set_xlabel("source length (tokens)")
        axes.set_ylim(-3, 103)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    row[0].set_ylabel("exactly right (%)")
    write_atomically(path, figure.savefig)
