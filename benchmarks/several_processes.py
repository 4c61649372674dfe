"""Do two processes on this machine train as one, through kills and with other options?

    python -m benchmarks.several_processes
    python -m benchmarks.several_processes --only equal

On JAX, words of 2 to 7 letters and the same backwards (seed 1). Of each model the validation
losses and the weights of two processes are compared with those of one: with a batch by tokens,
accumulation and an average of the weights, and in mixed precision. Then one of two processes
gets SIGKILL at five moments (before the processes meet, before the first epoch, after
epochs 2, 6 and 10 of 12), the other must end by itself, and the same command in both must
end as if nothing had been. At last what goes with other options: `--from`, packed data,
validation within an epoch, decoded error rates, and one process that resumes what two began.
"""

import argparse
import contextlib
import functools
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SIZES = {
    "recurrent": "--architecture recurrent --hidden-dim 12 --embedding-dim 8",
    "transformer": "--architecture transformer --hidden-dim 16 --num-heads 2 --num-layers 1",
}
COMMON = "--monitor loss --num-buckets 1 --dropout 0 --seed 1 --warmup-steps 2"
TOKENS = "--batch-tokens 200 --gradient-accumulation 2 --ema 0.9"
MIXED = "--batch-size 30 --precision mixed_bfloat16"
# Seconds within which a process ends after another has gone.
BOUND = 90.0


class Runs:
    """Trainings in a folder, whose processes share what JAX has compiled."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.data = folder / "pairs.tsv"
        made = random.Random(1)
        words = {"".join(made.choices("abcdefgh", k=made.randint(2, 7))) for _ in range(420)}
        lines = [f"{word}\t{' '.join(reversed(word.upper()))}\n" for word in sorted(words)]
        self.data.write_text("".join(lines))

    def start(
        self, name: str, options: str, data: Sequence[Path] = (), **variables: str
    ) -> subprocess.Popen:
        command = [
            "train",
            *map(str, data or [self.data]),
            "--run-dir",
            str(self.folder / name),
        ]
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "keras_seq2seq",
                *command,
                *COMMON.split(),
                *options.split(),
            ],
            env=self.environment(**variables),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def environment(self, **variables: str) -> dict[str, str]:
        return {
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            # A process whose other was killed before they met need not wait for minutes.
            "KERAS_SEQ2SEQ_WAIT_SECONDS": "60",
            **variables,
        }

    def two(self, name: str, options: str, data: Sequence[Path] = ()) -> list[subprocess.Popen]:
        variables = two_processes()
        return [self.start(name, f"{options} --distribute", data, **one) for one in variables]

    def history(self, name: str) -> list[dict[str, float]]:
        text = (self.folder / name / "history.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def epochs(self, name: str) -> int:
        """Those that are recorded; -1 if the run has no folder."""
        folder = self.folder / name
        if (folder / "history.jsonl").exists():
            return len(self.history(name))
        return 0 if folder.exists() else -1

    def wait(self, name: str, epochs: int) -> None:
        """Until a run has recorded so many epochs; for -1 three seconds, in which processes
        import and have not met."""
        end = time.perf_counter() + (3 if epochs < 0 else 300)
        while time.perf_counter() < end and (epochs < 0 or self.epochs(name) < epochs):
            time.sleep(0.02)

    def losses(self, name: str) -> list[float]:
        return [epoch["val_loss"] for epoch in self.history(name)]


def two_processes() -> list[dict[str, str]]:
    """Variables of two processes that meet at a free port."""
    with socket.socket() as free:
        free.bind(("", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return [
        {
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
            "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
            "KERAS_DISTRIBUTION_PROCESS_ID": str(index),
        }
        for index in (0, 1)
    ]


def ended(*processes: subprocess.Popen) -> None:
    for process in processes:
        _, errors = process.communicate(timeout=900)
        if process.returncode:
            raise SystemExit(f"status {process.returncode}: {errors[-600:]}")


def difference(one: Sequence[float], other: Sequence[float]) -> float:
    if len(one) != len(other):
        raise SystemExit(f"{len(one)} and {len(other)} epochs")
    return max(abs(a - b) / abs(a) for a, b in zip(one, other, strict=True))


def say(what: str, found: float, most: float) -> bool:
    print(f"{what:60} {found:.1e}  {'yes' if found <= most else 'NO'}", flush=True)
    return found <= most


def both(runs: Runs, works: Sequence[tuple[str, str, str]]) -> bool:
    """Compares the validation losses of two processes with those of one, for each
    `(name, options, data)`: all works in the same three processes, which import once."""
    jobs = []
    for name, options, data in works:
        command = ["train", data or str(runs.data), "--run-dir", str(runs.folder / name)]
        jobs.append([*command, *COMMON.split(), *options.split()])
    file = runs.folder / "jobs.json"
    file.write_text(json.dumps(jobs))
    begin = [sys.executable, "-m", "benchmarks.several_processes", "--work", str(file)]
    ended(subprocess.Popen(begin, env=runs.environment(), stderr=subprocess.PIPE, text=True))
    ended(
        *(
            subprocess.Popen(
                begin, env=runs.environment(**one), stderr=subprocess.PIPE, text=True
            )
            for one in two_processes()
        )
    )
    good = True
    for name, options, _ in works:
        found = difference(runs.losses(name), runs.losses(f"{name}-two"))
        good &= say(
            f"{name}: validation losses, two of one", found, 1e-3 if MIXED in options else 1e-6
        )
    return good


def work(file: Path) -> None:
    """Runs commands one after the other, in one process of several or alone."""
    from keras_seq2seq.cli import main as command
    from keras_seq2seq.cli.supervision import CHILD
    from keras_seq2seq.training.run import distribution

    is_alone = distribution.ADDRESSES not in os.environ
    os.environ[CHILD] = "1"
    # A process meets the others once.
    distribution._meet = functools.cache(distribution._meet)
    for arguments in json.loads(file.read_text()):
        if not is_alone:
            place = arguments.index("--run-dir") + 1
            arguments[place] += "-two"
            arguments.append("--distribute")
        with contextlib.redirect_stdout(io.StringIO()):
            # What a command refuses is its result here, not an exception.
            if status := command(arguments, standalone_mode=False):
                raise SystemExit(status)


def equal(runs: Runs) -> bool:
    return both(
        runs,
        [
            (f"{model} {kind}", f"{sizes} {options} --epochs 3", "")
            for model, sizes in SIZES.items()
            for kind, options in (("float32", TOKENS), ("mixed", MIXED))
        ],
    )


def kills(runs: Runs) -> bool:
    options = f"{SIZES['transformer']} {TOKENS} --epochs 12"
    ended(*runs.two("unkilled", options))
    good = True
    for number, epochs in enumerate((-1, 0, 2, 6, 10)):
        name, victim = f"killed-{number}", number % 2
        begin = time.perf_counter()
        processes = runs.two(name, options)
        runs.wait(name, epochs)
        seconds = time.perf_counter() - begin
        gone = processes[victim].poll() is not None
        processes[victim].send_signal(signal.SIGKILL)
        begin = time.perf_counter()
        _, errors = processes[1 - victim].communicate(timeout=900)
        took = time.perf_counter() - begin
        lines = [line for line in errors.splitlines() if line.startswith("error: ")]
        kept = runs.epochs(name)
        print(
            f"  killed process {victim} after {seconds:.0f} s with {kept} epochs"
            f"{' (it had ended)' if gone else ''}: the other ended after {took:.0f} s, status "
            f"{processes[1 - victim].returncode}, {lines[:1] or 'no line'}",
            flush=True,
        )
        processes[victim].communicate()
        good &= took < BOUND and len(lines) <= 1
        ended(*runs.two(name, options))
        found = difference(runs.losses("unkilled"), runs.losses(name))
        good &= say(f"kill {number + 1}: validation losses, repeated of unkilled", found, 1e-6)
    return good


def combinations(runs: Runs) -> bool:
    base = f"{SIZES['transformer']} --batch-size 30 --epochs 2"
    packed = str(runs.folder / "packed")
    pack = ["pack", str(runs.data), "--output", packed, "--shards", "2"]
    subprocess.run([sys.executable, "-m", "keras_seq2seq", *pack], check=True)
    good = both(
        runs,
        [
            ("base", base, ""),
            ("--from", f"--from {runs.folder / 'base'} --batch-size 30 --epochs 2", ""),
            ("packed data", base, packed),
            ("--evaluate-steps", f"{base} --evaluate-steps 5", ""),
            ("--schedule plateau", f"{base} --schedule plateau", ""),
            ("decoded", f"{base} --monitor token_error_rate", ""),
        ],
    )
    other = runs.folder / "other.tsv"
    other.write_text(runs.data.read_text().replace("a", "h"))
    kinds = two_processes()
    processes = [
        runs.start("refused", f"{base} --distribute", [data], **variables)
        for data, variables in zip((runs.data, other), kinds, strict=True)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=900)
        line = [line for line in errors.splitlines() if line.startswith("error: ")]
        good &= process.returncode == 2 and len(line) == 1 and "same data" in line[0]
        print(f"  other data: status {process.returncode}, {line}", flush=True)
    longer = base.replace("--epochs 2", "--epochs 3")
    ended(runs.start("base-two", longer), runs.start("base", longer))
    found = difference(runs.losses("base"), runs.losses("base-two"))
    return say("one process resumes what two began", found, 1e-6) and good


def main() -> None:
    parts = ["equal", "kills", "combinations"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work)
        return
    good = True
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(Path(folder))
        for part in arguments.only:
            good &= {"equal": equal, "kills": kills, "combinations": combinations}[part](runs)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
