"""Error rates and scores of a model on pairs, by real decoding."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from rich.table import Column, Table

from keras_seq2seq.data import Pairs
from keras_seq2seq.metrics import ErrorRates, TextScores, error_rates, text_scores
from keras_seq2seq.settings import GenerationSettings

from ..run_directory import RunDirectory

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
            `output`, and the tokens of both, `target_tokens` and `output_tokens`.
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
) -> Evaluation:
    """Decodes every source once and compares.

    A source that is longer than the model takes counts as wrong, with an empty target.

    Args:
        model: `Seq2Seq` with a preprocessor.
        pairs: What to decode.
        settings: How targets are generated. Defaults to greedy search.
        metric: `"none"` (default), or one of `keras_seq2seq.metrics.TEXT_METRICS`.
        references: `"source"` (default): a source that occurs several times counts once and
            has several right answers. `"pair"`: every pair counts, and its own target alone
            is right.
    """
    answers = pairs.references()
    lengths = model.preprocessor.source_lengths(list(answers))
    fits = (lengths > 0) & (lengths <= model.preprocessor.max_source_length)
    begin = time.perf_counter()
    generated = iter(
        model.generate([s for s, fit in zip(answers, fits, strict=True) if fit], settings)
    )
    texts = [next(generated) if fit else "" for fit in fits]
    seconds = time.perf_counter() - begin
    compared, right, sources = texts, list(answers.values()), list(answers)
    if references == "pair":
        sources = pairs.sources
        of_source = dict(zip(answers, texts, strict=True))
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
        }
        for source, targets, text in zip(sources, right, compared, strict=True)
    ]
    rates = error_rates(
        [row["output_tokens"] for row in outputs], [row["target_tokens"] for row in outputs]
    )
    scores = None if metric == "none" else text_scores(metric, compared, right)
    return Evaluation(rates, scores, texts, seconds, outputs)


def evaluate_run(
    run: RunDirectory,
    pairs: Pairs | None = None,
    settings: GenerationSettings | None = None,
    metric: str | None = None,
) -> dict[str, Any]:
    """Evaluates the best model of a run; writes `evaluation.json` and `outputs.jsonl`.

    Args:
        run: The run.
        pairs: Defaults to the run's test pairs, else its validation pairs.
        settings: How targets are generated. Defaults to greedy search.
        metric: As of `evaluate`. Defaults to the run's own.

    Returns:
        What the file holds: error rates and scores, the settings, milliseconds a source.
    """
    pairs = pairs if pairs is not None else run.test_pairs()
    model = run.load_model()
    settings = settings or GenerationSettings()
    config = run.settings
    metric = metric if metric is not None else config.selection.metric
    found = evaluate(model, pairs, settings, metric, config.selection.references)
    lengths = model.preprocessor.source_lengths(list(pairs.references()))
    scores = (
        {**found.scores.values, "signature": found.scores.signature} if found.scores else {}
    )
    result = {
        **found.rates.to_dict(),
        **scores,
        "metric": metric,
        "too_long": int((lengths > model.preprocessor.max_source_length).sum()),
        "search": settings.description,
        "generation": settings.to_dict(),
        "milliseconds_each": 1000 * found.seconds / len(found.texts),
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
        title=f"{first['sequences']} {plural(first['sequence_name'])}",
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


def plural(name: str) -> str:
    """Of a `sequence_name`: `word` -> `words`, `synopsis` -> `synopses`, `summary` ->
    `summaries`."""
    if name.endswith("is"):
        return f"{name.removesuffix('is')}es"
    if name.endswith("y") and not name.endswith(("ay", "ey", "oy")):
        return f"{name.removesuffix('y')}ies"
    return f"{name}s"
