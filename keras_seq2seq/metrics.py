"""How good generated sequences are against one or several right answers.

Error rates over tokens are computed for every model; BLEU, chrF and ROUGE compare texts and
come from sacrebleu and rouge-score (`pip install "keras-seq2seq[metrics]"`).
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from rapidfuzz.distance import Levenshtein

from keras_seq2seq.errors import InputError


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


@dataclass(frozen=True)
class TextScores:
    """Scores of generated texts, in per cent; higher is better, but of `"wer"` lower.

    Attributes:
        values: Name, such as `"bleu"` or `"rouge_l"`, -> from 0 to 100 (`"wer"` or more).
        signature: How they were computed, with versions: what makes numbers comparable.
    """

    values: dict[str, float]
    signature: str


def text_scores(
    metric: str, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> TextScores:
    """Scores texts over a whole set.

    - `"bleu"`: BLEU of sacrebleu (Post, 2018), its own tokenization (13a), case kept.
    - `"bleu_lowercase"`: the same without case.
    - `"chrf"`: character n-gram F-score, chrF2 of sacrebleu (Popovic, 2015).
    - `"rouge"`: `rouge_1`, `rouge_2` and `rouge_l` (Lin, 2004), mean F1 of rouge-score
      without stemming; of several references the best. Its tokens are runs of ASCII letters
      and digits in lower case, so it is for English.

    - `"wer"`: word error rate of jiwer, words between white space; of several references
      the nearest.

    Args:
        metric: One of these.
        hypotheses: Generated texts.
        references: For each, one or more right texts.

    Raises:
        ValueError: If `metric` is unknown, the numbers differ, or there is no text.
        InputError: If the package that computes the metric is not installed.
    """
    if metric not in TEXT_METRICS:
        raise ValueError(
            f"`metric` must be one of {', '.join(TEXT_METRICS)}. Received: metric={metric!r}."
        )
    if len(hypotheses) != len(references) or not hypotheses or not all(references):
        raise ValueError(
            "Expected as many references as hypotheses, at least one of each. "
            f"Received: {len(hypotheses)} hypotheses, {len(references)} references."
        )
    return TEXT_METRICS[metric](hypotheses, references)


def _of_sacrebleu(name: str, class_name: str, **settings: Any) -> Callable[..., TextScores]:
    def score(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> TextScores:
        metric = getattr(_package("sacrebleu.metrics"), class_name)(**settings)
        most = max(map(len, references))
        # One list a place among the references; a text with fewer has `None` there.
        streams = [
            [answers[place] if place < len(answers) else None for answers in references]
            for place in range(most)
        ]
        value = metric.corpus_score(list(hypotheses), streams).score
        return TextScores({name: value}, str(metric.get_signature()))

    return score


def _rouge(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> TextScores:
    names = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
    scorer = _package("rouge_score.rouge_scorer").RougeScorer(list(names.values()))
    sums = dict.fromkeys(names, 0.0)
    for hypothesis, answers in zip(hypotheses, references, strict=True):
        scores = scorer.score_multi(list(answers), hypothesis)
        for name, theirs in names.items():
            sums[name] += scores[theirs].fmeasure
    values = {name: 100 * total / len(hypotheses) for name, total in sums.items()}
    return TextScores(values, f"F1|stem:no|version:rouge-score {version('rouge-score')}")


def word_edits(hypothesis: str, references: Sequence[str]) -> tuple[int, int]:
    """Edits to the nearest reference and its words."""
    process_words = _package("jiwer").process_words
    nearest = min((process_words(one, hypothesis) for one in references), key=lambda o: o.wer)
    errors = nearest.substitutions + nearest.deletions
    return errors + nearest.insertions, errors + nearest.hits


def _word_error_rate(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> TextScores:
    counts = [word_edits(*pair) for pair in zip(hypotheses, references, strict=True)]
    edits, words = map(sum, zip(*counts, strict=True))
    return TextScores({"wer": 100 * edits / words}, f"version:jiwer {version('jiwer')}")


def _package(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module.split('.')[0]} is not installed. Run "
            '`pip install "keras-seq2seq[metrics]"`.'
        ) from error


# Scores of texts by the name that `--metric` takes.
TEXT_METRICS: dict[str, Callable[..., TextScores]] = {
    "bleu": _of_sacrebleu("bleu", "BLEU"),
    "bleu_lowercase": _of_sacrebleu("bleu_lowercase", "BLEU", lowercase=True),
    "chrf": _of_sacrebleu("chrf", "CHRF"),
    "rouge": _rouge,
    "wer": _word_error_rate,
}
