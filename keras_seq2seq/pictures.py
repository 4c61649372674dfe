"""Pictures for people: PNG or SVG, by the ending of the file name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.errors import InputError

FORMATS = (".png", ".svg")


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
        ValueError: If the shape of the weights does not fit the tokens.

    Reference:
        [Bahdanau et al., 2014](https://arxiv.org/abs/1409.0473), figure 3.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: a picture must end in {' or '.join(FORMATS)}.")
    weights = np.asarray(weights)
    if weights.shape != (len(target_tokens), len(source_tokens)):
        raise ValueError(
            "`weights` must have one row a target token and one column a source token. "
            f"Received: shape {weights.shape}, {len(target_tokens)} target and "
            f"{len(source_tokens)} source tokens."
        )
    # The object interface: no global state, no display.
    from matplotlib.figure import Figure

    width = 2 + 0.45 * len(source_tokens)
    height = 1.6 + 0.38 * len(target_tokens)
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source_tokens)), source_tokens)
    axes.set_yticks(range(len(target_tokens)), target_tokens)
    axes.tick_params(length=0, labelsize=11)
    axes.xaxis.tick_top()
    axes.set_xlabel("source")
    axes.set_ylabel("target")
    axes.set_xticks(np.arange(-0.5, len(source_tokens)), minor=True)
    axes.set_yticks(np.arange(-0.5, len(target_tokens)), minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title:
        axes.set_title(title, fontsize=13, pad=12)
    figure.colorbar(image, ax=axes, label="attention weight", shrink=0.85)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def draw_attention(model: Any, source: str, path: str | Path) -> str:
    """Generates the target of a source and draws where the model looked for each token.

    Args:
        model: `Seq2Seq` with attention and a preprocessor.
        source: Source string.
        path: File to write, `.png` or `.svg`.

    Returns:
        The generated target.

    Raises:
        InputError: If the model has no attention, or the format is unknown.
    """
    target = model.generate(source)
    preprocessor = model.preprocessor
    plot_attention(
        model.align([source], [target])[0],
        [*preprocessor.source_tokenizer.split_text(source), "end"],
        [*preprocessor.target_tokenizer.split_text(target), "end"],
        path,
        title=f"{source} → {target}",
    )
    return target
