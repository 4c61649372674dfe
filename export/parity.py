"""Whether the artefacts say what the Keras model says: tokens, scores, error rates, time."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.files import check_output, write_text
from keras_seq2seq.metrics import error_rates
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.wording import counted

from .engines import Engine, keras_engine, open_artefact, peak_megabytes
from .litert_runner import MOST_THREADS

SCORE_TOLERANCE = 1e-4


@dataclass(frozen=True)
class ParityRow:
    """How one engine compares with the Keras model on the same sources.

    Attributes:
        engine: Name of the engine and its artefact.
        quantization: `"float32"`, `"float16"` or `"int8"`.
        threads: Threads of LiteRT; 0 for TensorFlow's own choice.
        search: The search, such as `"beam 4"`.
        sources: Number of sources.
        agreement: Share of the sources with the same target texts in the same order.
        largest_score_difference: Of the log probabilities where the texts agree.
        milliseconds: Median of a source; with it the 90th and 99th percentile. Of a batch,
            its time by its sources.
        token_error_rate: Against the references; NaN without.
        sequence_error_rate: Likewise.
        peak_megabytes: Resident memory of a process that runs the artefact alone; NaN if
            not measured.
        batch_size: Sources a request; 1 but for a file that was exported for more.
    """

    engine: str
    quantization: str
    threads: int
    search: str
    sources: int
    agreement: float
    largest_score_difference: float
    milliseconds: float
    milliseconds_p90: float
    milliseconds_p99: float
    token_error_rate: float = math.nan
    sequence_error_rate: float = math.nan
    peak_megabytes: float = math.nan
    batch_size: int = 1

    @property
    def passes(self) -> bool:
        """Whether a float32 engine agrees; quantized ones only report."""
        return self.quantization != "float32" or (
            self.agreement == 1 and self.largest_score_difference <= SCORE_TOLERANCE
        )


@checked
def compare(
    model: Seq2Seq,
    artefacts: Sequence[Path],
    sources: Sequence[Any],
    *,
    references: Sequence[Sequence[str]] | None = None,
    threads: Sequence[int] = (1,),
    memory: bool = False,
) -> list[ParityRow]:
    """Runs every source through the model and each artefact, one a request, or as many as an
    artefact was exported for.

    Args:
        model: The Keras model that the artefacts were made of.
        artefacts: Folders of `export_saved_model` or `export_tflite`.
        sources: Strings; or of a model of frames or sound, arrays or files.
        references: The right targets of each source, for error rates.
        threads: Numbers of threads for LiteRT, a row each.
        memory: Whether to run each artefact once more, in a process of its own, for its
            peak memory.

    Returns:
        For each search that occurs a row of the Keras model, then rows of its artefacts.

    Raises:
        InputError: If there is no source, a number of threads is below 1, or an artefact is
            none of ours.
    """
    if not sources:
        raise InputError("Parity needs at least one source.")
    if not threads or min(threads) < 1 or max(threads) > MOST_THREADS:
        raise InputError(
            f"A number of threads must be at least 1 and at most {MOST_THREADS}. Received: "
            f"{list(threads)}."
        )
    model.preprocessor.check_sources(sources)
    if model.preprocessor.kind != "text":
        sources = [model.preprocessor.read(source) for source in sources]
    opened = [engine for path in artefacts for engine in open_artefact(path, threads)]
    rows = []
    for search in dict.fromkeys(engine.settings for engine in opened):
        reference = keras_engine(model, search)
        engines = [reference, *(engine for engine in opened if engine.settings == search)]
        runs = _run(engines, sources)
        expected = runs[0][0]
        for engine, (results, times) in zip(engines, runs, strict=True):
            agreement, difference = _agreement(expected, results)
            p50, p90, p99 = (float(np.percentile(times, share)) for share in (50, 90, 99))
            token_errors, sequence_errors = _error_rates(model, results, references)
            rows.append(
                ParityRow(
                    engine=engine.name,
                    quantization=engine.quantization,
                    threads=engine.threads,
                    search=search.description,
                    sources=len(sources),
                    agreement=agreement,
                    largest_score_difference=difference,
                    milliseconds=p50,
                    milliseconds_p90=p90,
                    milliseconds_p99=p99,
                    token_error_rate=token_errors,
                    sequence_error_rate=sequence_errors,
                    peak_megabytes=peak_megabytes(engine, sources) if memory else math.nan,
                    batch_size=engine.batch_size,
                )
            )
    return rows


def parity_table(rows: Sequence[ParityRow]) -> Table:
    """The rows as a table for people; columns that nothing was measured for are left out."""
    columns = [
        ("engine", lambda row: row.engine),
        ("weights", lambda row: row.quantization),
        ("search", lambda row: row.search),
        ("same tokens", lambda row: f"{100 * row.agreement:.1f} %"),
        ("score diff.", lambda row: f"{row.largest_score_difference:.1e}"),
        (
            "ms p50/p90/p99",
            lambda row: (
                f"{row.milliseconds:.2f} {row.milliseconds_p90:.2f} {row.milliseconds_p99:.2f}"
            ),
        ),
    ]
    if any(row.threads > 1 for row in rows):
        columns.insert(3, ("threads", lambda row: str(row.threads or "")))
    if any(row.batch_size > 1 for row in rows):
        columns.insert(3, ("batch", lambda row: str(row.batch_size)))
    if not all(math.isnan(row.token_error_rate) for row in rows):
        columns.append(
            (
                "token/sequence errors",
                lambda row: (
                    f"{100 * row.token_error_rate:.2f} {100 * row.sequence_error_rate:.2f} %"
                ),
            )
        )
    if not all(math.isnan(row.peak_megabytes) for row in rows):
        columns.append(
            (
                "peak MB",
                lambda row: (
                    "" if math.isnan(row.peak_megabytes) else f"{row.peak_megabytes:.0f}"
                ),
            )
        )
    columns.append(("", lambda row: "ok" if row.passes else "DIFFERS"))
    # On a narrow terminal long cells go on in the next line; nothing is left out.
    table = Table(*(Column(name, overflow="fold") for name, _ in columns))
    for row in rows:
        table.add_row(*(text(row) for _, text in columns))
    return table


def print_parity(
    model: Seq2Seq,
    artefacts: Sequence[Path],
    sources: Sequence[Any],
    console: Console,
    json_file: Path | None = None,
    *,
    references: Sequence[Sequence[str]] | None = None,
    threads: Sequence[int] = (1,),
    memory: bool = False,
) -> bool:
    """Runs `compare`, prints the table and writes it as JSON (`null` where not measured).

    Returns:
        Whether every float32 artefact gives the same tokens, and scores within 1e-4.

    Raises:
        InputError: As `compare`, or if `json_file` cannot be written, before anything is run.
    """
    if json_file:
        check_output(json_file)
    with console.status(f"{counted(len(sources), 'source')} through every engine"):
        rows = compare(
            model, artefacts, sources, references=references, threads=threads, memory=memory
        )
    console.print(parity_table(rows))
    each = "one a request, or a batch" if any(row.batch_size > 1 for row in rows) else ""
    each = each or "one a request"
    console.print(f"{counted(len(sources), 'source')}, {each}.", highlight=False)
    if json_file:
        content = [
            {
                name: None if isinstance(value, float) and math.isnan(value) else value
                for name, value in {**asdict(row), "passes": row.passes}.items()
            }
            for row in rows
        ]
        write_text(json_file, json.dumps(content, indent=2) + "\n")
        console.print(f"Written: {json_file}", highlight=False, soft_wrap=True)
    return all(row.passes for row in rows)


Results = list[tuple[list[str], np.ndarray]]


def _run(
    engines: Sequence[Engine], sources: Sequence[Any]
) -> list[tuple[Results, list[float]]]:
    """Of each engine the results, and the milliseconds of each.

    The engines take turns at every source, or batch, so that what else the machine does falls
    on all.
    """
    for engine in engines:
        engine.generate(sources[:1])  # Tracing and allocation are not part of a source's time.
    runs: list[tuple[Results, list[float]]] = [([], []) for _ in engines]
    for number in range(1, len(sources) + 1):
        for engine, (results, times) in zip(engines, runs, strict=True):
            # All that came since its last turn, where that is a batch, or the rest.
            waiting = sources[len(results) : number]
            if len(waiting) < engine.batch_size and number < len(sources):
                continue
            begin = time.perf_counter()
            results += engine.generate(waiting)
            spent = 1000 * (time.perf_counter() - begin)
            times += [spent / len(waiting)] * len(waiting)
    return runs


def _agreement(expected: Results, received: Results) -> tuple[float, float]:
    same = [
        np.max(np.abs(log_probs - other_log_probs))
        for (texts, log_probs), (other_texts, other_log_probs) in zip(
            expected, received, strict=True
        )
        if texts == other_texts
    ]
    return len(same) / len(expected), float(max(same, default=float("nan")))


def _error_rates(
    model: Seq2Seq, results: Results, references: Sequence[Sequence[str]] | None
) -> tuple[float, float]:
    if references is None:
        return math.nan, math.nan
    split = model.preprocessor.target_tokenizer.split_text
    rates = error_rates(
        [split(texts[0]) for texts, _ in results],
        [[split(text) for text in answers] for answers in references],
    )
    return rates.token_error_rate, rates.sequence_error_rate
