"""Runs an exported folder with LiteRT: needs numpy and ai-edge-litert, nothing else.

A copy of this file and of `plain_tokenizers.py` lies in the folder; there it is a program too:

    python litert_runner.py hello world
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

try:
    from .plain_tokenizers import PlainTokenizer
except ImportError:  # In an exported folder.
    from plain_tokenizers import PlainTokenizer  # type: ignore[import-not-found, no-redef]


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
        self.source, self.target = (
            PlainTokenizer(
                self.description[side],
                _read_lines(path / f"{side}_vocabulary.txt"),
                [float(line) for line in _read_lines(path / f"{side}_scores.txt")],
            )
            for side in ("source", "target")
        )
        self.interpreter = Interpreter(str(path / "model.tflite"), num_threads=num_threads)
        self._generate = self.interpreter.get_signature_runner("serving_default")

    def split(self, text: str) -> list[str]:
        """The source tokens, unknown ones as they are."""
        return self.source.split(text)

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
        ids = [self.source.ids.get(piece, source["unknown"]) for piece in pieces]
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
                pieces.append(self.target.vocabulary[token_id])
        return self.target.join(pieces)

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


def _read_lines(path: Path) -> list[str]:
    # Only a SentencePiece vocabulary has scores.
    return path.read_bytes().decode("utf-8").split("\n")[:-1] if path.exists() else []


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
