"""The tree of a search: every hypothesis that lived, and what became of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from keras_seq2seq.decoding.hypotheses import Hypotheses, Snapshot
from keras_seq2seq.decoding.rules import IMPOSSIBLE


@dataclass
class Node:
    """A hypothesis of a search, one token longer than its parent.

    Attributes:
        token_id: int. Its last token; -1 for the root, the empty hypothesis.
        parent: int. Index of the parent; -1 for the root.
        depth: int. Number of tokens.
        log_prob: float. `log P` of the hypothesis.
        rank: int, or `None`: its place among the results, from 0.
        score: float, or `None`: of a result, what it is ordered by.
    """

    token_id: int
    parent: int
    depth: int
    log_prob: float
    rank: int | None = None
    score: float | None = None


@dataclass
class SearchTree:
    """The hypotheses of one search.

    Attributes:
        nodes: The root first, parents before children.
        end_id: int. The end token.
    """

    nodes: list[Node]
    end_id: int
    _index: dict[tuple[int, ...], int] = field(default_factory=lambda: {(): 0}, repr=False)

    @classmethod
    def of(cls, snapshots: Iterable[Snapshot], end_id: int) -> "SearchTree":
        """Reads the first row of every snapshot of a stream."""
        tree = cls([Node(-1, -1, 0, 0.0)], end_id)
        ended = None
        for snapshot in snapshots:
            tree._add(snapshot.live)
            tree._add(snapshot.ended)
            ended = snapshot.ended
        if ended is not None:
            for rank, index in enumerate(tree._add(ended)):
                if index is not None and tree.nodes[index].rank is None:
                    tree.nodes[index].rank = rank
                    tree.nodes[index].score = float(ended.scores[0, rank])
        return tree

    def path(self, index: int) -> list[int]:
        """Indices from the root's child to the node."""
        indices = []
        while index > 0:
            indices.append(index)
            index = self.nodes[index].parent
        return indices[::-1]

    def _add(self, hypotheses: Hypotheses) -> list[int | None]:
        """The node of each hypothesis; `None` for one that does not exist."""
        ids, lengths, log_probs, _, token_log_probs = (
            np.asarray(tensor)[0] for tensor in hypotheses[:5]
        )
        found: list[int | None] = []
        for row, length, log_prob, parts in zip(
            ids, lengths, log_probs, token_log_probs, strict=True
        ):
            if not log_prob > IMPOSSIBLE / 2:  # NaN neither.
                found.append(None)
                continue
            ended = length < len(row) and row[length] == self.end_id
            tokens = tuple(int(token) for token in row[: length + ended])
            node = 0
            for depth in range(1, len(tokens) + 1):
                node = self._child(node, tokens[:depth], float(parts[:depth].sum()))
            found.append(node)
        return found

    def _child(self, parent: int, tokens: tuple[int, ...], log_prob: float) -> int:
        if tokens not in self._index:
            self._index[tokens] = len(self.nodes)
            self.nodes.append(Node(tokens[-1], parent, len(tokens), log_prob))
        return self._index[tokens]
