"""Error rates of generated sequences against one or several right answers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rapidfuzz.distance import Levenshtein


@dataclass(frozen=True)
class ErrorRates:
    """Error rates of a set of sequences, as shares (0.05 is 5 %).

    Attributes:
        token_error_rate: Insertions, deletions and substitutions over the tokens of the
            references (phoneme error rate, character error rate, ...). Can exceed 1.
        sequence_error_rate: Share of the sequences that equal none of their references
            (the word error rate of grapheme-to-phoneme conversion).
        sequences: Number of sequences.
        reference_tokens: Number of tokens of the references counted against.
    """

    token_error_rate: float
    sequence_error_rate: float
    sequences: int
    reference_tokens: int

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def error_rates(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> ErrorRates:
    """Computes `ErrorRates`; of several references the nearest counts.

    ```
    hypotheses   [["K", "AE", "T"]]
    references   [[["K", "AE", "B"], ["K", "AE", "T", "S"]]]
    distances     1 of 3 and 1 of 4: the nearest is the one with the lower rate, 1 of 4
    ```

    Args:
        hypotheses: Tokens of each generated sequence.
        references: For each, the tokens of one or more right sequences.

    Raises:
        ValueError: If the numbers differ, there is no sequence, or one has no reference.
    """
    if len(hypotheses) != len(references) or not hypotheses:
        raise ValueError(
            "Expected as many references as hypotheses, at least one. "
            f"Received: {len(hypotheses)} hypotheses, {len(references)} references."
        )
    edits = tokens = wrong = 0
    for hypothesis, answers in zip(hypotheses, references, strict=True):
        if not answers:
            raise ValueError("Every hypothesis needs at least one reference.")
        distances = [
            (Levenshtein.distance(hypothesis, answer), len(answer)) for answer in answers
        ]
        nearest, length = min(distances, key=lambda pair: (pair[0] / max(1, pair[1]), pair[1]))
        edits += nearest
        tokens += length
        wrong += nearest > 0
    return ErrorRates(edits / max(1, tokens), wrong / len(hypotheses), len(hypotheses), tokens)
