"""Runs an exported folder with LiteRT: needs numpy and ai-edge-litert, nothing else.

A copy of this file lies in the folder; there it is a program too:

    python litert_runner.py hello world
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

# What TensorFlow splits at; `str.split()` also splits at spaces beyond ASCII.
_SPACES = re.compile("[ \t\n\v\f\r]+")

# Capitals younger than Unicode 13, which TensorFlow's tables do not lower-case; Python's do.
_YOUNG_CAPITALS = re.compile(
    "([\u2c2f\ua7c0\ua7cb\ua7cc\ua7ce\ua7d0\ua7d2\ua7d4\ua7d6\ua7d8\ua7da\ua7dc"
    "\U00010570-\U00010595\U00010d50-\U00010d65\U00016ea0-\U00016eb8])"
)


class LiteRTRunner:
    """Strings in, strings out, from the folder that `export_tflite` writes.

    Tokenizes in plain Python as the model's own tokenizer does in the graph.

    Args:
        path: The folder.
        num_threads: int. Defaults to 1, often the fastest for a small model.

    Raises:
        FileNotFoundError: If the folder lacks `model.tflite` or `signatures.json`.
        ValueError: If the model's tokenizer is none that this file knows.
    """

    def __init__(self, path: str | Path, num_threads: int = 1):
        from ai_edge_litert.interpreter import Interpreter

        path = Path(path)
        self.description = json.loads((path / "signatures.json").read_text("utf-8"))
        split = self.description["source"]["split"]
        if split not in ("CharacterTokenizer", "SymbolTokenizer"):
            raise ValueError(f"This runner cannot split text as {split!r} does.")
        self.source_vocabulary = _read_vocabulary(path / "source_vocabulary.txt")
        self.target_vocabulary = _read_vocabulary(path / "target_vocabulary.txt")
        # Text that is spelled like a special token must not act as one.
        self._source_ids = {
            token: i for i, token in enumerate(self.source_vocabulary) if i >= 4
        }
        self.interpreter = Interpreter(str(path / "model.tflite"), num_threads=num_threads)
        self._generate = self.interpreter.get_signature_runner("serving_default")

    def split(self, text: str) -> list[str]:
        """The source tokens, unknown ones as they are."""
        source = self.description["source"]
        text = _lower(text) if source["lowercase"] else text
        if source["split"] == "CharacterTokenizer":
            return list(text)
        return [piece for piece in _SPACES.split(text) if piece]

    def tokenize(self, text: str) -> list[int]:
        """Source ids with the end token.

        Raises:
            ValueError: If the text is empty or longer than the model takes.
        """
        source = self.description["source"]
        pieces = self.split(text)
        longest = self.description["max_source_length"]
        if not 1 <= len(pieces) <= longest:
            raise ValueError(
                f"A source must have from 1 to {longest} tokens. Received {len(pieces)}: "
                f"{text[:40]!r}."
            )
        ids = [self._source_ids.get(piece, source["unknown"]) for piece in pieces]
        return [*ids, source["append"]]

    def detokenize(
        self,
        token_ids: Sequence[int],
        source_tokens: Sequence[str] = (),
        alignments: np.ndarray | None = None,
    ) -> str:
        """Target text up to the end token.

        Args:
            token_ids: `(length,)`.
            source_tokens: Source tokens as strings; with `alignments` alone.
            alignments: `(length, source_length)`, optional: an unknown token is written as
                the source token with the most attention.
        """
        target = self.description["target"]
        pieces = []
        for time, token_id in enumerate(token_ids):
            if token_id == target["end"]:
                break
            if token_id == target["unknown"] and alignments is not None:
                best = int(alignments[time, : len(source_tokens)].argmax())
                pieces.append(source_tokens[best])
            elif token_id not in (target["padding"], target["start"]):
                pieces.append(self.target_vocabulary[token_id])
        return target["separator"].join(pieces)

    def generate(self, text: str) -> tuple[list[str], dict[str, Any]]:
        """Target texts, the best first, and the raw outputs of `serving_default`."""
        ids = np.array([self.tokenize(text)], np.int32)
        outputs = self._generate(encoder_token_ids=ids)
        rows = outputs["token_ids"][0]
        if not self.description["generation"]["replace_unknown"]:
            return [self.detokenize(row) for row in rows], outputs
        pieces = self.split(text)
        aligned = zip(rows, outputs["alignments"][0], strict=True)
        return [self.detokenize(row, pieces, weights) for row, weights in aligned], outputs


def _lower(text: str) -> str:
    # In pieces: to TensorFlow those capitals are no letters, so a word ends in front of one.
    pieces = _YOUNG_CAPITALS.split(text)
    return "".join(piece if index % 2 else piece.lower() for index, piece in enumerate(pieces))


def _read_vocabulary(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8").split("\n")[:-1]


def main(arguments: Sequence[str]) -> int:
    """Prints source, tab, log probability, tab, target for each argument or input line."""
    runner = LiteRTRunner(Path(__file__).parent)
    status = 0
    for text in arguments or (line.rstrip("\r\n") for line in sys.stdin):
        try:
            targets, outputs = runner.generate(text)
        except ValueError as error:
            print(error, file=sys.stderr)
            status = 1
            continue
        for target, log_prob in zip(targets, outputs["log_probs"][0], strict=True):
            print(f"{text}\t{log_prob:.4f}\t{target}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
