"""Where a model looks: attention as a heat map."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.signals import signal_name
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import check_output
from keras_seq2seq.pictures.canvas import check_format, labels, picture, widest
from keras_seq2seq.scripts import runs_right_to_left
from keras_seq2seq.settings import GenerationSettings

# Inches of a cell: as its label needs, within these; and of all cells of a side at most.
CELL = (0.45, 0.38)
WIDEST_CELL = 1.1
LONGEST_SIDE = 40.0
# Points of a label, and what a line of it takes of them.
LABEL_SIZE, SMALLEST_LABEL = 11.0, 6.0
LINE = 1.25 / 72


@checked
def plot_attention(
    weights: np.ndarray,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    path: str | Path,
    title: str = "",
) -> None:
    """Draws attention weights as a heat map, one row a target token.

    Args:
        weights: `(target_length, source_length)`, each row sums to 1.
        source_tokens: Labels of the columns.
        target_tokens: Labels of the rows.
        path: File to write, `.png` or `.svg`.
        title: string. Defaults to none.

    Raises:
        InputError: If the format is unknown.
        InputError: If the shape of the weights does not fit the tokens.

    Reference:
        [Bahdanau et al., 2014](https://arxiv.org/abs/1409.0473), figure 3.
    """
    path = Path(path)
    check_format(path)
    weights = np.asarray(weights)
    if weights.shape != (len(target_tokens), len(source_tokens)):
        raise InputError(
            "`weights` must have one row a target token and one column a source token. "
            f"Received: shape {weights.shape}, {len(target_tokens)} target and "
            f"{len(source_tokens)} source tokens."
        )
    columns, rows = labels(source_tokens), labels(target_tokens)
    with picture(path, [*columns, *rows, title]) as figure:
        across = widest(figure, columns, LABEL_SIZE) + 0.12
        side = across > WIDEST_CELL
        width = max(CELL[0], 0 if side else across)
        width = min(width, LONGEST_SIDE / max(1, len(columns)))
        if across > width and not side:
            side = True
        height = min(CELL[1], LONGEST_SIDE / max(1, len(rows)))
        axes = figure.subplots()
        image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        size = _name_ticks(axes.xaxis, columns, width if side else None, width)
        size = max(size, _name_ticks(axes.yaxis, rows, height, height))
        if side:
            axes.tick_params(axis="x", labelrotation=90)
        axes.tick_params(length=0)
        axes.xaxis.tick_top()
        axes.set_xlabel("source")
        axes.set_ylabel("target")
        _part_cells(axes, min(width, height))
        for spine in axes.spines.values():
            spine.set_visible(False)
        if title:
            axes.set_title(_wrapped(title, width * len(columns)), fontsize=13, pad=12)
        figure.colorbar(image, ax=axes, label="attention weight", shrink=0.85, aspect=30)
        # Beside the cells: the labels, and what names the axes and the colours.
        left = 1.9 + widest(figure, rows, LABEL_SIZE)
        top = 1.3 + (widest(figure, columns, LABEL_SIZE) if side else 0.3)
        top += 0.3 * _wrapped(title, width * len(columns)).count("\n")
        figure.set_size_inches(
            max(3.2, left + width * len(columns)), max(2.2, top + height * len(rows))
        )


def _name_ticks(axis: Any, names: list[str], line: float | None, cell: float) -> float:
    """Names the ticks of an axis so that no two names lie on each other.

    Args:
        axis: Of matplotlib.
        names: A name a position.
        line: Inches that a line of text may take, where names stand under each other;
            `None` where they stand beside each other in cells that are wide enough.
        cell: Inches of a position.
    """
    size = LABEL_SIZE
    every = 1
    if line is not None:
        size = min(LABEL_SIZE, max(SMALLEST_LABEL, line / LINE))
        # Where the cells are thinner than the smallest letters, every second, third ... name.
        every = math.ceil(round(size * LINE / cell, 6))
    places = range(0, len(names), every)
    axis.set_ticks(places, [names[place] for place in places], fontsize=size)
    return size


def _part_cells(axes: Any, cell: float) -> None:
    """White lines between the cells, if they are large enough to bear them."""
    if cell < 0.1:
        return
    rows, columns = axes.get_images()[0].get_array().shape
    axes.set_xticks(np.arange(-0.5, columns), minor=True)
    axes.set_yticks(np.arange(-0.5, rows), minor=True)
    axes.grid(which="minor", color="white", linewidth=min(1.5, 4 * cell))
    axes.tick_params(which="minor", length=0)


def _wrapped(text: str, inches: float) -> str:
    """Lines that fit above the cells, broken between words where there are some."""
    import textwrap

    lines = textwrap.wrap(text, max(30, int(inches * 9)), replace_whitespace=False)
    if len(lines) > 4:
        lines[3:] = [f"{lines[3][:-1]}…"]
    return "\n".join(lines)


@checked
def draw_attention(
    model: Any, source: str, path: str | Path, settings: GenerationSettings | None = None
) -> str:
    """Generates the target of a source and draws where the model looked for each token.

    Args:
        model: `Seq2Seq` or `Ensemble` with attention and a preprocessor.
        source: Source string.
        path: File to write, `.png` or `.svg`.
        settings: `GenerationSettings`. Defaults to greedy search.

    Returns:
        The generated target.

    Raises:
        InputError: If the model has no attention, or the format is unknown.
    """
    check_format(Path(path))
    check_output(path)
    target, sources, targets, weights = attention_of(model, source, settings)
    shown = source if model.preprocessor.kind == "text" else signal_name(source)
    plot_attention(weights, sources, targets, path, title=_title(shown, target))
    return target


class Attention(NamedTuple):
    """Where a model looked.

    Attributes:
        target: The target.
        source_tokens: Names of the source's positions; of sound and frames every tenth.
        target_tokens: Names of the target's positions.
        weights: `(target_length, source_length)`.
    """

    target: str
    source_tokens: list[str]
    target_tokens: list[str]
    weights: np.ndarray


def attention_of(
    model: Any, source: Any, settings: GenerationSettings | None = None, prefix: str = ""
) -> Attention:
    """Generates the target of a source, and where the model looked for each token.

    Args:
        model: `Seq2Seq` or `Ensemble` with attention and a preprocessor.
        source: Source.
        settings: `GenerationSettings`. Defaults to greedy search.
        prefix: What the target begins with. Defaults to nothing.

    Raises:
        InputError: If the model has no attention.
    """
    settings = dataclasses.replace(settings or GenerationSettings(), alignments=True)
    hypotheses = model.search([source], settings, prefixes=[prefix] if prefix else None)
    target = model.texts(hypotheses, [source] if settings.replace_unknown else None)[0][0]
    preprocessor = model.preprocessor
    if preprocessor.kind == "text":
        sources = [*preprocessor.source_tokenizer.split_text(source), "end"]
    else:  # Positions of the memory, each of which is many frames or samples.
        width = hypotheses.alignments.shape[-1]
        sources = ["" if index % 10 else str(index) for index in range(width)]
    length = int(hypotheses.lengths[0, 0])
    name = preprocessor.target_tokenizer.id_to_token
    targets = [name(int(token_id)) for token_id in hypotheses.token_ids[0, 0, :length]]
    weights = hypotheses.alignments[0, 0, : length + 1, : len(sources)]
    return Attention(target, sources, [*targets, "end"], weights)


def _title(source: str, target: str) -> str:
    # In a line that runs from right to left, forward is to the left.
    arrow = "←" if runs_right_to_left(source + target) else "→"
    return f"{source} {arrow} {target}"
