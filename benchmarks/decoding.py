"""What decoding costs: tokens per second, and the loop's own share of a step.

    python benchmarks/decoding.py --size base --batch 32 --beam 5 --json decoding.json

Weights are random and lengths forced: 25 source and 25 target tokens. With one thread the
time of the process counts, with more that of the clock. For each size, batch
and beam it times four things, one after the other in turns, and takes medians:

- `decode`: encoder and search, as `model.decode` runs it;
- `encode`: the encoder and the first state;
- `step`: the decoder's step alone, 25 times in a bare loop that chooses nothing;
- `products`: the step's matrix products with its weights alone.

The loop's own share is `1 - step / ((decode - encode) / 25)`: choosing, keeping and
reordering hypotheses.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.workloads import LENGTH, WORKLOADS, build_model  # noqa: E402


def functions_of(model: Any, batch: int, beam: int, seed: int) -> dict[str, Callable]:
    """The four things to time, as traced functions of no arguments."""
    import keras
    import tensorflow as tf

    from keras_seq2seq.decoding import BeamSearch, GreedySearch, SuppressTokens

    rng = tf.random.Generator.from_seed(seed)
    ids = rng.uniform([batch, LENGTH], 4, model.decoder.vocabulary_size, tf.int32)
    strategy = GreedySearch(model.end_id) if beam == 1 else BeamSearch(beam, model.end_id)
    # No end: every target has the greatest length.
    rules = [SuppressTokens([0, model.start_id, model.end_id])]
    rows = batch * beam

    def scope():
        weights = [(weight, tf.convert_to_tensor(weight)) for weight in model.weights]
        return keras.StatelessScope(state_mapping=weights)

    @tf.function(autograph=False)
    def decode(ids):
        return model.decode({"encoder_token_ids": ids}, strategy, LENGTH, rules)

    @tf.function(autograph=False)
    def encode(ids):
        with scope():
            return model.encode({"encoder_token_ids": ids})

    state = {name: tf.repeat(tensor, beam, axis=0) for name, tensor in encode(ids).items()}
    token = rng.uniform([rows], 4, model.decoder.vocabulary_size, tf.int32)
    changing = sorted(model.step(token, state)[1])

    @tf.function(autograph=False)
    def step(token, state):
        def body(time, total, changed):
            logits, changed = model.step(token, {**state, **changed})
            # Something of the result is used, so that nothing is left out.
            return time + 1, total + logits[0, 0], changed

        with scope():
            first = {name: state[name] for name in changing}
            variables = (tf.constant(0), tf.constant(0.0), first)
            return tf.while_loop(lambda time, *_: time < LENGTH, body, variables)[1]

    kernels = [
        weight
        for weight in model.decoder_model.weights
        if len(weight.shape) == 2 and "embedding" not in weight.path
    ]
    inputs = [rng.normal([rows, kernel.shape[0]]) for kernel in kernels]

    @tf.function(autograph=False)
    def products(inputs):
        constants = [tf.convert_to_tensor(kernel) for kernel in kernels]

        def body(time, total):
            shift = tf.cast(time, tf.float32)
            for one, kernel in zip(inputs, constants, strict=True):
                total += ((one + shift) @ kernel)[0, 0]
            return time + 1, total

        return tf.while_loop(
            lambda time, _: time < LENGTH, body, (tf.constant(0), tf.constant(0.0))
        )[1]

    return {
        "decode": lambda: decode(ids).token_ids.numpy(),
        "encode": lambda: next(iter(encode(ids).values())).numpy(),
        "step": lambda: step(token, state).numpy(),
        "products": lambda: products(inputs).numpy(),
    }


def measure(
    functions: dict[str, Callable], seconds: float, clock: Callable[[], float]
) -> dict[str, float]:
    """Median seconds of each, timed in turns, so that a busy moment meets all alike."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()  # Tracing is no part of the time.
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["decode"]) < 3:
        for name, function in functions.items():
            begin = clock()
            function()
            times[name].append(clock() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def describe(
    size: str, batch: int, beam: int, times: dict[str, float], runs: dict[str, Any]
) -> dict[str, Any]:
    """A row of the result: milliseconds a step, tokens a second (of the best hypothesis)."""
    whole = (times["decode"] - times["encode"]) / LENGTH
    step = times["step"] / LENGTH
    return {
        "size": size,
        "batch": batch,
        "beam": beam,
        "tokens_per_second": round(batch * LENGTH / times["decode"], 1),
        "encode_ms": round(1000 * times["encode"], 2),
        "whole_step_ms": round(1000 * whole, 3),
        "step_ms": round(1000 * step, 3),
        "products_ms": round(1000 * times["products"] / LENGTH, 3),
        "loop_share": round(1 - step / whole, 3),
        **runs,
    }


@click.command()
@click.option("--size", "sizes", multiple=True, type=click.Choice(list(WORKLOADS)))
@click.option("--batch", "batches", multiple=True, type=click.IntRange(1))
@click.option("--beam", "beams", multiple=True, type=click.IntRange(1))
@click.option("--seconds", default=10.0, show_default=True, help="Of measuring a row.")
@click.option("--threads", default=2, show_default=True, help="Of TensorFlow.")
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Rows as JSON too.")
def main(
    sizes: Sequence[str],
    batches: Sequence[int],
    beams: Sequence[int],
    seconds: float,
    threads: int,
    seed: int,
    json_file: Path | None,
) -> None:
    """Time greedy (beam 1) and beam search.

    By default every size, batch 1, 32 and 128, beam 1 and 5.
    """
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    # What others do on the machine hardly changes the time of one thread.
    clock = time.process_time if threads == 1 else time.perf_counter
    rows = []
    for size in sizes or WORKLOADS:
        keras.utils.set_random_seed(seed)
        model = build_model(size)
        for batch in batches or (1, 32, 128):
            for beam in beams or (1, 5):
                times = measure(functions_of(model, batch, beam, seed), seconds, clock)
                rows.append(describe(size, batch, beam, times, {"threads": threads}))
                click.echo(json.dumps(rows[-1]))
    if json_file:
        json_file.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
