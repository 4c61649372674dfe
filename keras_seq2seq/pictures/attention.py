"""Pictures for people: PNG or SVG, by the ending of the file name."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.data.signals import signal_name
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import check_output, write_atomically
from keras_seq2seq.pictures.fonts import families_for
from keras_seq2seq.settings import GenerationSettings

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
    check_format(path)
    weights = np.asarray(weights)
    if weights.shape != (len(target_tokens), len(source_tokens)):
        raise ValueError(
            "`weights` must have one row a target token and one column a source token. "
            f"Received: shape {weights.shape}, {len(target_tokens)} target and "
            f"{len(source_tokens)} source tokens."
        )
    # A space would be an empty label.
    source_tokens, target_tokens = (
        [token.replace(" ", "␣") for token in tokens]
        for tokens in (source_tokens, target_tokens)
    )
    families = families_for([*source_tokens, *target_tokens, title])
    # The object interface: no global state, no display.
    from matplotlib.figure import Figure

    width = 2 + 0.45 * len(source_tokens)
    height = 1.6 + 0.38 * len(target_tokens)
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source_tokens)), source_tokens, fontfamily=families)
    axes.set_yticks(range(len(target_tokens)), target_tokens, fontfamily=families)
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
        axes.set_title(title, fontsize=13, pad=12, fontfamily=families)
    figure.colorbar(image, ax=axes, label="attention weight", shrink=0.85)
    write_atomically(path, figure.savefig)


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
    settings = dataclasses.replace(settings or GenerationSettings(), alignments=True)
    hypotheses = model.search([source], settings)
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
    plot_attention(
        hypotheses.alignments[0, 0, : length + 1, : len(sources)],
        sources,
        [*targets, "end"],
        path,
        title=f"{source if preprocessor.kind == 'text' else signal_name(source)} → {target}",
    )
    return target


def check_format(path: Path) -> None:
    """Raises `InputError` if the ending is none of a picture."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: a picture must end in {' or '.join(FORMATS)}.")
