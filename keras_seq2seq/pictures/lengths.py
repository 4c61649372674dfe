"""The picture of the bottleneck: accuracy by the length of the source."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.pictures.canvas import check_format, picture

# Where lines lie on each other, both are seen.
STYLES = ("o-", "s-", "^--", "v:")


@checked
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
        InputError: If there is no panel.

    Reference:
        [Bahdanau et al., 2014](https://arxiv.org/abs/1409.0473), figure 2.
    """
    check_format(Path(path))
    if not panels:
        raise InputError("`panels` must hold at least one panel. Received none.")
    texts = [*panels, *(name for lines in panels.values() for name in lines)]
    with picture(path, texts) as figure:
        figure.set_size_inches(5.2 * len(panels), 3.8)
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, lines) in zip(row, panels.items(), strict=True):
            styles = itertools.cycle(STYLES)
            for (name, points), style in zip(lines.items(), styles, strict=False):
                lengths = [length for length, _ in points]
                shares = [100 * share for _, share in points]
                axes.plot(lengths, shares, style, ms=4, label=name)
            axes.set_title(title)
            axes.set_xlabel("source length (tokens)")
            axes.set_ylim(-3, 103)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False)
        row[0].set_ylabel("exactly right (%)")
