"""What our layers gain over those of Keras: forward and backward, in turns.

    python benchmarks/layers.py
    python benchmarks/layers.py --case lstm:64,25,256,512 --case dropout:1600,2048

`lstm` is `FusedLSTM` beside `keras.layers.LSTM`, its shape batch, steps, size of the inputs and
units; rows are padded to different lengths. `dropout` is `ByteDropout` beside
`keras.layers.Dropout`, `norm` is our `LayerNormalization` beside
`keras.layers.LayerNormalization`, their shape that of the values. Medians of the process's own
time with one thread, which other work on the machine disturbs little; the gradients are those
of all weights and of the inputs.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


# Keras' layer and ours, the shape of their inputs, and what else they are called with.
Layers = tuple[list[Any], list[int], dict[str, Any]]


def lstm_layers(shape: list[int]) -> Layers:
    import keras
    import tensorflow as tf

    from keras_seq2seq.layers import FusedLSTM

    batch, steps, features, units = shape
    lengths = tf.random.stateless_uniform([batch], [3, 4], 1, steps + 1, tf.int32)
    layers = [kind(units, return_sequences=True) for kind in (keras.layers.LSTM, FusedLSTM)]
    return layers, [batch, steps, features], {"mask": tf.sequence_mask(lengths, steps)}


def dropout_layers(shape: list[int]) -> Layers:
    import keras

    from keras_seq2seq.layers import ByteDropout

    return [kind(0.1) for kind in (keras.layers.Dropout, ByteDropout)], shape, {}


def norm_layers(shape: list[int]) -> Layers:
    import keras

    from keras_seq2seq.layers import LayerNormalization

    kinds = keras.layers.LayerNormalization, LayerNormalization
    return [kind(epsilon=1e-6) for kind in kinds], shape, {}


LAYERS = {"lstm": lstm_layers, "dropout": dropout_layers, "norm": norm_layers}
CASES = (
    "lstm:32,10,128,256",
    "lstm:64,25,256,512",
    "lstm:128,50,128,128",
    "dropout:1600,128",
    "dropout:64,4,25,25",
    "dropout:1600,2048",
    "norm:64,25,128",
    "norm:64,25,512",
)


def training_step(layer: Any, inputs: Any, arguments: dict[str, Any]) -> Callable[[], Any]:
    """A traced function that returns the gradients of the layer."""
    import tensorflow as tf

    layer.build(inputs.shape)

    @tf.function(jit_compile=False)
    def step():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_mean(tf.square(layer(inputs, training=True, **arguments)))
        return tape.gradient(loss, [inputs, *layer.trainable_variables])

    return step


def compare(case: str, seconds: float) -> str:
    """Times both layers by turns, and says what came out."""
    import tensorflow as tf

    kind, _, shape = case.partition(":")
    if kind not in LAYERS:
        raise click.UsageError(f"A case is such as {CASES[0]}. Received: {case}.")
    layers, inputs_shape, arguments = LAYERS[kind]([int(size) for size in shape.split(",")])
    inputs = tf.random.stateless_normal(inputs_shape, [1, 2])
    functions = [training_step(layer, inputs, arguments) for layer in layers]
    for function in functions:
        function()
    times: list[list[float]] = [[] for _ in functions]
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or len(times[0]) < 5:
        for function, measured in zip(functions, times, strict=True):
            start = time.process_time()
            function()
            measured.append(time.process_time() - start)
    keras_time, our_time = (statistics.median(measured) for measured in times)
    return (
        f"{case}: Keras {1000 * keras_time:.2f} ms, ours {1000 * our_time:.2f} ms, "
        f"{keras_time / our_time:.2f} times as fast"
    )


@click.command()
@click.option("--case", "cases", multiple=True, default=CASES, help="Layer and shape.")
@click.option("--seconds", default=10.0, show_default=True, help="Of timed calls, a case.")
def main(cases: tuple[str, ...], seconds: float) -> None:
    """Time one training step of Keras' layers and of ours."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for case in cases:
        print(compare(case, seconds), flush=True)


if __name__ == "__main__":
    main()
