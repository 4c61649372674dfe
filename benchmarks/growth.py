"""How cost grows: time and memory of decoding against each size alone: a table, a picture.

    python benchmarks/growth.py --workload tiny --picture growth.png --json growth.json

One size at a time leaves its middle value: batch, beam, source length, target length,
vocabulary. Each point is a process of its own; one thread, time of the process, weights at
random, lengths forced. `memory` is what the peak lies above the process before it decodes.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.timing import measure, peak_mb  # noqa: E402
from benchmarks.workloads import WORKLOADS, build_model  # noqa: E402

MIDDLE = {"batch": 8, "beam": 2, "source_length": 32, "target_length": 32, "vocabulary": 8000}
AXES = {
    "batch": (1, 2, 4, 8, 16, 32, 64),
    "beam": (1, 2, 4, 8, 16),
    "source_length": (8, 16, 32, 64, 128, 256),
    "target_length": (8, 16, 32, 64, 128, 256),
    "vocabulary": (500, 2000, 8000, 32000),
}
UNITS = {"source_length": "source tokens", "target_length": "target tokens"}


def measure_point(workload: str, sizes: dict[str, int], seconds: float) -> dict[str, float]:
    """Milliseconds and megabytes of one decoding."""
    import tensorflow as tf

    from keras_seq2seq.decoding import BeamSearch, GreedySearch, SuppressTokens

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    longest = max(sizes["source_length"], sizes["target_length"])
    model = build_model(workload, longest=longest, vocabulary_size=sizes["vocabulary"])
    beam, length = sizes["beam"], sizes["target_length"]
    search = GreedySearch(model.end_id) if beam == 1 else BeamSearch(beam, model.end_id)
    never = [SuppressTokens([0, model.start_id, model.end_id])]
    random = tf.random.Generator.from_seed(0)
    shape = (sizes["batch"], sizes["source_length"])
    source = random.uniform(shape, 4, sizes["vocabulary"], tf.int32)

    @tf.function(autograph=False)
    def decode(source):
        return model.decode({"encoder_token_ids": source}, search, length, never).token_ids

    concrete = decode.get_concrete_function(tf.TensorSpec([None, None], tf.int32))
    before = peak_mb()
    times = measure(lambda: concrete(source).numpy(), seconds=seconds, least=3)
    return {"ms": 1000 * times["cpu_s"], "memory_mb": peak_mb() - before}


def draw(rows: list[dict[str, Any]], workload: str, picture: Path) -> None:
    """One panel an axis, time and memory, both axes logarithmic, with the line of slope 1."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(AXES), figsize=(15, 3.2), constrained_layout=True)
    for panel, axis in zip(panels, AXES, strict=True):
        points = [row for row in rows if row["axis"] == axis]
        sizes = [row["size"] for row in points]
        for key, label, colour in [
            ("ms", "milliseconds", "#0072b2"),
            ("memory_mb", "megabytes", "#d55e00"),
        ]:
            panel.plot(sizes, [row[key] for row in points], "o-", color=colour, label=label)
        last = points[-1]
        line = [last["ms"] * size / last["size"] for size in sizes]
        panel.plot(sizes, line, ":", color="grey", label="linear")
        panel.set(xscale="log", yscale="log", xlabel=UNITS.get(axis, axis))
        panel.set_xticks(sizes, [str(size) for size in sizes])
        panel.minorticks_off()
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    middle = ", ".join(f"{UNITS.get(name, name)} {size}" for name, size in MIDDLE.items())
    figure.suptitle(f"{workload}, else {middle}", fontsize=10)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)


def table(rows: list[dict[str, Any]], workload: str) -> Table:
    result = Table(title=f"{workload}: one decoding")
    for name in ("", "size", "ms", "time for the double", "memory, MB"):
        result.add_column(name, justify="right" if name else "left")
    for before, row in zip([None, *rows], rows, strict=False):
        same = before is not None and before["axis"] == row["axis"]
        growth = ""
        if same:
            doubles = math.log2(row["size"] / before["size"])
            growth = f"{(row['ms'] / before['ms']) ** (1 / doubles):.2f}"
        name = "" if same else UNITS.get(row["axis"], row["axis"])
        result.add_row(
            name, str(row["size"]), f"{row['ms']:,.1f}", growth, f"{row['memory_mb']:,.0f}"
        )
    return result


@click.command()
@click.option("--workload", type=click.Choice(list(WORKLOADS)), default="tiny")
@click.option("--seconds", default=1.0, show_default=True, help="Of timed calls, a point.")
@click.option("--picture", type=click.Path(path_type=Path), help="PNG or SVG to draw.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Rows as JSON too.")
@click.option("--point", hidden=True, help="JSON of the sizes of the one point to measure.")
def main(
    workload: str,
    seconds: float,
    picture: Path | None,
    json_file: Path | None,
    point: str | None,
) -> None:
    """Measure how time and memory of decoding grow."""
    if point:
        click.echo(json.dumps(measure_point(workload, json.loads(point), seconds)))
        return
    rows = []
    for axis, sizes in AXES.items():
        for size in sizes:
            arguments = ["--workload", workload, "--seconds", str(seconds)]
            arguments += ["--point", json.dumps({**MIDDLE, axis: size})]
            command = [sys.executable, __file__, *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows.append({"axis": axis, "size": size, **json.loads(done.stdout)})
            click.echo(json.dumps(rows[-1]))
    Console().print(table(rows, workload))
    if json_file:
        json_file.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
    if picture:
        draw(rows, workload, picture)
        click.echo(f"Written: {picture}")


if __name__ == "__main__":
    main()
