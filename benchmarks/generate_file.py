"""What `keras-seq2seq generate --file` costs: seconds to the first and last line, memory.

    python benchmarks/generate_file.py --lines 5000
    python benchmarks/generate_file.py --lines 5000 --other ../another_checkout

A model with random weights, words of 3 to 15 letters, targets as long as their sources. With
--other the same command of another checkout, with its `.venv`, runs in turns, each a process of
its own; an older one reads no newer run: give one that it made with --run. `start` is a process
that answers one line, which every file pays once.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


def make_run(folder: Path, architecture: str, hidden_dim: int, words: list[str]) -> None:
    """A run directory whose model has random weights."""
    import keras

    from keras_seq2seq.data import Pairs, TextPreprocessor
    from keras_seq2seq.models import lstm_attention, transformer
    from keras_seq2seq.tokenizers import CharacterTokenizer, SymbolTokenizer
    from keras_seq2seq.training.run_directory import RunDirectory
    from keras_seq2seq.training.settings import TrainingConfig

    keras.utils.set_random_seed(0)
    pairs = Pairs(words, [" ".join(word.upper()) for word in words])
    preprocessor = TextPreprocessor.from_pairs(
        pairs.sources, pairs.targets, CharacterTokenizer, SymbolTokenizer
    )
    if architecture == "transformer":
        model = transformer(preprocessor, hidden_dim=hidden_dim, num_layers=2)
    else:
        model = lstm_attention(preprocessor, embedding_dim=hidden_dim, hidden_dim=hidden_dim)
    run = RunDirectory(folder)
    run.begin(TrainingConfig(), pairs, pairs)
    run.write_pairs(run.validation_file, pairs)
    model.save(run.model_file)


def measure(checkout: Path, run: Path, file: Path, beam: int) -> dict[str, Any]:
    """Seconds to the first line and to the end, of all processors, and the peak in MB."""
    python = checkout / ".venv" / "bin" / "python"
    command = [str(python) if python.exists() else sys.executable, "-m", "keras_seq2seq"]
    command += ["generate", str(run), "--file", str(file)]
    command += ["--max-length-ratio", "1", "--beam-size", str(beam)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin, first, lines = time.perf_counter(), 0.0, []
    with subprocess.Popen(
        command, cwd=checkout, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        for line in process.stdout or ():
            first = first or time.perf_counter() - begin
            lines.append(line)
    if process.returncode:
        raise click.ClickException(f"{checkout}: exit status {process.returncode}.")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "first": first,
        "seconds": time.perf_counter() - begin,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak": after.ru_maxrss / 1024,
        "lines": lines,
    }


@click.command()
@click.option("--lines", default=5000, show_default=True)
@click.option("--model", "architecture", default="transformer", show_default=True)
@click.option("--hidden-dim", default=64, show_default=True)
@click.option("--beam", default=1, show_default=True)
@click.option("--rounds", default=1, show_default=True)
@click.option("--run", "made", type=click.Path(path_type=Path), help="A run, not a new one.")
@click.option("--other", type=click.Path(path_type=Path), help="Another checkout.")
def main(
    lines: int,
    architecture: str,
    hidden_dim: int,
    beam: int,
    rounds: int,
    made: Path | None,
    other: Path | None,
) -> None:
    """Measure the command generate on a file."""
    import numpy as np

    rng = np.random.default_rng(0)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    words = ["".join(rng.choice(letters, rng.integers(3, 16))) for _ in range(lines)]
    checkouts = [ROOT] if other is None else [other.resolve(), ROOT]
    found: dict[Path, list[dict[str, Any]]] = {checkout: [] for checkout in checkouts}
    starts: dict[Path, list[float]] = {checkout: [] for checkout in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        run, file, one = (Path(folder) / name for name in ("run", "words.txt", "word.txt"))
        if made is None:
            make_run(run, architecture, hidden_dim, words[:200] + ["a" * 15])
        run = made.resolve() if made else run
        file.write_text("".join(f"{word}\n" for word in words))
        one.write_text(f"{words[0]}\n")
        for _ in range(rounds):
            for checkout in checkouts:
                starts[checkout].append(measure(checkout, run, one, beam)["seconds"])
                found[checkout].append(measure(checkout, run, file, beam))
    table = Table(title=f"{lines} lines, {architecture} {hidden_dim}, beam {beam}")
    for name in ("checkout", "start s", "first line s", "all s", "CPU s", "peak MB"):
        table.add_column(name)
    for checkout in checkouts:
        best = min(found[checkout], key=lambda row: row["seconds"])
        numbers = [min(starts[checkout]), *(best[k] for k in ("first", "seconds", "cpu"))]
        table.add_row(
            checkout.name, *(f"{number:.1f}" for number in numbers), f"{best['peak']:.0f}"
        )
    Console().print(table)
    if len({tuple(rows[0]["lines"]) for rows in found.values()}) > 1:
        raise click.ClickException("The checkouts say different targets.")


if __name__ == "__main__":
    main()
