"""Splits and joins text in plain Python as the model's own tokenizer does in the graph.

Needs numpy, nothing else: a copy of this file lies in an exported folder.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

# What TensorFlow splits at; `str.split()` also splits at spaces beyond ASCII.
_SPACES = re.compile("[ \t\n\v\f\r]+")

# Capitals younger than Unicode 13, which TensorFlow's tables do not lower-case; Python's do.
_YOUNG_CAPITALS = re.compile(
    "([\u2c2f\ua7c0\ua7cb\ua7cc\ua7ce\ua7d0\ua7d2\ua7d4\ua7d6\ua7d8\ua7da\ua7dc"
    "\U00010570-\U00010595\U00010d50-\U00010d65\U00016ea0-\U00016eb8])"
)

# How much worse than the worst token of the vocabulary SentencePiece takes an unknown one for.
_UNKNOWN_PENALTY = 10.0


class PlainTokenizer:
    """One side, source or target, of an exported folder.

    Args:
        description: Of `signatures.json`: how to split, special ids.
        vocabulary: Token strings, the index is the id; the first four are special.
        scores: Of a SentencePiece vocabulary, a float a token.

    Raises:
        ValueError: If the tokenizer is none that this file knows.
    """

    def __init__(
        self,
        description: dict[str, Any],
        vocabulary: Sequence[str],
        scores: Sequence[float] = (),
    ):
        self.description = description
        self.vocabulary = list(vocabulary)
        # Text that is spelled like a special token must not act as one.
        self.ids = {token: i for i, token in enumerate(vocabulary) if i >= 4}
        name = description["split"]
        if name not in _SPLITS:
            raise ValueError(f"This runner cannot split text as {name!r} does.")
        self._split = _SPLITS[name]
        self._longest = max(map(len, self.vocabulary))
        # In 32 bits, as in the graph: sums must round alike to choose alike.
        values = np.array(scores[4:], np.float32)
        self._scores = dict(zip(self.vocabulary[4:], values, strict=False))
        if values.size:
            self._unknown_score = values.min() - np.float32(_UNKNOWN_PENALTY)

    def split(self, text: str) -> list[str]:
        """The tokens, unknown ones as they are."""
        text = _lower(text) if self.description["lowercase"] else text
        return self._split(self, text)

    def join(self, tokens: Sequence[str]) -> str:
        """The text of tokens."""
        text = self.description.get("separator", "").join(tokens)
        if "space" in self.description:
            return text.replace(self.description["space"], " ").removeprefix(" ")
        if "inside" in self.description:
            return re.sub(f" ?{self.description['inside']}", "", text)
        return text

    def _characters(self, text: str) -> list[str]:
        return list(text)

    def _symbols(self, text: str) -> list[str]:
        return [piece for piece in _SPACES.split(text) if piece]

    def _words(self, text: str) -> list[str]:
        return self._symbols(re.sub(f"({self.description['punctuation']})", r" \1 ", text))

    def _word_pieces(self, text: str) -> list[str]:
        return [piece for word in self._words(text) for piece in self._pieces_of(word)]

    def _pieces_of(self, word: str) -> list[str]:
        """The longest token from the left, again and again; the word if that fails."""
        if len(word.encode()) > self.description["longest_word_bytes"]:
            return [word]
        pieces, begin = [], 0
        while begin < len(word):
            inside = self.description["inside"] if begin else ""
            for end in range(min(len(word), begin + self._longest), begin, -1):
                if inside + word[begin:end] in self.ids:
                    break
            else:
                return [word]
            pieces.append(inside + word[begin:end])
            begin = end
        return pieces

    def _sentence_pieces(self, text: str) -> list[str]:
        space = self.description["space"]
        text = re.sub(f"[ \t\n\v\f\r{space}]+", space, text).strip(space)
        if not text:
            return []
        by = self._merge if self.description["algorithm"] == "bpe" else self._best_path
        pieces: list[str] = []
        was_unknown = False
        for piece in by(space + text):
            unknown = piece not in self.ids
            if unknown and was_unknown:  # A run of unknown characters is one token.
                pieces[-1] += piece
            else:
                pieces.append(piece)
            was_unknown = unknown
        return pieces

    def _best_path(self, text: str) -> list[str]:
        """The split with the greatest sum of scores; of equal ones that with the first token
        at its end longest."""
        best: list[Any] = [np.float32(0)] + [None] * len(text)
        begins = [0] * (len(text) + 1)
        for begin in range(len(text)):
            single = False
            for end in range(begin + 1, min(len(text), begin + self._longest) + 1):
                score = self._scores.get(text[begin:end])
                if score is None:
                    continue
                single |= end == begin + 1
                if best[end] is None or best[begin] + score > best[end]:
                    best[end], begins[end] = best[begin] + score, begin
            if not single:
                end, score = begin + 1, best[begin] + self._unknown_score
                if best[end] is None or score > best[end]:
                    best[end], begins[end] = score, begin
        pieces, end = [], len(text)
        while end:
            pieces.append(text[begins[end] : end])
            end = begins[end]
        return pieces[::-1]

    def _merge(self, text: str) -> list[str]:
        """Joins the neighbours whose union has the best score, the leftmost first."""
        pieces = list(text)
        while True:
            unions = [left + right for left, right in zip(pieces, pieces[1:], strict=False)]
            known = [i for i, union in enumerate(unions) if union in self._scores]
            if not known:
                return pieces
            best = max(known, key=lambda i: self._scores[unions[i]])
            pieces[best : best + 2] = [unions[best]]


_SPLITS = {
    "CharacterTokenizer": PlainTokenizer._characters,
    "SymbolTokenizer": PlainTokenizer._symbols,
    "WordTokenizer": PlainTokenizer._words,
    "WordPieceTokenizer": PlainTokenizer._word_pieces,
    "SentencePieceTokenizer": PlainTokenizer._sentence_pieces,
}


def _lower(text: str) -> str:
    # In pieces: to TensorFlow those capitals are no letters, so a word ends in front of one.
    pieces = _YOUNG_CAPITALS.split(text)
    return "".join(piece if index % 2 else piece.lower() for index, piece in enumerate(pieces))
