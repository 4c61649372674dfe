"""Are a million lines answered in flat memory, and each once, whatever kills the process?

    python benchmarks/billion_lines.py --lines 1000000
    python benchmarks/billion_lines.py --lines 100000 --kills 10 --json found.json
    python benchmarks/billion_lines.py --lines 2000 --kills 2
    python benchmarks/billion_lines.py --lines 100000 -- --runner=DirectRunner

Short words and a small model with random weights. Two ways, `generate --output --resume` of one
file and `generate-files` of ten, with the options behind `--` for Beam: each once in peace, and
once with SIGKILL after random times and the same command again. The answers of both must be the
same lines, in the order of the sources, none twice. Resident memory is read ten times a second;
`growth` is what its median of the last fifth of the time has over that of the second fifth.
"""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SHARDS = 10


def words_of(count: int) -> list[str]:
    """Words of 3 to 12 letters, the same every time."""
    made = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["".join(made.choices(letters, k=made.randint(3, 12))) for _ in range(count)]


def resident(process: int) -> float:
    """MB of a process and its children, 0 where there is none."""
    total = 0
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                total += int(line.split()[1])
        tasks = Path(f"/proc/{process}/task").iterdir()
        children = [
            child for task in tasks for child in (task / "children").read_text().split()
        ]
    except OSError:
        return 0.0
    return total / 1024 + sum(resident(int(child)) for child in children)


def run(command: Sequence[str], limit: float | None) -> tuple[float, list[float], bool]:
    """Seconds, resident memory, and whether it ended by itself; killed after `limit`."""
    begin, memory = time.perf_counter(), []
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_seq2seq", *command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while process.poll() is None:
        memory.append(resident(process.pid))
        if limit is not None and time.perf_counter() - begin > limit:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return time.perf_counter() - begin, memory, False
        time.sleep(0.1)
    if process.returncode:
        raise click.ClickException((process.stderr or sys.stdin).read()[-500:].decode())
    return time.perf_counter() - begin, memory, True


def killed(command: Sequence[str], kills: int, seconds: float, resumed: Sequence[str]) -> int:
    """Runs to the end with so many kills at random times; how many there were."""
    made, done = random.Random(1), 0
    for number in range(kills + 1):
        # Every start takes its seconds again: few kills come before the first line.
        limit = made.uniform(3, 3 + 1.5 * seconds / kills) if number < kills else None
        if run([*command, *(resumed if number else ())], limit)[2]:
            return done
        done += 1
    return done


def growth(memory: list[float]) -> float:
    fifth = max(1, len(memory) // 5)
    early, late = memory[fifth : 2 * fifth] or memory, memory[-fifth:]
    return statistics.median(late) - statistics.median(early)


def sources_of(content: bytes) -> list[str]:
    return [line.split("\t")[0] for line in content.decode().splitlines()]


def draw(found: dict[str, dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3), layout="constrained")
    for what, row in found.items():
        memory = row["memory"]
        step = row["seconds"] / len(memory)
        axes.plot([step * i for i in range(len(memory))], memory, label=what)
    axes.set(xlabel="seconds", ylabel="resident MB", ylim=(0, None))
    axes.legend()
    figure.savefig(path)


@click.command()
@click.option("--lines", default=100_000, show_default=True)
@click.option("--kills", default=10, show_default=True)
@click.option("--engine", type=click.Choice(["keras", "xla"]), default="keras")
@click.option("--json", "json_file", type=click.Path(path_type=Path))
@click.option("--plot", type=click.Path(path_type=Path), help="Resident memory, a picture.")
@click.argument("beam", nargs=-1, type=click.UNPROCESSED)
def main(
    lines: int,
    kills: int,
    engine: str,
    json_file: Path | None,
    plot: Path | None,
    beam: tuple[str, ...],
) -> None:
    """Kill and repeat."""
    from benchmarks.generate_file import make_run

    words = words_of(lines)
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_run(folder / "run", "transformer", 32, [*words[:200], "a" * 12])
        (folder / "in").mkdir()
        (folder / "words.txt").write_text("".join(f"{word}\n" for word in words))
        for shard in range(SHARDS):
            own = words[shard * lines // SHARDS : (shard + 1) * lines // SHARDS]
            text = "".join(f"{word}\n" for word in own)
            (folder / "in" / f"{shard}.txt").write_text(text)
        options = ["--engine", engine, "--max-length-ratio", "1"]

        def one(out: str) -> list[str]:
            file = [str(folder / "words.txt"), "--output", str(folder / out)]
            return ["generate", str(folder / "run"), "--file", *file, *options]

        def many(out: str) -> list[str]:
            places = [str(folder / "run"), str(folder / "in" / "*.txt"), str(folder / out)]
            return ["generate-files", *options, *places, *(["--", *beam] if beam else [])]

        def answers(path: Path) -> bytes:
            parts = [path] if path.is_file() else sorted(path.glob("*.tsv"))
            return b"".join(part.read_bytes() for part in parts)

        for what, command, resumed in [
            ("generate", one, ["--resume"]),
            ("generate-files", many, []),
        ]:
            seconds, memory, _ = run(command(f"{what}-whole"), None)
            count = killed(command(f"{what}-killed"), kills, seconds, resumed)
            whole, again = (answers(folder / f"{what}-{end}") for end in ("whole", "killed"))
            found[what] = {
                "lines": lines,
                "seconds": seconds,
                "lines a second": lines / seconds,
                "peak MB": max(memory),
                "growth MB": growth(memory),
                "kills": count,
                "in order, each once": sources_of(again) == words,
                "as unkilled": again == whole,
                "memory": memory[:: max(1, len(memory) // 200)],
            }
    table = Table(title=f"{lines} lines, {engine}{' on Beam' if beam else ''}")
    columns = [key for key in found["generate"] if key != "memory"]
    for column in ("command", *columns):
        table.add_column(column)
    for what, row in found.items():
        shown = (row[key] for key in columns)
        table.add_row(what, *(f"{v:.1f}" if isinstance(v, float) else str(v) for v in shown))
    Console(width=140).print(table)
    if json_file:
        json_file.write_text(json.dumps(found))
    if plot:
        draw(found, plot)
    if not all(row["in order, each once"] for row in found.values()):
        raise click.ClickException("Lines are missing, or there twice.")


if __name__ == "__main__":
    main()
