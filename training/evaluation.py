"""Error rates of a model on pairs, by real decoding."""

import time
from collections.abc import Sequence
from typing import Any

from rich.table import Column, Table

from keras_seq2seq.data import Pairs
from keras_seq2seq.metrics import ErrorRates, error_rates
from keras_seq2seq.settings import GenerationSettings

from .run_directory import RunDirectory


def evaluate(
    model: Any, pairs: Pairs, settings: GenerationSettings | None = None
) -> tuple[ErrorRates, list[str], float]:
    """Decodes every source once and compares with all its targets.

    A source that is longer than the model takes counts as wrong, with an empty target.

    Args:
        model: `Seq2Seq` with a preprocessor.
        pairs: A source that occurs several times has several right answers.
        settings: How targets are generated. Defaults to greedy search.

    Returns:
        The error rates, the generated texts in the order of first appearance of their
        sources, and the seconds that decoding took.
    """
    references = pairs.references()
    lengths = model.preprocessor.source_lengths(list(references))
    fits = (lengths > 0) & (lengths <= model.preprocessor.max_source_length)
    begin = time.perf_counter()
    generated = iter(
        model.generate([s for s, fit in zip(references, fits, strict=True) if fit], settings)
    )
    texts = [next(generated) if fit else "" for fit in fits]
    seconds = time.perf_counter() - begin
    split = model.preprocessor.target_tokenizer.split_text
    rates = error_rates(
        [split(text) for text in texts],
        [[split(text) for text in answers] for answers in references.values()],
    )
    return rates, texts, seconds


def evaluate_run(
    run: RunDirectory,
    pairs: Pairs | None = None,
    settings: GenerationSettings | None = None,
) -> dict[str, Any]:
    """Evaluates the best model of a run and writes `evaluation.json`.

    Args:
        run: The run.
        pairs: Defaults to the run's test pairs, else its validation pairs.
        settings: How targets are generated. Defaults to greedy search.

    Returns:
        What the file holds: the error rates, the settings, milliseconds a source.
    """
    pairs = pairs if pairs is not None else run.test_pairs()
    model = run.load_model()
    settings = settings or GenerationSettings()
    rates, _, seconds = evaluate(model, pairs, settings)
    lengths = model.preprocessor.source_lengths(list(pairs.references()))
    names = run.config["settings"]
    result = {
        **rates.to_dict(),
        "too_long": int((lengths > model.preprocessor.max_source_length).sum()),
        "search": settings.description,
        "generation": settings.to_dict(),
        "milliseconds_each": 1000 * seconds / rates.sequences,
        "token_name": names["token_name"],
        "sequence_name": names["sequence_name"],
    }
    run.write_json(run.evaluation_file, result)
    return result


def results_table(
    results: Sequence[dict[str, Any]], published: Sequence[tuple[str, float, float]] = ()
) -> Table:
    """The results of `evaluate_run` as a table, published ones (in per cent) below."""
    first = results[0]
    table = Table(
        Column("", no_wrap=True),
        f"{first['token_name']} errors",
        f"{first['sequence_name']} errors",
        "ms each",
        title=f"{first['sequences']} {first['sequence_name']}s",
        title_justify="left",
    )
    for result in results:
        table.add_row(
            f"this model, {result['search']}",
            f"{100 * result['token_error_rate']:.2f} %",
            f"{100 * result['sequence_error_rate']:.2f} %",
            f"{result['milliseconds_each']:.2f}",
        )
    for name, token_error_rate, sequence_error_rate in published:
        table.add_row(name, f"{token_error_rate:.2f} %", f"{sequence_error_rate:.2f} %", "")
    return table
