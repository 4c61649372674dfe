"""What a setting gives for a voice that was never heard: spoken digits, each speaker but the
test speaker held out in turn.

    python benchmarks/held_out_speakers.py recordings.tar.gz
    python benchmarks/held_out_speakers.py recordings.tar.gz --set added_noise=0.3 --seed 2

The recipe `fsdd` in small: 1,500 strings of one or two digits of two speakers to train on, 300
of the third to judge, greedy, the mean of the last three of 9 epochs, one thread. Without
`--set` the sources are not changed, nor their range limited.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

EPOCHS, LAST = 9, 3


@click.command(help=__doc__)
@click.argument("recordings", type=click.Path(exists=True, path_type=Path))
@click.option("--set", "settings", multiple=True, help="NAME=VALUE of the recipe's settings.")
@click.option("--seed", default=1, show_default=True)
def main(recordings: Path, settings: tuple[str, ...], seed: int) -> None:
    from rich.console import Console

    from keras_seq2seq.data import Splits
    from keras_seq2seq.training.recipes import fsdd
    from keras_seq2seq.training.run.trainer import train
    from keras_seq2seq.training.run_directory import RunDirectory

    given = dict(setting.split("=", 1) for setting in settings)
    config = fsdd.CONFIG.replace(
        **{
            "epochs": EPOCHS,
            "seed": seed,
            "intra_op_threads": 1,
            "num_buckets": 3,
            "max_source_length": 3 * fsdd.SAMPLE_RATE,
            "added_noise": 0.0,
            "dynamic_range": 0.0,
            **{name: json.loads(value) for name, value in given.items()},
        }
    )
    heard = fsdd.read_recordings(recordings)
    del heard[fsdd.TEST_SPEAKER]
    means = []
    for speaker in heard:
        others = {name: heard[name] for name in heard if name != speaker}
        splits = Splits(
            fsdd.join_digits(others, 1500, "train", 1, 2),
            fsdd.join_digits({speaker: heard[speaker]}, 300, "held", 1, 2),
            fsdd.join_digits(others, 20, "known", 1, 2),
        )
        begin = time.process_time()
        with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
            run = Path(folder) / "run"
            train(config, splits, RunDirectory(run), Console(file=nowhere))
            lines = (run / "history.jsonl").read_text().splitlines()
        errors = [100 * json.loads(line)["val_token_error_rate"] for line in lines[-LAST:]]
        means.append(sum(errors) / len(errors))
        seconds = time.process_time() - begin
        print(
            f"{speaker:10} {means[-1]:.1f} % wrong, {seconds:.0f} s of the processor",
            flush=True,
        )
    print(f"{'mean':10} {sum(means) / len(means):.1f} %")


if __name__ == "__main__":
    main()
