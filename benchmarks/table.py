"""Times a set of workloads, each in a process of its own, and prints one table with ratios.

    python benchmarks/table.py --set short --json runs/benchmark.jsonl
    python benchmarks/table.py --set short --peers peers.jsonl

Peers are lines of JSON with the same keys (`peer`, `workload`, `mode`, `variant`, `batch`,
`beam`, `threads`, `tok_s`, and `tok_cpu_s` where one thread was timed), measured on the same
machine. A process that fails is a row that says so. The last column is the share of the bound
of `benchmarks/limits.py`.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.limits import bound, training_bound  # noqa: E402
from benchmarks.speed import LITERT  # noqa: E402

Job = dict[str, Any]


def jobs(which: str) -> list[Job]:
    """The rows of a set: `short` is minutes, `full` everything."""
    full = which == "full"
    rows = []
    for workload in ("rnn", "tiny", "base"):
        if workload == "base" and not full:
            continue
        for beam in (1, 5):
            for variant in ("saved_model", *LITERT):
                rows.append(_decode(workload, variant, 1, beam, 1))
            for batch in (32, 128) if full else (32,):
                batched = (
                    ("keras", "keras-xla", "saved_model", "saved_model-xla", "c_api")
                    if full
                    else ("saved_model", "saved_model-xla")
                )
                for variant in batched:
                    rows.append(_decode(workload, variant, batch, beam, 2))
        for variant in ("fit", "pipeline") if full else ("fit",):
            rows.append(
                {"workload": workload, "mode": "train", "variant": variant}
                | {"batch": 64, "beam": 1, "threads": 2}
            )
    return rows


def _decode(workload: str, variant: str, batch: int, beam: int, threads: int) -> Job:
    return {
        "workload": workload,
        "mode": "decode",
        "variant": variant,
        "batch": batch,
        "beam": beam,
        "threads": threads,
    }


def run(job: Job, artefacts: Path, seconds: float) -> Job:
    """The line of `benchmarks/speed.py`, or the job with an `error`."""
    options = [part for name, value in job.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, str(ROOT / "benchmarks" / "speed.py"), *options]
    command += ["--artefacts", str(artefacts), "--min-time", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {**job, "error": (done.stderr.strip().splitlines() or ["failed"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure_rates(threads: int) -> dict[str, float]:
    """The machine's rates, from a process of its own."""
    command = [sys.executable, str(ROOT / "benchmarks" / "limits.py")]
    command += ["--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[0])


def rate(row: Job) -> float:
    """Tokens a second: of the process's own time with one thread, else of the clock."""
    return row["tok_cpu_s"] if row["threads"] == 1 and "tok_cpu_s" in row else row["tok_s"]


def best_peer(row: Job, peers: list[Job]) -> Job | None:
    """The fastest row of another toolkit on the same workload."""
    same = ("workload", "mode", "batch", "beam", "threads")
    fitting = [peer for peer in peers if all(peer.get(key) == row[key] for key in same)]
    return max(fitting, key=rate, default=None)


def share_of_bound(row: Job, rates: dict[int, dict[str, float]]) -> float:
    """Tokens a second over the bound on this machine, weights of the size of the engine."""
    known = rates[row["threads"]]
    if row["mode"] == "train":
        return rate(row) / training_bound(row["workload"], known)
    size = {"litert-int8": 1, "litert-float16": 2}.get(row["variant"], 4)
    return rate(row) / bound(row["workload"], row["batch"], row["beam"], known, size)


def draw(rows: list[Job], peers: list[Job], rates: dict[int, dict[str, float]]) -> Table:
    table = Table(title="Tokens a second, 25 in, 25 out, random weights")
    for name in ("workload", "engine", "batch", "beam", "threads", "tokens/s", "p10 to p90"):
        table.add_column(name, justify="left" if name in ("workload", "engine") else "right")
    for name in ("best peer", "ratio", "of the bound", "others' load"):
        table.add_column(name, justify="right")
    for row in rows:
        name = row["workload"] + (", training" if row["mode"] == "train" else "")
        start = [name, row["variant"], *(str(row[k]) for k in ("batch", "beam", "threads"))]
        if "error" in row:
            table.add_row(*start, "failed", row["error"][:60])
            continue
        peer = best_peer(row, peers)
        spread = [row["wall_s"] / row[f"wall_p{part}_s"] * row["tok_s"] for part in (90, 10)]
        table.add_row(
            *start,
            f"{rate(row):,.0f}",
            f"{spread[0]:,.0f} to {spread[1]:,.0f}",
            "" if peer is None else f"{peer['peer']} {peer['variant']}",
            "" if peer is None else f"{rate(row) / rate(peer):.2f}",
            f"{100 * share_of_bound(row, rates):.0f} %",
            f"{100 * row['busy']:.0f} %",
        )
    return table


@click.command()
@click.option("--set", "which", type=click.Choice(["short", "full"]), default="short")
@click.option("--seconds", default=3.0, show_default=True, help="Of timed calls, a row.")
@click.option("--peers", type=click.Path(exists=True, path_type=Path), help="JSON lines.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Rows to append.")
@click.option(
    "--artefacts",
    type=click.Path(path_type=Path),
    default=ROOT / "runs" / "benchmark",
    help="Folder of the exports.",
)
def main(
    which: str, seconds: float, peers: Path | None, json_file: Path | None, artefacts: Path
) -> None:
    """Time this package, beside peers where their results are given."""
    console = Console()
    artefacts.mkdir(parents=True, exist_ok=True)
    others = [json.loads(line) for line in peers.read_text().splitlines()] if peers else []
    rates = {threads: measure_rates(threads) for threads in (1, 2)}
    rows = []
    for number, job in enumerate(todo := jobs(which), 1):
        console.print(f"{number}/{len(todo)}", *job.values(), highlight=False)
        rows.append(run(job, artefacts, seconds))
        if json_file:
            json_file.parent.mkdir(parents=True, exist_ok=True)
            with json_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    console.print(draw(rows, others, rates))
    console.print(
        "One thread: time of the process. More: time of the clock; `others' load` is the share "
        "of the machine that other processes took."
    )


if __name__ == "__main__":
    main()
