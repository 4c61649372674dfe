"""Whether one run is better than another: paired bootstrap over the same test sources."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_seq2seq.errors import InputError
from keras_seq2seq.metrics import (
    BLEU_METRICS,
    bleu_metric,
    error_percent,
    error_rates,
    text_scores,
    word_edits,
)
from keras_seq2seq.wording import counted

from ..run_directory import RunDirectory
from .files import check_of_model, evaluated_line

# More tell nothing new, and take hours.
MOST_SAMPLES = 1_000_000
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Comparison:
    """One metric of two runs.

    Attributes:
        metric: Its name.
        first: Of the first run, a share or per cent.
        second: Of the second run.
        difference: `second - first`.
        low: The difference is from `low` to `high` in 95 % of the samples.
        high: See `low`.
        p_value: Share of the samples in which the run that is better on all sources is not
            better, doubled (two-sided), at most 1.
    """

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float


# A set of sources, as numbers from 0, several times for one that was drawn so -> a value of
# each run.
Statistic = Callable[[np.ndarray], tuple[float, float]]


def compare_runs(
    first: RunDirectory, second: RunDirectory, *, samples: int = 1000, seed: int = 1
) -> list[Comparison]:
    """Compares what `evaluate` saved of two runs, on the sources that both have.

    Draws as many sources as there are, with replacement, `samples` times, and looks at both
    runs on each sample.

    Args:
        first: A run that was evaluated.
        second: Another, on the same test pairs.
        samples: int, from 1 to 1,000,000.
        seed: int, at least 0. Of the samples.

    Returns:
        Of token and sequence error rate, and of BLEU, ROUGE or WER if both runs were evaluated
        with it (chrF is not compared: it has no statistics of single texts to add up).

    Raises:
        InputError: If a run was not evaluated, or their sources or right targets differ.

    Reference:
        [Koehn, 2004](https://aclanthology.org/W04-3250), section 3.
    """
    for name, value, low, high in (
        ("samples", samples, 1, MOST_SAMPLES),
        ("seed", seed, 0, LARGEST_SEED),
    ):
        if not low <= value <= high:
            bound = f"at least {low}" if value < low else f"at most {high}"
            raise InputError(f"--{name} must be {bound}. Received: {value}.")
    outputs, evaluations = read_both(first, second)
    count = len(outputs[0])

    def drawn() -> Iterator[np.ndarray]:
        generator = np.random.default_rng(seed)
        # One by one: all at once they can be larger than memory.
        return (generator.integers(count, size=count) for _ in range(samples))

    return [
        _compare(name, statistic, count, drawn())
        for name, statistic in _statistics(outputs, evaluations).items()
    ]


def comparison_rows(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The comparisons as JSON takes them."""
    return [asdict(comparison) for comparison in comparisons]


def read_both(
    first: RunDirectory, second: RunDirectory
) -> tuple[list[list[dict[str, Any]]], list[dict[str, Any]]]:
    """What both runs generated, source by source, and their `evaluation.json`.

    Raises:
        InputError: If a run was not evaluated, or they were evaluated on different pairs.
    """
    runs = (first, second)
    outputs = [_read(run) for run in runs]
    evaluations = [run.evaluation() for run in runs]
    marks = {(one.get("evaluated") or {}).get("pairs_sha256") for one in evaluations}
    # Signals lie in the folder of each run; an older version recorded no fingerprint.
    same_pairs = None not in marks and len(marks) == 1
    rows = [
        [(None if same_pairs else row["source"], row["targets"]) for row in of_run]
        for of_run in outputs
    ]
    if rows[0] != rows[1]:
        described = [
            f"{run.path} on {_on(evaluation, rows)}"
            for run, evaluation, rows in zip(runs, evaluations, outputs, strict=True)
        ]
        raise InputError(
            f"The runs were evaluated on different pairs: {', '.join(described)}. Evaluate "
            "both on the same file."
        )
    return outputs, evaluations


def _on(evaluation: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    if "evaluated" in evaluation:
        return evaluated_line(evaluation["evaluated"])
    return f"{counted(len(rows), 'source')} of a file that was not recorded"


def _read(run: RunDirectory) -> list[dict[str, Any]]:
    outputs = run.outputs()
    if not outputs or not run.evaluation_file.exists():
        raise InputError(
            f"{run.path} has no saved outputs. Run `keras-seq2seq evaluate {run.path}` first."
        )
    check_of_model(run)
    return outputs


def _compare(
    name: str, statistic: Statistic, count: int, drawn: Iterator[np.ndarray]
) -> Comparison:
    first, second = statistic(np.arange(count))
    differences = np.array([np.subtract(*statistic(rows)[::-1]) for rows in drawn])
    difference = second - first
    low, high = np.percentile(differences, (2.5, 97.5))
    not_so = np.mean(differences * np.sign(difference) <= 0) if difference else 1.0
    return Comparison(
        name, first, second, difference, float(low), float(high), float(min(1, 2 * not_so))
    )


def _statistics(
    outputs: list[list[dict[str, Any]]], evaluations: list[dict[str, Any]]
) -> dict[str, Statistic]:
    # Of each source: edits, tokens of the nearest reference, whether it is wrong.
    counts = [np.array([counts_of(row) for row in rows]) for rows in outputs]
    statistics = {
        "token_error_rate": _of_sums(counts, lambda sums, _: sums[0] / max(1, sums[1])),
        "sequence_error_rate": _of_sums(counts, lambda sums, number: sums[2] / number),
    }
    kinds = {
        (evaluation.get("metric", "none"), evaluation.get("bleu_tokenizer", "13a"))
        for evaluation in evaluations
    }
    metric, bleu_tokenizer = kinds.pop() if len(kinds) == 1 else ("none", "13a")
    if metric in BLEU_METRICS:
        whole = bleu_metric(metric, [row["targets"] for row in outputs[0]], bleu_tokenizer)
        # Single sentences have their own orders; the sums have those of the whole set.
        single = type(whole)(
            lowercase=metric == "bleu_lowercase",
            tokenize=bleu_tokenizer,
            effective_order=True,
        )
        counts = [np.array([_bleu_counts(single, row) for row in rows]) for rows in outputs]
        statistics[metric] = _of_sums(counts, lambda sums, _: _bleu_of(whole, sums))
    if metric == "wer":
        edits = [
            np.array([word_edits(row["output"], row["targets"]) for row in rows])
            for rows in outputs
        ]
        statistics[metric] = _of_sums(edits, lambda sums, _: error_percent(*sums))
    if metric == "rouge":
        scores = [[_rouge(row) for row in rows] for rows in outputs]
        for name in scores[0][0]:
            columns = [np.array([[one[name]] for one in of_run]) for of_run in scores]
            statistics[name] = _of_sums(columns, lambda sums, number: sums[0] / number)
    return statistics


def _of_sums(counts: list[np.ndarray], value: Callable[[np.ndarray, int], float]) -> Statistic:
    """A value of sums over sources: `(sums of the counts, number of sources) -> value`."""

    def of(rows: np.ndarray) -> tuple[float, float]:
        first, second = (value(of_run[rows].sum(0), len(rows)) for of_run in counts)
        return float(first), float(second)

    return of


def counts_of(row: dict[str, Any]) -> tuple[float, float, float]:
    """Edits, tokens of the nearest reference and whether it is wrong, of a saved output."""
    rates = error_rates([row["output_tokens"]], [row["target_tokens"]])
    edits = rates.token_error_rate * max(1, rates.reference_tokens)
    return round(edits), rates.reference_tokens, rates.sequence_error_rate


def _rouge(row: dict[str, Any]) -> dict[str, float]:
    return text_scores("rouge", [row["output"]], [row["targets"]]).values


def _bleu_counts(bleu: Any, row: dict[str, Any]) -> list[float]:
    score = bleu.sentence_score(row["output"], row["targets"])
    return [*score.counts, *score.totals, score.sys_len, score.ref_len]


def _bleu_of(bleu: Any, sums: np.ndarray) -> float:
    order = (len(sums) - 2) // 2
    return bleu.compute_bleu(
        correct=sums[:order].tolist(),
        total=sums[order : 2 * order].tolist(),
        sys_len=int(sums[-2]),
        ref_len=int(sums[-1]),
        smooth_method=bleu.smooth_method,
        smooth_value=bleu.smooth_value,
        effective_order=bleu.effective_order,
    ).score
