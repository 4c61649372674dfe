"""Runs an exported folder with LiteRT: needs numpy and ai-edge-litert, nothing else."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


class LiteRTRunner:
    """Strings in, strings out, from the folder that `export_tflite` writes.

    Tokenizes in plain Python as the model's own tokenizer does in the graph.

    Args:
        path: The folder.
        num_threads: int. Defaults to 1, often the fastest for a small model.

    Raises:
        FileNotFoundError: If the folder lacks `model.tflite` or `signatures.json`.
    """

    def __init__(self, path: str | Path, num_threads: int = 1):
        from ai_edge_litert.interpreter import Interpreter

        path = Path(path)
        self.description = json.loads((path / "signatures.json").read_text("utf-8"))
        self.source_vocabulary = _read_vocabulary(path / "source_vocabulary.txt")
        self.target_vocabulary = _read_vocabulary(path / "target_vocabulary.txt")
        self._source_ids = {token: i for i, token in enumerate(self.source_vocabulary)}
        self.interpreter = Interpreter(str(path / "model.tflite"), num_threads=num_threads)
        self._generate = self.interpreter.get_signature_runner("serving_default")

    def tokenize(self, text: str) -> list[int]:
        """Source ids with the end token.

        Raises:
            ValueError: If the text is empty or longer than the model takes.
        """
        source = self.description["source"]
        text = text.lower() if source["lowercase"] else text
        pieces = list(text) if source["split"] == "CharacterTokenizer" else text.split()
        longest = self.description["max_source_length"]
        if not 1 <= len(pieces) <= longest:
            raise ValueError(
                f"A source must have from 1 to {longest} tokens. Received {len(pieces)}: "
                f"{text[:40]!r}."
            )
        ids = [self._source_ids.get(piece, source["unknown"]) for piece in pieces]
        return [*ids, source["append"]]

    def detokenize(self, token_ids: Sequence[int]) -> str:
        """Target text up to the end token."""
        target = self.description["target"]
        pieces = []
        for token_id in token_ids:
            if token_id == target["end"]:
                break
            if token_id not in (target["padding"], target["start"]):
                pieces.append(self.target_vocabulary[token_id])
        return target["separator"].join(pieces)

    def generate(self, text: str) -> tuple[list[str], dict[str, Any]]:
        """Target texts, the best first, and the raw outputs of `serving_default`."""
        ids = np.array([self.tokenize(text)], np.int32)
        outputs = self._generate(encoder_token_ids=ids)
        return [self.detokenize(row) for row in outputs["token_ids"][0]], outputs


def _read_vocabulary(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8").split("\n")[:-1]
