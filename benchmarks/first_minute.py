"""What the first minute costs: import, the first answer of a process, exports.

    python benchmarks/first_minute.py
    python benchmarks/first_minute.py --other ../another_checkout --rounds 5

Processor seconds (user and system) of processes that start from nothing, by turns with another
checkout, which has its own `.venv`; the least of the rounds, since other work only adds. An
older checkout reads no newer models: give a folder of its own with --made, of `run/` and
`WORKLOAD.keras`.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

WORD = ["hello", "--max-length-ratio", "1"]  # As long as words are when a model is trained.
EXPORT = """
import sys
from pathlib import Path
from keras_seq2seq.export import export_saved_model, export_tflite
from keras_seq2seq.models import load_model
model = load_model(sys.argv[1])
export_saved_model(model, Path(sys.argv[2]) / "saved_model")
export_tflite(model, Path(sys.argv[2]) / "tflite", quantization="int8")
"""


def make_runs(folder: Path, names: list[str]) -> None:
    """A run of the model of `generate_file.py`, and the models of workloads, random weights."""
    from benchmarks.generate_file import make_run
    from benchmarks.workloads import build_model

    words = ["hello", "worlds", "abcdefghijklmnopqrstuvwxyz"]
    make_run(folder / "run", "transformer", 64, words)
    for name in names:
        build_model(name, with_text=True).save(folder / f"{name}.keras")


def measure(checkout: Path, arguments: list[str]) -> tuple[float, float]:
    """Processor seconds and seconds of the clock of a new process."""
    python = checkout / ".venv" / "bin" / "python"
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [str(python) if python.exists() else sys.executable, *arguments],
        cwd=checkout,
        capture_output=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=False,
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise click.ClickException(f"{checkout}: {done.stderr.decode()[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, seconds


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--export", "exported", multiple=True, help="Workload to export, such as tiny.")
@click.option("--made", type=click.Path(path_type=Path), help="Folder of models.")
@click.option("--other", type=click.Path(path_type=Path), help="Another checkout.")
def main(rounds: int, exported: tuple[str, ...], made: Path | None, other: Path | None) -> None:
    """Measure the first minute."""
    checkouts = [ROOT] if other is None else [other.resolve(), ROOT]
    best: dict[tuple[str, Path], tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        models = made.resolve() if made else Path(folder)
        if made is None:
            make_runs(models, list(exported))
        works = {
            "import keras_seq2seq.models": ["-c", "import keras_seq2seq.models"],
            "generate RUN hello": ["-m", "keras_seq2seq", "generate", f"{models}/run", *WORD],
        }
        for name in exported:
            works[f"export {name}"] = ["-c", EXPORT, f"{models}/{name}.keras"]
        for turn in range(rounds):
            for what, arguments in works.items():
                for checkout in checkouts:
                    out = [f"{folder}/{what}{turn}{checkout.name}"] if "export" in what else []
                    found = measure(checkout, [*arguments, *out])
                    key = what, checkout
                    best[key] = min(found, best.get(key, found))
    table = Table(title=f"the least of {rounds} rounds")
    for column in ("work", "checkout", "CPU s", "clock s", "ratio of CPU"):
        table.add_column(column)
    for (what, checkout), (cpu, seconds) in best.items():
        ratio = cpu / best[what, checkouts[0]][0]
        table.add_row(what, checkout.name, f"{cpu:.2f}", f"{seconds:.2f}", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
