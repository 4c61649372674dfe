"""Error rates and scores of a model on pairs, by real decoding."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rich.table import Column, Table

from keras_seq2seq.data import Pairs
from keras_seq2seq.errors import InputError
from keras_seq2seq.metrics import (
    BLEU_METRICS,
    ErrorRates,
    TextScores,
    check_metric,
    error_rates,
    metric_warnings,
    text_scores,
)
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.wording import counted

from ..run_directory import RunDirectory
from .files import evaluated_name, evaluated_part, model_sha256

# What a text metric can add to the error rates, in per cent.
SCORE_NAMES = ("bleu", "bleu_lowercase", "chrf", "rouge_1", "rouge_2", "rouge_l", "wer")


@dataclass(frozen=True)
class Evaluation:
    """What generated targets are worth.

    Attributes:
        rates: Error rates over the tokens of the model.
        scores: Of the text metric; `None` without one.
        texts: Generated texts, in the order of first appearance of their sources.
        seconds: What decoding took.
        outputs: What was compared, one dictionary each: `source`, its right `targets`, the
            `output`, the tokens of both, `target_tokens` and `output_tokens`, and the
            `log_prob` of the output (`None` of a source that was not decoded).
    """

    rates: ErrorRates
    scores: TextScores | None
    texts: list[str]
    seconds: float
    outputs: list[dict[str, Any]]

    @property
    def values(self) -> dict[str, float]:
        """Error rates (shares) and scores (per cent) by name."""
        return {
            "token_error_rate": self.rates.token_error_rate,
            "sequence_error_rate": self.rates.sequence_error_rate,
            **(self.scores.values if self.scores else {}),
        }


def evaluate(
    model: Any,
    pairs: Pairs,
    settings: GenerationSettings | None = None,
    metric: str = "none",
    references: str = "source",
    bleu_tokenizer: str = "13a",
) -> Evaluation:
    """Decodes every source once and compares.

    A source that the model cannot take, because it is longer than that for example, counts
    as wrong, with an empty target.

    Args:
        model: `Seq2Seq` with a preprocessor.
        pairs: What to decode.
        settings: How targets are generated. Defaults to greedy search.
        metric: `"none"` (default), or one of `keras_seq2seq.metrics.TEXT_METRICS`.
        references: `"source"` (default): a source that occurs several times counts once and
            has several right answers. `"pair"`: every pair counts, and its own target alone
            is right.
        bleu_tokenizer: As of `text_scores`.

    Raises:
        InputError: If there is no pair, no source fits the model, or the metric cannot be
            computed here.
    """
    check_metric(metric, bleu_tokenizer)
    answers = pairs.references()
    if not answers:
        raise InputError("There is no pair to evaluate. Give a file that has some.")
    settings = settings or GenerationSettings()
    _, problems = model.source_problems(list(answers), settings)
    fits = [index not in problems for index in range(len(answers))]
    if not any(fits):
        raise InputError(
            f"None of {counted(len(answers), 'source')} can be evaluated. The first "
            f"{problems[0]}"
        )
    decoded = [source for source, fit in zip(answers, fits, strict=True) if fit]
    begin = time.perf_counter()
    hypotheses = model.search(decoded, settings)
    rows = model.texts(hypotheses, decoded if settings.replace_unknown else None)
    seconds = time.perf_counter() - begin
    found = zip((row[0] for row in rows), hypotheses.log_probs[:, 0].tolist(), strict=True)
    generated = [next(found) if fit else ("", None) for fit in fits]
    compared, right, sources = generated, list(answers.values()), list(answers)
    if references == "pair":
        sources = pairs.sources
        of_source = dict(zip(answers, generated, strict=True))
        compared = [of_source[source] for source in pairs.sources]
        right = [[target] for target in pairs.targets]
    split = cache(model.preprocessor.target_tokenizer.split_text)
    outputs = [
        {
            "source": source if isinstance(source, str) else str(source),
            "targets": targets,
            "output": text,
            "target_tokens": [split(target) for target in targets],
            "output_tokens": split(text),
            "log_prob": log_prob,
        }
        for source, targets, (text, log_prob) in zip(sources, right, compared, strict=True)
    ]
    rates = error_rates(
        [row["output_tokens"] for row in outputs], [row["target_tokens"] for row in outputs]
    )
    scores = None
    if metric != "none":
        texts = [text for text, _ in compared]
        scores = text_scores(metric, texts, right, bleu_tokenizer)
    return Evaluation(rates, scores, [text for text, _ in generated], seconds, outputs)


def evaluate_run(
    run: RunDirectory,
    pairs: Pairs | None = None,
    settings: GenerationSettings | None = None,
    metric: str | None = None,
    bleu_tokenizer: str | None = None,
    files: Sequence[Path] = (),
) -> dict[str, Any]:
    """Evaluates the best model of a run; writes `evaluation.json` and `outputs.jsonl`.

    Args:
        run: The run.
        pairs: Defaults to the run's test pairs, else its validation pairs.
        settings: How targets are generated. Defaults to greedy search.
        metric: As of `evaluate`. Defaults to the run's own.
        bleu_tokenizer: As of `text_scores`. Defaults to the run's own.
        files: What the pairs were read from, to be recorded.

    Returns:
        What the file holds: error rates and scores, the settings, milliseconds a source, and
        as `evaluated` which part or files, with fingerprints.

    Raises:
        InputError: As `evaluate`, or if a file of the run cannot be read, nothing can be
            written into it, or a training replaces the model meanwhile.

    Warns:
        UserWarning: If the metric says little of these targets.
    """
    run.check_writable()
    config = run.settings
    metric = metric if metric is not None else config.selection.metric
    if bleu_tokenizer is not None and metric not in BLEU_METRICS:
        raise InputError(
            "--bleu-tokenizer applies to --metric bleu and bleu_lowercase. Received: "
            f"--bleu-tokenizer {bleu_tokenizer}, --metric {metric}."
        )
    own = config.selection.bleu_tokenizer
    bleu_tokenizer = bleu_tokenizer if bleu_tokenizer is not None else own
    check_metric(metric, bleu_tokenizer)
    evaluated = evaluated_part(run, pairs, files)
    pairs = pairs if pairs is not None else run.test_pairs()
    if not len(pairs):
        raise InputError(f"{evaluated_name(evaluated)} holds no pair to evaluate.")
    for line in metric_warnings(metric, list(pairs.references().values()), bleu_tokenizer):
        warnings.warn(line, stacklevel=2)
    began_with = model_sha256(run)
    model = run.load_model()
    settings = settings or GenerationSettings()
    by = config.selection.references
    found = evaluate(model, pairs, settings, metric, by, bleu_tokenizer)
    lengths = model.preprocessor.source_lengths(list(pairs.references()))
    scores = (
        {**found.scores.values, "signature": found.scores.signature} if found.scores else {}
    )
    tokens = sum(len(row["output_tokens"]) for row in found.outputs)
    if model_sha256(run) != began_with:
        raise InputError(
            f"{run.model_file} was replaced while it was evaluated: "
            f"{run.held_by or 'something writes there'}. Nothing was written; evaluate again "
            "when the training has ended."
        )
    result = {
        **found.rates.to_dict(),
        **scores,
        "metric": metric,
        "bleu_tokenizer": bleu_tokenizer,
        "evaluated": evaluated,
        "model_sha256": began_with,
        "too_long": int((lengths > model.preprocessor.max_source_length).sum()),
        "search": settings.description,
        "generation": settings.to_dict(),
        "milliseconds_each": 1000 * found.seconds / len(found.texts),
        "tokens_per_second": tokens / found.seconds,
        "token_name": config.run.token_name,
        "sequence_name": config.run.sequence_name,
    }
    run.write_outputs(found.outputs)
    run.write_json(run.evaluation_file, result)
    return result


def results_table(
    results: Sequence[dict[str, Any]], published: Sequence[tuple[str, float, float]] = ()
) -> Table:
    """The results of `evaluate_run` as a table, published ones (in per cent) below."""
    first = results[0]
    scores = [name for name in SCORE_NAMES if name in first]
    table = Table(
        Column("", no_wrap=True),
        f"{first['token_name']} errors",
        f"{first['sequence_name']} errors",
        *(name.replace("_", " ") for name in scores),
        "ms each",
        title=_title(first),
        title_justify="left",
    )
    for result in results:
        table.add_row(
            f"this model, {result['search']}",
            f"{100 * result['token_error_rate']:.2f} %",
            f"{100 * result['sequence_error_rate']:.2f} %",
            *(f"{result[name]:.2f}" if name in result else "" for name in scores),
            f"{result['milliseconds_each']:.2f}",
        )
    for name, token_error_rate, sequence_error_rate in published:
        table.add_row(name, f"{token_error_rate:.2f} %", f"{sequence_error_rate:.2f} %")
    return table


def parts_table(parts: dict[str, float]) -> Table:
    """Shares of what is right by name, as a recipe's `evaluate` gives them."""
    table = Table("", "right")
    for name, share in parts.items():
        table.add_row(name, f"{100 * share:.2f} %")
    return table


def _title(result: dict[str, Any]) -> str:
    count = counted(result["sequences"], result["sequence_name"])
    if "evaluated" not in result:  # Of an older version.
        return count
    return f"{count} of {evaluated_name(result['evaluated'])}"
