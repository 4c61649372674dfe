"""Whether the artefacts say what the Keras model says: tokens, scores, milliseconds."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.settings import GenerationSettings

from .litert_runner import LiteRTRunner

SCORE_TOLERANCE = 1e-4

# One source -> its target texts and their log probabilities, the best first.
Generate = Callable[[str], tuple[list[str], np.ndarray]]


@dataclass(frozen=True)
class ParityRow:
    """How one engine compares with the Keras model on the same sources.

    Attributes:
        engine: Name of the engine and its artefact.
        quantization: `"float32"` or `"int8"`.
        search: The search, such as `"beam 4"`.
        sources: Number of sources, one request each.
        agreement: Share of the sources with the same target texts in the same order.
        largest_score_difference: Of the log probabilities where the texts agree.
        milliseconds: Median of a source.
    """

    engine: str
    quantization: str
    search: str
    sources: int
    agreement: float
    largest_score_difference: float
    milliseconds: float

    @property
    def passes(self) -> bool:
        """Whether a float32 engine agrees; quantized ones only report."""
        return self.quantization != "float32" or (
            self.agreement == 1 and self.largest_score_difference <= SCORE_TOLERANCE
        )


def compare(
    model: Seq2Seq, artefacts: Sequence[Path], sources: Sequence[str]
) -> list[ParityRow]:
    """Runs every source, one a request, through the model and each artefact.

    Args:
        model: The Keras model that the artefacts were made of.
        artefacts: Folders of `export_saved_model` or `export_tflite`.
        sources: Source strings.

    Returns:
        For each search that occurs a row of the Keras model, then rows of its artefacts.

    Raises:
        InputError: If there is no source, or an artefact is none of ours.
    """
    if not sources:
        raise InputError("Parity needs at least one source.")
    model.preprocessor.check_sources(sources)
    opened = [_open(path) for path in artefacts]
    rows = []
    for search in dict.fromkeys(search for _, _, search, _ in opened):
        expected, milliseconds = _run(_keras(model, search), sources)
        name = search.description
        rows.append(
            ParityRow("Keras model", "float32", name, len(sources), 1.0, 0.0, milliseconds)
        )
        for engine, quantization, settings, generate in opened:
            if settings == search:
                received, milliseconds = _run(generate, sources)
                agreement, difference = _differences(expected, received)
                rows.append(
                    ParityRow(
                        engine,
                        quantization,
                        name,
                        len(sources),
                        agreement,
                        difference,
                        milliseconds,
                    )
                )
    return rows


def parity_table(rows: Sequence[ParityRow]) -> Table:
    """The rows as a table for people."""
    table = Table("engine", "weights", "search", "same tokens", "score diff.", "ms each", "")
    for row in rows:
        table.add_row(
            row.engine,
            row.quantization,
            row.search,
            f"{100 * row.agreement:.1f} %",
            f"{row.largest_score_difference:.1e}",
            f"{row.milliseconds:.2f}",
            "ok" if row.passes else "DIFFERS",
        )
    return table


def print_parity(
    model: Seq2Seq,
    artefacts: Sequence[Path],
    sources: Sequence[str],
    console: Console,
    json_file: Path | None = None,
) -> bool:
    """Runs `compare`, prints the table and writes it as JSON.

    Returns:
        Whether every float32 artefact gives the same tokens, and scores within 1e-4.
    """
    with console.status(f"{len(sources)} sources through every engine"):
        rows = compare(model, artefacts, sources)
    console.print(parity_table(rows))
    console.print(f"{len(sources)} sources, one a request.", highlight=False)
    if json_file:
        content = [{**asdict(row), "passes": row.passes} for row in rows]
        json_file.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
        console.print(f"Written: {json_file}", highlight=False, soft_wrap=True)
    return all(row.passes for row in rows)


def _run(
    generate: Generate, sources: Sequence[str]
) -> tuple[list[tuple[list[str], np.ndarray]], float]:
    generate(sources[0])  # Tracing and allocation are not part of a source's time.
    results, times = [], []
    for source in sources:
        begin = time.perf_counter()
        results.append(generate(source))
        times.append(time.perf_counter() - begin)
    return results, 1000 * float(np.median(times))


def _differences(expected, received) -> tuple[float, float]:
    same = [
        np.max(np.abs(log_probs - other_log_probs))
        for (texts, log_probs), (other_texts, other_log_probs) in zip(
            expected, received, strict=True
        )
        if texts == other_texts
    ]
    return len(same) / len(expected), float(max(same, default=float("nan")))


def _keras(model: Seq2Seq, search: GenerationSettings) -> Generate:
    def generate(source: str):
        hypotheses = model.search([source], search)
        return model.texts(hypotheses)[0], hypotheses.log_probs[0]

    return generate


def _open(path: Path) -> tuple[str, str, GenerationSettings, Generate]:
    """Name, quantization, search and function of an artefact."""
    if (path / "saved_model.pb").exists():
        description_file = path / "assets.extra" / "signatures.json"
        name, generate = path.name, _saved_model
    elif (path / "model.tflite").exists():
        description_file = path / "signatures.json"
        name, generate = path.name, _litert
    else:
        raise InputError(
            f"{path} is no artefact: it has neither saved_model.pb nor model.tflite. Make one "
            "with `keras-seq2seq export`."
        )
    if not description_file.exists():
        raise InputError(f"{path} was not exported by this package: no signatures.json.")
    description = json.loads(description_file.read_text("utf-8"))
    settings = GenerationSettings(**description["generation"])
    return name, description["quantization"], settings, generate(path)


def _saved_model(path: Path) -> Generate:
    loaded = tf.saved_model.load(str(path))
    serving = loaded.signatures["serving_default"]

    def generate(source: str):
        # Keeps `loaded`, which owns the vocabularies, alive.
        outputs = loaded and serving(text=tf.constant([source]))
        texts = [text.decode("utf-8", "replace") for text in outputs["text"].numpy()[0]]
        return texts, outputs["log_probs"].numpy()[0]

    return generate


def _litert(path: Path) -> Generate:
    try:
        runner = LiteRTRunner(path)
    except ImportError as error:
        raise InputError(
            "Running a .tflite file needs ai-edge-litert: `pip install keras-seq2seq[litert]`."
        ) from error

    def generate(source: str):
        texts, outputs = runner.generate(source)
        return texts, outputs["log_probs"][0]

    return generate
