"""The picture of a search: which hypotheses lived, ended and won."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_seq2seq.arguments import checked
from keras_seq2seq.decoding.tree import SearchTree
from keras_seq2seq.files import check_output
from keras_seq2seq.pictures.canvas import check_format, labels, picture, widest
from keras_seq2seq.settings import GenerationSettings

BEST, RESULT, OTHER = "#0b5394", "#6fa8dc", "#b7b7b7"


@checked
def plot_search_tree(
    tree: SearchTree, token_name: Callable[[int], str], path: str | Path, title: str = ""
) -> None:
    """Draws a search from left to right, one column a step.

    A node is a hypothesis: its last token and `log P` so far. The best result is dark, other
    results are numbered, and what was given up is grey.

    Args:
        tree: As `model.search_tree` gives.
        token_name: From a token id to what is written.
        path: File to write, `.png` or `.svg`.
        title: string. Defaults to none.

    Raises:
        InputError: If the format is unknown.
    """
    rows = _rows(tree)
    names = ["start", *labels([token_name(node.token_id) for node in tree.nodes[1:]])]
    depth = max(node.depth for node in tree.nodes)
    ranks = _best_ranks(tree)
    with picture(path, [*names, title]) as figure:
        # A column has room for the widest box, and what a result has beside it.
        column = max(1.15, widest(figure, names, 8) + 0.5)
        figure.set_size_inches(1.5 + column * (depth + 1), 1.2 + 0.42 * (max(rows) + 1))
        axes = figure.subplots()
        # Dark lines are drawn last, over the grey ones.
        for index in sorted(
            range(len(tree.nodes)), key=lambda i: -ranks.get(i, len(tree.nodes))
        ):
            _draw_node(axes, tree, index, rows, names[index], ranks.get(index))
        axes.set_xlim(-0.5, depth + 1.2)
        axes.set_ylim(max(rows) + 0.7, -0.7)
        axes.axis("off")
        if title:
            axes.set_title(title, fontsize=12, wrap=True)


def _draw_node(
    axes: Any, tree: SearchTree, index: int, rows: list[float], name: str, rank: int | None
) -> None:
    """A box with the line to its parent; `rank` is of the best result that it leads to."""
    node = tree.nodes[index]
    color = OTHER if rank is None else BEST if rank == 0 else RESULT
    if node.parent >= 0:
        axes.plot(
            [node.depth - 1, node.depth],
            [rows[node.parent], rows[index]],
            color=color,
            linewidth=1.0 if rank is None else 2.0,
            zorder=1 if rank is None else 2,
        )
    axes.text(
        node.depth,
        rows[index],
        name if node.parent < 0 else f"{name}\n{node.log_prob:.2f}",
        ha="center",
        va="center",
        fontsize=8,
        zorder=3,
        bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": color},
    )
    if node.rank is not None:
        axes.annotate(
            f"{node.rank + 1}. score {node.score:.2f}",
            (node.depth, rows[index]),
            xytext=(22, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=BEST if rank == 0 else "black",
        )


@checked
def draw_search_tree(
    model: Any,
    source: str,
    path: str | Path,
    settings: GenerationSettings | None = None,
    prefix: str = "",
) -> None:
    """Searches the target of a source and draws every hypothesis of the search.

    Args:
        model: `Seq2Seq` or `Ensemble` with a preprocessor.
        source: Source string.
        path: File to write, `.png` or `.svg`.
        settings: `GenerationSettings`. Defaults to a beam of 4.
        prefix: What the target begins with. Defaults to nothing.

    Raises:
        InputError: If the format is unknown, or as `generate`.
    """
    check_format(Path(path))
    check_output(path)
    tree = model.search_tree(source, settings, prefix=prefix)
    tokenizer = model.preprocessor.target_tokenizer

    def name(token_id: int) -> str:
        if token_id == tree.end_id:
            return "end"
        return tokenizer.id_to_token(token_id)

    plot_search_tree(tree, name, path, title=source)


def _rows(tree: SearchTree) -> list[float]:
    """The vertical place of every node: leaves below each other, parents between."""
    children: dict[int, list[int]] = {index: [] for index in range(len(tree.nodes))}
    for index, node in enumerate(tree.nodes[1:], 1):
        children[node.parent].append(index)
    rows = [0.0] * len(tree.nodes)
    next_row = 0

    def place(index: int) -> None:
        nonlocal next_row
        below = sorted(children[index], key=lambda child: -tree.nodes[child].log_prob)
        if not below:
            rows[index] = next_row
            next_row += 1
            return
        for child in below:
            place(child)
        rows[index] = (rows[below[0]] + rows[below[-1]]) / 2

    place(0)
    return rows


def _best_ranks(tree: SearchTree) -> dict[int, int]:
    """Of every node on the way to a result, the rank of the best such result."""
    ranks: dict[int, int] = {}
    for index, node in enumerate(tree.nodes):
        if node.rank is not None:
            for step in (0, *tree.path(index)):
                ranks[step] = min(ranks.get(step, node.rank), node.rank)
    return ranks
