"""Runs an exported folder with CTranslate2: needs numpy and ctranslate2, nothing else.

A copy of this file, of `litert_runner.py`, `plain_tokenizers.py` and `vector_check.py` lies in
the folder; there it is a program too:

    python ctranslate2_runner.py hello world
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

try:
    from .litert_runner import LiteRTRunner, run_program
except ImportError:  # In an exported folder.
    from litert_runner import (  # type: ignore[import-not-found, no-redef]
        LiteRTRunner,
        run_program,
    )


class CTranslate2Runner(LiteRTRunner):
    """Strings in, strings out, from the folder of the format ctranslate2.

    The loop is CTranslate2's: at the greatest length it cuts a target, which has no end token
    then.

    Args:
        path: The folder.
        num_threads: int. Defaults to 1.

    Raises:
        FileNotFoundError: If the folder lacks a file.
        ValueError: As of `LiteRTRunner`; or if the settings of the folder have what
            CTranslate2 lacks or means otherwise, with its name.
    """

    MODELS = ("model.bin",)

    def _open(self, path: Path, num_threads: int) -> Callable[..., dict[str, Any]]:
        import ctranslate2

        options = self.description["search"]
        if other := options["other_settings"]:
            raise ValueError(
                f"CTranslate2 has not what this folder was exported with: {', '.join(other)}"
            )
        translator = ctranslate2.Translator(
            str(path), compute_type="float32", intra_threads=num_threads
        )
        names = self.target.vocabulary
        ids = {name: index for index, name in enumerate(names)}
        longest = options["max_length"]
        prefix = [self.target.begin] if self.target.begin else None

        def generate(encoder_token_ids: np.ndarray) -> dict[str, np.ndarray]:
            # CTranslate2 appends the end token itself.
            tokens = [self.source.vocabulary[one] for one in encoder_token_ids[0][:-1]]
            (found,) = translator.translate_batch(
                [tokens],
                target_prefix=prefix,
                beam_size=options["num_beams"],
                num_hypotheses=options["num_hypotheses"],
                patience=options["patience"],
                length_penalty=0,
                min_decoding_length=options["min_length"],
                max_decoding_length=longest,
                suppress_sequences=[[names[one]] for one in options["suppressed"]],
            )
            # Its own scores are of what is left without the suppressed tokens.
            scored = translator.score_batch([tokens] * len(found.hypotheses), found.hypotheses)
            token_ids = np.zeros((1, len(found.hypotheses), longest + 1), np.int32)
            for row, hypothesis in zip(token_ids[0], found.hypotheses, strict=True):
                row[: len(hypothesis)] = [ids[one] for one in hypothesis]
                row[len(hypothesis)] = self.description["target"]["end"]
            return {
                "token_ids": token_ids,
                "log_probs": np.array([[sum(one.log_probs) for one in scored]], np.float32),
            }

        return generate


def main(arguments: Sequence[str]) -> int:
    """Prints source, tab, log probability, tab, target for each argument or input line."""
    return run_program(CTranslate2Runner(Path(__file__).parent), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
