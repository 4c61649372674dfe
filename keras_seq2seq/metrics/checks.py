"""Whether a metric means something for these texts, said before a number is believed."""

from collections.abc import Sequence

from keras_seq2seq.arguments import checked
from keras_seq2seq.metrics.scores import BLEU_METRICS, bleu_metric, rouge_tokens
from keras_seq2seq.scripts import unsegmented_share

# BLEU counts n-grams up to this length.
BLEU_ORDER = 4
# With more letters of such scripts than this, texts have no words for a metric of words.
MOST_UNSEGMENTED = 0.3
# BLEU tokenizers that part words at spaces.
SPACED = ("13a", "intl", "none")


@checked
def metric_warnings(
    metric: str, references: Sequence[Sequence[str]], bleu_tokenizer: str = "13a"
) -> list[str]:
    """What makes a metric say little of these right texts, with what fits better.

    Args:
        metric: `"none"`, or one of `TEXT_METRICS`.
        references: For each text, its right ones.
        bleu_tokenizer: As of `text_scores`.

    Returns:
        Sentences, one line each; none for a metric that fits.

    Raises:
        InputError: If the metric cannot be computed here.
    """
    texts = [text for answers in references for text in answers]
    if metric == "none" or not texts:
        return []
    lines = []
    share = unsegmented_share(texts)
    by_words = metric == "wer" or (metric in BLEU_METRICS and bleu_tokenizer in SPACED)
    if by_words and share > MOST_UNSEGMENTED:
        lines.append(
            f"{metric}: {100 * share:.0f} % of the letters of the targets are of a script "
            "without spaces between words, so a whole sentence counts as one word. "
            f"{_instead_of_words(metric)}"
        )
    elif metric in BLEU_METRICS:
        split = bleu_metric(metric, references, bleu_tokenizer).tokenizer
        mean = sum(len(split(text).split()) for text in texts) / len(texts)
        if mean < BLEU_ORDER:
            lines.append(
                f"{metric}: the targets have {mean:.1f} tokens on average by the tokenizer "
                f"{bleu_tokenizer}, and BLEU counts {BLEU_ORDER} in a row, so it says little. "
                f"Use {_fitting(bleu_tokenizer)}, or the error rates."
            )
    if metric == "rouge":
        counts = [len(rouge_tokens(text)) for text in texts]
        if sum(counts) < 2 * len(counts):
            lines.append(
                f"rouge: the targets have {sum(counts) / len(counts):.1f} words on average, "
                "and rouge_2 counts pairs of them, so it says little. Use chrf, or the error "
                "rates."
            )
        if none := counts.count(0):
            lines.append(
                f"rouge: {none} of {len(counts)} targets have neither letters nor digits: "
                "whatever is generated for them counts 0."
            )
    if metric == "wer" and not any(text.split() for text in texts):
        lines.append("wer: no target has a word, so every generated word is a whole error.")
    return lines


@checked
def never_scores(
    metric: str, references: Sequence[Sequence[str]], bleu_tokenizer: str = "13a"
) -> str:
    """Why a metric cannot choose the best epoch on these right texts; empty if it can.

    Raises:
        InputError: If the metric cannot be computed here.
    """
    texts = [text for answers in references for text in answers]
    if metric in BLEU_METRICS:
        split = bleu_metric(metric, references, bleu_tokenizer).tokenizer
        if not any(len(split(text).split()) >= BLEU_ORDER for text in texts):
            return (
                f"no target has {BLEU_ORDER} tokens by the tokenizer {bleu_tokenizer}, which "
                f"BLEU counts in a row. Use {_fitting(bleu_tokenizer, monitor=True)}"
            )
    if metric == "rouge" and not any(map(rouge_tokens, texts)):
        return "no target has letters or digits. Use --metric chrf --monitor chrf"
    return ""


def _instead_of_words(metric: str) -> str:
    if metric == "wer":
        return "Use chrf, or the error rate over characters (--target-tokenizer characters)."
    return (
        "Use --bleu-tokenizer char (zh for Chinese, ja-mecab for Japanese), chrf, or the error "
        "rates."
    )


def _fitting(bleu_tokenizer: str, monitor: bool = False) -> str:
    chrf = "--metric chrf --monitor chrf" if monitor else "chrf"
    return chrf if bleu_tokenizer == "char" else f"{chrf}, --bleu-tokenizer char"
