"""Times a set of workloads, each in a process of its own, and prints one table with ratios.

    python benchmarks/table.py --set short --json runs/benchmark.jsonl
    python benchmarks/table.py --set short --peer "OTHER/bin/python time_other.py"
    python benchmarks/table.py --set short --peers peers.jsonl
    python benchmarks/table.py --rows rows.jsonl --markdown table.md

Peers are lines of JSON with the same keys (`peer`, `version`, `workload`, `mode`, `variant`,
`batch`, `beam`, `threads`, `tok_s`, and `tok_cpu_s` where one thread was timed), measured on
the same machine. A command of `--peer` takes `--workload`, `--mode`, `--batch`, `--beam`,
`--threads` and `--out`, the file to which it adds such a line; it is run next to our rows of
that size, and where it adds none, that is said. `--rows` measures nothing but draws lines of
both kinds, which a script may have timed in turn. A process that fails is a row that says so.
`of the bound` is the share of the bound of `benchmarks/limits.py`.
"""

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
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
# What makes rows comparable.
SIZE = ("mode", "workload", "threads", "batch", "beam")


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
            rows.append(_decode(workload, "litert-int8", 32, beam, 1))
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


def run_peer(command: str, job: Job) -> Job | None:
    """The line that another toolkit's command adds for a row; none where it adds none."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "row.jsonl"
        options = [f"--{name}={job[name]}" for name in SIZE]
        subprocess.run(
            [*shlex.split(command), *options, f"--out={out}"], capture_output=True, check=False
        )
        return _read(out)[-1] if out.exists() else None


def best_peer(row: Job, peers: list[Job]) -> Job | None:
    """The fastest row of another toolkit on the same workload."""
    fitting = [peer for peer in peers if all(peer.get(key) == row[key] for key in SIZE)]
    return max(fitting, key=rate, default=None)


def share_of_bound(row: Job, rates: dict[int, dict[str, float]]) -> float:
    """Tokens a second over the bound on this machine, weights of the size of the engine."""
    known = rates[row["threads"]]
    if row["mode"] == "train":
        return rate(row) / training_bound(row["workload"], known)
    size = {"litert-int8": 1, "litert-float16": 2}.get(row["variant"], 4)
    return rate(row) / bound(row["workload"], row["batch"], row["beam"], known, size)


COLUMNS = ("workload", "engine", "batch", "beam", "threads", "tokens/s", "p10 to p90")
COMPARED = ("best peer", "ratio", "of the bound")
OURS = "keras_seq2seq"


def names(row: Job) -> tuple[str, str]:
    """Of the workload and of the engine."""
    ours = row.get("peer", OURS) == OURS
    return (
        row["workload"] + (", training" if row["mode"] == "train" else ""),
        row["variant"] if ours else f"{row['peer']} {row['variant']}",
    )


def cells(row: Job, peers: list[Job], rates: dict[int, dict[str, float]]) -> list[str]:
    """One line of the table; a peer's own line has no ratio."""
    start = [*names(row), *(str(row[key]) for key in ("batch", "beam", "threads"))]
    if "error" in row:
        return [*start, "failed", row["error"][:60], "", "", ""]
    start += [f"{rate(row):,.0f}", _spread(row)]
    if row.get("peer", OURS) != OURS:
        return [*start, "", "", ""]
    peer = best_peer(row, peers)
    share = f"{100 * share_of_bound(row, rates):.0f} %"
    if peer is None:
        return [*start, "", "", share]
    ratio = f"{rate(row) / rate(peer):.2f}"
    return [*start, f"{peer['peer']} {peer['variant']}", ratio, share]


def _spread(row: Job) -> str:
    """Tokens a second of the slowest and the fastest tenth of the calls, if known."""
    median, low, high = (
        row.get(f"wall_{part}s", row.get(f"{part}s" if part else "median_s"))
        for part in ("", "p90_", "p10_")
    )
    if None in (median, low, high):
        return ""
    # Shares of the median's rate: with one thread that is of the process's own time.
    return f"{median / low * rate(row):,.0f} to {median / high * rate(row):,.0f}"


# Of a process: seconds until it is ready, MB.
COSTS = {
    "load s": ("load_s",),
    "first call s": ("first_s",),
    "MB on disk": ("size_mb",),
    "MB before it": ("before_mb",),
    "MB at most": ("peak_mb", "maxrss_mb"),
}


def costs(rows: list[Job]) -> list[list[str]]:
    """What a start and the memory of each engine cost: a line for its smallest batch."""
    lines: dict[tuple, list[str]] = {}
    for row in sorted(filter(_ok, rows), key=lambda row: (row["batch"], row["beam"])):
        found = [
            next((row[key] for key in keys if key in row), None) for keys in COSTS.values()
        ]
        texts = [_short(value) for value in found]
        lines.setdefault(names(row), [*names(row), str(row["batch"]), *texts])
    return list(lines.values())


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def draw(header: Sequence[str], lines: list[list[str]], title: str) -> Table:
    table = Table(title=title)
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index < 2 else "right")
    for line in lines:
        table.add_row(*line)
    return table


def markdown(header: Sequence[str], lines: list[list[str]]) -> str:
    """The same table for the documents."""
    rule = ["---", "---", *["--:"] * (len(header) - 2)]
    return "".join("| " + " | ".join(line) + " |\n" for line in (header, rule, *lines))


def ordered(rows: list[Job]) -> list[Job]:
    """Rows of one workload and size next to each other, the fastest first."""
    first: dict[tuple, int] = {}
    for row in rows:
        first.setdefault(_place(row), len(first))
    return sorted(rows, key=lambda row: (first[_place(row)], -rate(row) if _ok(row) else 0))


def _place(row: Job) -> tuple:
    return tuple(row[key] for key in SIZE)


def _ok(row: Job) -> bool:
    return "error" not in row


def versions(rows: list[Job]) -> str:
    """Every engine that was timed, with its version."""
    found = {row["peer"]: row.get("version", row.get("keras-seq2seq", "")) for row in rows}
    tensorflow = {row["tensorflow"] for row in rows if "tensorflow" in row}
    return ", ".join(
        [f"{name} {version}" for name, version in found.items()]
        + [f"TensorFlow {version}" for version in sorted(tensorflow)]
    )


@click.command()
@click.option("--set", "which", type=click.Choice(["short", "full"]), default="short")
@click.option("--seconds", default=3.0, show_default=True, help="Of timed calls, a row.")
@click.option("--peer", "commands", multiple=True, help="Command that times another toolkit.")
@click.option("--peers", type=click.Path(exists=True, path_type=Path), help="JSON lines.")
@click.option("--rows", "rows_file", type=click.Path(exists=True, path_type=Path))
@click.option("--markdown", "markdown_file", type=click.Path(path_type=Path))
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Rows to append.")
@click.option(
    "--artefacts",
    type=click.Path(path_type=Path),
    default=ROOT / "runs" / "benchmark",
    help="Folder of the exports.",
)
def main(
    which: str,
    seconds: float,
    commands: tuple[str, ...],
    peers: Path | None,
    rows_file: Path | None,
    markdown_file: Path | None,
    json_file: Path | None,
    artefacts: Path,
) -> None:
    """Time this package, beside peers where their results are given."""
    for command in commands:
        if not command.strip() or shutil.which(shlex.split(command)[0]) is None:
            raise click.UsageError(f"--peer must be a command. Received: {command!r}.")
    console = Console()
    others = _read(peers) if peers else []
    rates = {threads: measure_rates(threads) for threads in (1, 2)}
    if rows_file:
        rows = _read(rows_file)
        others += [row for row in rows if row["peer"] != OURS]
        rows = ordered(rows)
    else:
        artefacts.mkdir(parents=True, exist_ok=True)
        rows = _measured(jobs(which), commands, artefacts, seconds, json_file, console)
        timed = [row for row in rows if row.get("peer", OURS) != OURS]
        others += timed
        rows = ordered(rows) if timed else rows
    tables = {
        "Tokens a second, 25 in, 25 out, random weights": (
            (*COLUMNS, *COMPARED),
            [cells(row, others, rates) for row in rows],
        ),
        "Start and memory": (("workload", "engine", "batch", *COSTS), costs(rows)),
    }
    for title, (header, lines) in tables.items():
        console.print(draw(header, lines, title))
    notes = [
        "One thread: time of the process. More: time of the clock, median of the calls.",
        f"Bounds: {'; '.join(_rates(threads, rates[threads]) for threads in rates)}.",
        f"Timed: {versions([row for row in rows if _ok(row)])}.",
    ]
    console.print("\n".join(notes), highlight=False)
    if markdown_file:
        parts = [markdown(header, lines) for header, lines in tables.values()]
        markdown_file.write_text("\n".join([*parts, *notes]) + "\n", "utf-8")


def _read(path: Path) -> list[Job]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _measured(
    todo: list[Job],
    commands: Sequence[str],
    artefacts: Path,
    seconds: float,
    json_file: Path | None,
    console: Console,
) -> list[Job]:
    rows = []
    for number, job in enumerate(todo, 1):
        console.print(f"{number}/{len(todo)}", *job.values(), highlight=False)
        found = [run(job, artefacts, seconds)]
        # After the last of our rows of a size.
        if number == len(todo) or _place(todo[number]) != _place(job):
            for command in commands:
                row = run_peer(command, job)
                if row is None:
                    console.print(f"no row of {command}", highlight=False)
                else:
                    found.append(row)
        rows += found
        if json_file:
            json_file.parent.mkdir(parents=True, exist_ok=True)
            with json_file.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in found)
    return rows


def _rates(threads: int, known: dict[str, float]) -> str:
    numbers = ", ".join(f"{name} {value:,.0f}" for name, value in known.items())
    return f"{threads} thread{'s' if threads > 1 else ''}: {numbers}"


if __name__ == "__main__":
    main()
