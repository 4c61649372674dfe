"""One workload on one engine in a process of its own: tokens a second, as one line of JSON.

    python benchmarks/speed.py --workload tiny --variant litert-int8 --threads 1

Decoding goes from strings to strings (LiteRT: a file that was exported for the batch), the
best hypothesis counted; training is `model.fit`, of ids (`fit`) or of strings through the input
pipeline (`pipeline`). Lengths are forced: 25 tokens in, 25 out. A model is exported once into
`--artefacts` and found there by the next process.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.timing import describe_process, measure  # noqa: E402
from benchmarks.workloads import LENGTH, WORKLOADS, build_model, made_up_lines  # noqa: E402

LITERT = {f"litert-{kind}": kind for kind in ("float32", "float16", "int8")}
DECODE = ("keras", "keras-xla", "saved_model", "saved_model-xla", "c_api", *LITERT)
TRAIN = ("fit", "pipeline", "fit-jit")
# Batches of one timed call of `fit`: its own start is no part of a step.
STEPS = 4


def settings(beam: int, **changes: Any) -> Any:
    """Search of a given beam that forces the greatest length."""
    from keras_seq2seq.settings import GenerationSettings

    return GenerationSettings(
        num_beams=beam, min_length=LENGTH - 1, max_length=LENGTH - 1, **changes
    )


def artefact(workload: str, variant: str, beam: int, folder: Path, batch: int = 1) -> Path:
    """The exported model; exports it where it is not there yet. LiteRT's is for a batch."""
    kind = LITERT.get(variant)
    is_compiled = variant == "saved_model-xla"
    engine = kind or ("saved_model-xla" if is_compiled else "saved_model")
    path = folder / f"{workload}-beam{beam}-{engine}"
    if kind and batch > 1:
        path = path.with_name(f"{path.name}-batch{batch}")
    if not path.exists():
        from export import export_saved_model, export_tflite
        from keras_seq2seq.decoding import num_threads

        model = build_model(workload, with_text=True)
        if kind is None:
            threads = num_threads() if is_compiled else 0
            export_saved_model(model, path, settings(beam), xla_threads=threads)
        else:
            export_tflite(model, path, settings(beam), kind, batch_size=batch)
    return path


def decoder(workload: str, variant: str, batch: int, beam: int, threads: int, folder: Path):
    """A function that decodes one batch, and what else is worth knowing."""
    lines = made_up_lines(workload, batch, seed=0)
    if variant.startswith("keras"):
        model = build_model(workload, with_text=True)
        search, jit = settings(beam), variant == "keras-xla"
        return lambda: model.generate(lines, search, jit_compile=jit), {}
    path = artefact(workload, variant, beam, folder, batch)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    begin = time.perf_counter()
    run: Callable[[], Any]
    if variant in LITERT:
        from export.litert_runner import LiteRTRunner

        runner = LiteRTRunner(path, threads)

        def run():
            return runner.generate_all(lines)

    elif variant.startswith("saved_model"):
        import tensorflow as tf

        loaded = tf.saved_model.load(str(path))
        serve = loaded.signatures["serving_default"]
        text = tf.constant(lines)

        def run():
            return serve(text=text)["text"].numpy()

    else:
        import tensorflow as tf

        from benchmarks.c_session import CSession

        output = _tensor_name(path, "text")
        session = CSession(Path(tf.sysconfig.get_lib()), path)

        def run():
            return session.run({"serving_default_text:0": lines}, [output])

    return run, {"load_s": time.perf_counter() - begin, "size_mb": size / 1e6}


def _tensor_name(path: Path, output: str) -> str:
    """Name of an output's tensor in the graph of `serving_default`."""
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    return proto.meta_graphs[0].signature_def["serving_default"].outputs[output].name


def trainer(workload: str, variant: str, batch: int):
    """A function that trains for `STEPS` batches."""
    import tensorflow as tf

    from keras_seq2seq.data import training_data
    from keras_seq2seq.data.dataset import untuned
    from keras_seq2seq.optimizers import FusedAdam

    model = build_model(workload, with_text=variant == "pipeline")
    model.compile(FusedAdam(1e-4), jit_compile=variant == "fit-jit")
    if variant == "pipeline":
        lines = made_up_lines(workload, batch * STEPS, seed=0)
        data = training_data(model.preprocessor, lines, lines[::-1], batch_size=batch)
        iterator = iter(data.dataset)
        # `fit` would start the pipeline anew at every call.
        return lambda: [model.train_on_batch(*next(iterator)) for _ in range(STEPS)], {}
    random = np.random.default_rng(0)
    most = WORKLOADS[workload].vocabulary_size
    source, target = random.integers(4, most, (2, batch * STEPS, LENGTH), dtype=np.int32)
    inputs = {"encoder_token_ids": source, "decoder_token_ids": np.roll(target, 1, axis=1)}
    # Not of arrays: their pipeline tunes itself.
    data = untuned(tf.data.Dataset.from_tensor_slices((inputs, target)).batch(batch))

    def run():
        model.fit(data, epochs=1, verbose=0)

    return run, {"parameters": model.count_params()}


@click.command()
@click.option("--workload", type=click.Choice(list(WORKLOADS)), default="tiny")
@click.option("--mode", type=click.Choice(["decode", "train"]), default="decode")
@click.option("--variant", type=click.Choice([*DECODE, *TRAIN]), default="keras")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True)
@click.option("--beam", type=click.IntRange(1), default=1, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@click.option("--min-time", default=3.0, show_default=True, help="Seconds of timed calls.")
@click.option("--min-reps", default=5, show_default=True, help="Timed calls at least.")
@click.option("--max-time", default=60.0, show_default=True, help="Seconds at most.")
@click.option("--artefacts", type=click.Path(path_type=Path), help="Folder of exports.")
@click.option("--out", type=click.Path(path_type=Path), help="File to append the line to.")
@click.option("--note", default="")
def main(
    workload: str,
    mode: str,
    variant: str,
    batch: int,
    beam: int,
    threads: int,
    min_time: float,
    min_reps: int,
    max_time: float,
    artefacts: Path | None,
    out: Path | None,
    note: str,
) -> None:
    """Time one workload on one engine."""
    if variant not in (TRAIN if mode == "train" else DECODE):
        raise click.UsageError(f"--mode {mode} has no --variant {variant}.")
    if variant not in LITERT:  # Needs no TensorFlow, unless its file has to be made first.
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    with tempfile.TemporaryDirectory() as scratch:
        if mode == "train":
            run, extra = trainer(workload, variant, batch)
        else:
            run, extra = decoder(
                workload, variant, batch, beam, threads, artefacts or Path(scratch)
            )
        times = measure(run, seconds=min_time, least=min_reps, most=max_time)
    tokens = batch * LENGTH * (STEPS if mode == "train" else 1)
    row = {
        "peer": "keras_seq2seq",
        "workload": workload,
        "mode": mode,
        "variant": variant,
        "batch": batch,
        "beam": beam,
        "threads": threads,
        "src_len": LENGTH,
        "tgt_len": LENGTH,
        "tok_s": tokens / times["wall_s"],
        "tok_cpu_s": tokens / times["cpu_s"],
        "note": note,
        "when": time.strftime("%Y-%m-%d %H:%M:%S"),
        **times,
        **extra,
        **describe_process(),
    }
    line = json.dumps(
        {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()}
    )
    click.echo(line)
    if out:
        with out.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
