"""What `FusedLSTM` gains over `keras.layers.LSTM`: forward and backward, in turns.

    python benchmarks/lstm.py
    python benchmarks/lstm.py --shape 64,25,256,512 --seconds 10

A shape is batch, steps, size of the inputs and units. Medians of the process's own time with
one thread, which other work on the machine disturbs little; the gradients are those of all
weights and of the inputs, rows are padded to different lengths.
"""

import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SHAPES = ["32,10,128,256", "64,25,256,512", "128,50,128,128"]


def training_step(layer: Any, inputs: Any, mask: Any) -> Any:
    """A traced function that returns the gradients of the layer."""
    import tensorflow as tf

    layer.build(inputs.shape)

    @tf.function(jit_compile=False)
    def step():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_mean(tf.square(layer(inputs, mask=mask, training=True)))
        return tape.gradient(loss, [inputs, *layer.trainable_variables])

    return step


def compare(shape: str, seconds: float) -> dict[str, float]:
    """Median seconds a step of each layer."""
    import keras
    import tensorflow as tf

    from keras_seq2seq.layers import FusedLSTM

    batch, steps, features, units = (int(part) for part in shape.split(","))
    inputs = tf.random.stateless_normal([batch, steps, features], [1, 2])
    lengths = tf.random.stateless_uniform([batch], [3, 4], 1, steps + 1, tf.int32)
    mask = tf.sequence_mask(lengths, steps)
    functions, times = {}, {}
    for layer in (keras.layers.LSTM, FusedLSTM):
        name = layer.__name__
        functions[name] = training_step(layer(units, return_sequences=True), inputs, mask)
        functions[name]()
        times[name] = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or len(times["LSTM"]) < 5:
        for name, function in functions.items():
            start = time.process_time()
            function()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


@click.command()
@click.option("--shape", "shapes", multiple=True, default=SHAPES, show_default=True)
@click.option("--seconds", default=10.0, show_default=True, help="Of timed calls, a shape.")
def main(shapes: tuple[str, ...], seconds: float) -> None:
    """Time one training step of both layers."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for shape in shapes:
        median = compare(shape, seconds)
        print(
            f"batch, steps, inputs, units {shape}: Keras {1000 * median['LSTM']:.1f} ms, "
            f"fused {1000 * median['FusedLSTM']:.1f} ms, "
            f"{median['LSTM'] / median['FusedLSTM']:.2f} times as fast"
        )


if __name__ == "__main__":
    main()
