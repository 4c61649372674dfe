"""TFLite (LiteRT) file for devices: ids in, ids out, builtin operations only."""

import json
import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq
from keras_seq2seq.settings import GenerationSettings

from .artefact import write_new
from .signatures import IdSignatures, describe

QUANTIZATIONS = ("float32", "int8")


def convert(
    model: Seq2Seq, settings: GenerationSettings | None = None, quantization: str = "float32"
) -> bytes:
    """Converts a model to the bytes of a `.tflite` file.

    Three signatures share one copy of the weights: `serving_default` runs the whole loop,
    `encode` and `decode_step` are for hosts that run the loop themselves. Batch 1; the
    source length is free.

    Args:
        model: The model.
        settings: The generation of `serving_default`. Defaults to greedy.
        quantization: `"float32"`, or `"int8"` for weights of 8 bits with activations that
            are quantized at run time (dynamic range).

    Raises:
        ValueError: If `quantization` is unknown.
        InputError: If the settings sample, or do not fit the model.
        RuntimeError: If the file would need operations beyond the builtin ones.
    """
    if quantization not in QUANTIZATIONS:
        raise ValueError(
            f"`quantization` must be one of {QUANTIZATIONS}. Received: {quantization!r}."
        )
    settings = settings or GenerationSettings()
    if settings.sample:
        raise InputError(
            "Sampling cannot be exported to TFLite, which has no seeded random numbers. Export "
            "a search, or export sampling as a SavedModel."
        )
    # A fixed batch: recurrent layers convert to builtin operations only then.
    signatures = IdSignatures(model, settings, batch_size=1)
    archive = keras.export.ExportArchive()
    archive.track(model)
    functions = signatures.functions()
    for name, function in functions.items():
        archive.add_endpoint(name, function)
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=list(functions)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if quantization == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        content = converter.convert()
    if b"Flex" in content:
        raise RuntimeError(
            "The converted model needs TensorFlow operations (Flex), which LiteRT does not run."
        )
    return content


def export_tflite(
    model: Seq2Seq,
    path: str | Path,
    settings: GenerationSettings | None = None,
    quantization: str = "float32",
) -> None:
    """Writes a folder for a device: `model.tflite`, both vocabularies and `signatures.json`.

    Args:
        model: Model with a preprocessor.
        path: New folder.
        settings: The generation of `serving_default`. Defaults to greedy.
        quantization: `"float32"` or `"int8"`; see `convert`.

    Raises:
        InputError: If `path` exists or the settings do not fit the model.
    """
    settings = settings or GenerationSettings()
    content = convert(model, settings, quantization)

    def write(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "model.tflite").write_bytes(content)
        preprocessor = model.preprocessor
        for name in ("source", "target"):
            vocabulary = getattr(preprocessor, f"{name}_tokenizer").get_vocabulary()
            text = "".join(f"{token}\n" for token in vocabulary)
            (folder / f"{name}_vocabulary.txt").write_text(text, "utf-8")
        description = describe(model, settings, quantization, list(IdSignatures.NAMES))
        (folder / "signatures.json").write_text(json.dumps(description, indent=2), "utf-8")

    write_new(Path(path), write)
