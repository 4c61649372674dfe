"""What the machine could do at best: matrix products, memory, and the bound of a workload.

    python benchmarks/limits.py --threads 1

The bound of a step is the longer of two times: its products at the measured rate, and its
weights read at the bandwidth of one thread that was measured with as many bytes.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.workloads import WORKLOADS  # noqa: E402

MOST_BYTES = 256 << 20  # Read in one measurement, at least.


def product_rate(threads: int) -> float:
    """Floating-point operations a second of a large float32 product, the best of ten."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    size = 2048
    left, right = (tf.random.stateless_normal((size, size), (0, seed)) for seed in (1, 2))
    product = tf.function(lambda: tf.reduce_sum(left @ right))
    return 2 * size**3 / _fastest(lambda: product().numpy(), 10)


def bandwidth(size: int) -> float:
    """Bytes a second read by one thread from an array of so many bytes, the best of ten."""
    array = np.ones(size // 4, np.float32)
    repeats = max(1, MOST_BYTES // size)

    def read():
        for _ in range(repeats):
            array.max()

    return size * repeats / _fastest(read, 10)


def bound(
    name: str, batch: int, beam: int, rates: dict[str, float], byte_size: int = 4
) -> float:
    """Tokens a second of the best hypothesis at most, from the time of a step."""
    parts = WORKLOADS[name].multiply_adds()
    rows = batch * beam
    operations = 2 * rows * (parts["decoder"] + parts["logits"])
    operations += 2 * batch * parts["encoder"]  # As many source tokens as steps.
    weights = byte_size * parts["weights"]
    return batch / max(operations / rates["flop_s"], weights / rates[_reading(weights)])


def _reading(weights: float) -> str:
    """The rate at which so many bytes are read; a cache, shared or not, keeps some of them."""
    return f"read_{max(1, round(weights / 2**20))}_mb_s"


def training_bound(name: str, rates: dict[str, float]) -> float:
    """Target tokens a second of training at most: three times the products of a pass."""
    parts = WORKLOADS[name].multiply_adds()
    per_token = parts["encoder"] + parts["decoder"] + parts["logits"]
    return rates["flop_s"] / (3 * 2 * per_token)


def measure_rates(threads: int) -> dict[str, float]:
    """`flop_s`, and `read_25_mb_s` and so on: bytes a second, for the weights of each workload
    in 1, 2 and 4 bytes."""
    weights = [one.multiply_adds()["weights"] for one in WORKLOADS.values()]
    sizes = sorted({size * each for each in weights for size in (1, 2, 4)})
    return {
        "flop_s": product_rate(threads),
        **{_reading(size): bandwidth(int(size)) for size in sizes},
    }


def _fastest(function: Any, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return min(times)


@click.command()
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
def main(threads: int) -> None:
    """Measure the machine's rates and print the bound of each workload."""
    rates = measure_rates(threads)
    click.echo(json.dumps({"threads": threads, **rates}))
    for name in WORKLOADS:
        for batch in (1, 32, 128):
            for beam in (1, 5):
                tokens = bound(name, batch, beam, rates)
                click.echo(f"{name:5} batch {batch:3} beam {beam}: {tokens:12,.0f} tokens/s")
        click.echo(f"{name:5} training: {training_bound(name, rates):12,.0f} tokens/s")


if __name__ == "__main__":
    main()
