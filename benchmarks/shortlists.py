"""What a shortlist of the vocabulary saves: an engine with and without one, by turns.

    python benchmarks/shortlists.py --workload tiny --variant keras-xla --batch 32 --beam 1

The workloads of `speed.py`, whose lines are random words. As many target tokens as `--one`
says are allowed for a source, `--together` for a batch; what real pairs give, the command
`shortlist` says. Processor time of this process, one thread, medians of the rounds' ratios.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.speed import settings  # noqa: E402
from benchmarks.workloads import LENGTH, WORKLOADS, build_model, made_up_lines  # noqa: E402


def write_list(path: Path, model: Any, one: int, together: int) -> None:
    """A shortlist whose lists have these sizes: candidates are drawn from so many tokens."""
    from keras_seq2seq.data.shortlist import Shortlist, fingerprint

    generator = np.random.default_rng(0)
    size = model.decoder.vocabulary_size
    count = max(1, (one - 104) // (LENGTH - 1))
    table = generator.integers(4, together, (size, count), dtype=np.int32)
    sizes = np.array([one, *[together] * 10], np.int32)
    Shortlist(
        table, np.arange(104, dtype=np.int32), sizes, fingerprint(model.preprocessor)
    ).write(path)


def decoder(
    model: Any, variant: str, search: Any, lines: list[str], folder: Path
) -> Callable[[], Any]:
    """A function that decodes the lines."""
    if variant.startswith("keras"):
        return lambda: model.generate(lines, search, jit_compile=variant == "keras-xla")
    from export import export_saved_model, export_tflite

    if variant == "litert-float32":
        from export.litert_runner import LiteRTRunner

        export_tflite(model, folder, search, batch_size=len(lines))
        runner = LiteRTRunner(folder, 1)
        return lambda: runner.generate_all(lines)
    import tensorflow as tf

    export_saved_model(model, folder, search, xla_threads=int(variant.endswith("xla")))
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    text = tf.constant(lines)
    return lambda: serve(text=text)


def seconds(function: Callable[[], Any], least: float) -> float:
    """Processor time of a call, the median of calls for so many seconds."""
    found: list[float] = []
    while sum(found) < least:
        begin = time.process_time()
        function()
        found.append(time.process_time() - begin)
    return statistics.median(found)


@click.command()
@click.option("--workload", type=click.Choice(list(WORKLOADS)), default="tiny")
@click.option(
    "--variant",
    type=click.Choice(
        ["keras", "keras-xla", "saved_model", "saved_model-xla", "litert-float32"]
    ),
    default="keras",
)
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True)
@click.option("--beam", type=click.IntRange(1), default=1, show_default=True)
@click.option("--one", type=click.IntRange(130), default=512, show_default=True)
@click.option("--together", type=click.IntRange(130), default=2048, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seconds", "least", default=1.0, show_default=True, help="Of a round's half.")
def main(
    workload: str,
    variant: str,
    batch: int,
    beam: int,
    one: int,
    together: int,
    rounds: int,
    least: float,
) -> None:
    """Time one workload on one engine, with and without a shortlist."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = build_model(workload, with_text=True)
    lines = made_up_lines(workload, batch, seed=0)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "list")
        write_list(path, model, one, together)
        exact = settings(beam)
        listed = settings(beam, shortlist=str(path))
        runs = [
            decoder(model, variant, search, lines, Path(scratch, name))
            for name, search in (("exact", exact), ("listed", listed))
        ]
        for run in runs:
            run()
            run()
        times = [[seconds(run, least) for run in runs] for _ in range(rounds)]
    ratios = sorted(without / with_list for without, with_list in times)
    tokens = batch * LENGTH
    rates = [tokens / statistics.median(column) for column in zip(*times, strict=True)]
    click.echo(
        f"{workload} {variant} batch {batch} beam {beam}, lists of {one} and {together}: "
        f"{rates[0]:.0f} tokens/s exact, {rates[1]:.0f} with a list; ratio "
        f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


if __name__ == "__main__":
    main()
