"""Splits and joins text in plain Python as the model's own tokenizer does in the graph.

Needs numpy, nothing else: a copy of this file lies in an exported folder.
"""

import base64
import math
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

_BYTE_PIECE = re.compile("<0x[0-9A-F]{2}>")

_HALF_PAIRS = re.compile("[\ud800-\udfff]")

# How much worse than the worst token of the vocabulary SentencePiece takes an unknown one for.
_UNKNOWN_PENALTY = 10.0


def check_text(text: Any) -> None:
    """Raises `ValueError` for what is no text, as the model itself does."""
    if not isinstance(text, str):
        raise ValueError(
            f"A source must be one string. Received: {type(text).__name__} {text!r:.40}."
        )
    if "\0" in text:
        raise ValueError("A source holds a NUL character, which is no text.")
    if half := _HALF_PAIRS.search(text):
        raise ValueError(
            f"A source holds {half[0]!r}, half of a surrogate pair, which is no character."
        )


class PlainTokenizer:
    """One side, source or target, of an exported folder.

    Args:
        description: Of `signatures.json`: how to split, special ids.
        vocabulary: Token strings, the index is the id; the first four are special.
        scores: Of a SentencePiece vocabulary, a float a token; NaN for one that is no piece.
        merges: Of byte-pair encoding, two pieces with a space between, the first wanted most.

    Raises:
        ValueError: If the tokenizer is none that this file knows.
    """

    def __init__(
        self,
        description: dict[str, Any],
        vocabulary: Sequence[str],
        scores: Sequence[float] = (),
        merges: Sequence[str] = (),
    ):
        self.description = description
        self.vocabulary = list(vocabulary)
        # Text that is spelled like a special token must not act as one.
        self.ids = {token: i for i, token in enumerate(vocabulary) if i >= 4}
        # What every text begins with; not written.
        self.begin: list[str] = description.get("begin", [])
        self.finish: list[str] = description.get("finish", [])
        self.begin_ids, self.finish_ids = (
            [self.vocabulary.index(token) for token in around]
            for around in (self.begin, self.finish)
        )
        name = description["split"]
        if name not in _SPLITS:
            raise ValueError(f"This runner cannot split text as {name!r} does.")
        self._split = _SPLITS[name]
        # In 32 bits, as in the graph: sums must round alike to choose alike.
        pieces = dict(zip(self.vocabulary[4:], scores[4:], strict=False))
        pieces |= description.get("more_pieces", {})
        self._scores = {
            piece: np.float32(score) for piece, score in pieces.items() if not math.isnan(score)
        }
        self._longest = max(map(len, [*self.vocabulary, *self._scores]))
        if self._scores:
            worst = description.get("worst_score", min(self._scores.values()))
            self._unknown_score = np.float32(worst) - np.float32(_UNKNOWN_PENALTY)
        self._ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}
        if "pattern" in description:
            self._pattern = re.compile(description["pattern"])
        characters = description.get("characters", "")
        self._byte_of = {character: byte for byte, character in enumerate(characters)}
        self._normalizer = _Normalizer(description.get("normalizer", {}))

    def split(self, text: str) -> list[str]:
        """The tokens, those that every text begins and finishes with included, unknown ones as
        they are."""
        return [*self.begin, *self._own_pieces(text), *self.finish]

    def encode(self, text: str) -> list[int]:
        """The ids of `split`."""
        unknown = self.description["unknown"]
        ids = [self.ids.get(piece, unknown) for piece in self._own_pieces(text)]
        return [*self.begin_ids, *ids, *self.finish_ids]

    def _own_pieces(self, text: str) -> list[str]:
        return self._split(self, _lower(text) if self.description["lowercase"] else text)

    def join(self, tokens: Sequence[str]) -> str:
        """The text of tokens."""
        count = len(self.begin)
        first = [
            token for token, begin in zip(tokens, self.begin, strict=False) if token != begin
        ]
        tokens = [*first, *tokens[count:]]
        text = self.description.get("separator", "").join(tokens)
        if self._byte_of:
            text = self._of_bytes(text)
            return text.strip(" ") if self.description.get("strip") else text
        if "space" in self.description:
            return self._spaced(tokens).removeprefix(" ")
        if "goes_on" in self.description:
            return re.sub(rf"{self.description['goes_on']}( |\Z)", "", text)
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
        return self._pieces_in(space + text)

    def _pieces_of_a_file(self, text: str) -> list[str]:
        text = self._normalizer(text)
        return self._pieces_in(text.replace(" ", self.description["space"])) if text else []

    def _pieces_in(self, text: str) -> list[str]:
        by = self._merge if self.description["algorithm"] == "bpe" else self._best_path
        pieces: list[str] = []
        was_unknown = False
        for piece in by(text):
            unknown = piece not in self._scores
            if unknown and self.description.get("byte_fallback"):
                pieces += [f"<0x{byte:02X}>" for byte in piece.encode()]
            elif unknown and was_unknown:  # A run of unknown characters is one token.
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

    def _byte_level(self, text: str) -> list[str]:
        if self.description["prefix_space"] and text[:1] not in ("", " "):
            text = f" {text}"
        characters = self.description["characters"]
        return [
            piece
            for word in self._pattern.findall(text)
            for piece in self._merged([characters[byte] for byte in word.encode()])
        ]

    def _words_of_characters(self, text: str) -> list[str]:
        pieces = []
        for word in self._symbols(text):
            end = self.description["word_end"]
            *inner, last = self._merged([*word[:-1], word[-1] + end])
            pieces += [f"{piece}{self.description['goes_on']}" for piece in inner]
            pieces.append(last.removesuffix(end))
        return pieces

    def _spaced(self, tokens: Sequence[str]) -> str:
        """Pieces of SentencePiece as text, those of a byte too."""
        space = self.description["space"]
        if not self.description.get("byte_fallback"):
            return "".join(tokens).replace(space, " ")
        content = (
            bytes([int(token[3:5], 16)])
            if _BYTE_PIECE.fullmatch(token)
            else token.replace(space, " ").encode()
            for token in tokens
        )
        return b"".join(content).decode("utf-8", "replace")

    def _of_bytes(self, text: str) -> str:
        """What the characters stand for; those that stand for no byte as they are."""
        content = (
            bytes([self._byte_of[one]]) if one in self._byte_of else one.encode()
            for one in text
        )
        return b"".join(content).decode("utf-8", "replace")

    def _merged(self, pieces: list[str]) -> list[str]:
        """Joins the neighbours that come first in the list of merges, the leftmost first."""
        while len(pieces) > 1:
            pairs = zip(pieces, pieces[1:], strict=False)
            ranks = [self._ranks.get(pair, math.inf) for pair in pairs]
            best = min(ranks)
            if best == math.inf:
                break
            place = ranks.index(best)
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
        return pieces

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
    "BPETokenizer": PlainTokenizer._words_of_characters,
    "ByteLevelBPETokenizer": PlainTokenizer._byte_level,
    "TranscriptTokenizer": PlainTokenizer._byte_level,
    "SentencePieceFileTokenizer": PlainTokenizer._pieces_of_a_file,
}


class _Normalizer:
    """What a SentencePiece model does to a text before it splits it.

    Args:
        settings: `characters`, in base64: the size in bytes of a double array, the array, and
            replacements that end with a NUL each; `collapse`: whether runs of spaces are one
            and there is none at the ends; `prefix`: whether a space comes in front.
    """

    def __init__(self, settings: dict[str, Any]):
        self.settings = settings
        content = base64.b64decode(settings.get("characters", ""))
        size = int.from_bytes(content[:4], "little")
        self.units = np.frombuffer(content[4 : 4 + size], "<u4").tolist()
        self.replacements = content[4 + size :]

    def __call__(self, text: str) -> str:
        content, place, parts = text.encode(), 0, []
        while place < len(content):
            length, replacement = self._longest_match(content, place)
            if not length:
                # As it is: one character.
                length = 1
                while place + length < len(content) and content[place + length] >> 6 == 2:
                    length += 1
                replacement = content[place : place + length]
            parts.append(replacement)
            place += length
        text = b"".join(parts).decode()
        if self.settings.get("collapse"):
            text = re.sub(" +", " ", text).strip(" ")
        return " " + text if text and self.settings.get("prefix") else text

    def _longest_match(self, content: bytes, begin: int) -> tuple[int, bytes]:
        """Bytes of the longest known beginning, and what replaces it; 0 bytes for none."""
        length, value = 0, 0
        if self.units:
            node = _offset(self.units[0])
            for place in range(begin, len(content)):
                node ^= content[place]
                unit = self.units[node] if node < len(self.units) else 0
                if unit & 0x800000FF != content[place]:
                    break
                node ^= _offset(unit)
                if unit >> 8 & 1:
                    length, value = place - begin + 1, self.units[node] & 0x7FFFFFFF
        if not length:
            return 0, b""
        return length, self.replacements[value : self.replacements.index(b"\0", value)]


def _offset(unit: int) -> int:
    """Of a unit of a double array: where its children lie."""
    return unit >> 10 << ((unit & 1 << 9) >> 6)


def _lower(text: str) -> str:
    # In pieces: to TensorFlow those capitals are no letters, so a word ends in front of one.
    pieces = _YOUNG_CAPITALS.split(text)
    return "".join(piece if index % 2 else piece.lower() for index, piece in enumerate(pieces))
