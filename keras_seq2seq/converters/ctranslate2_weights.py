"""The weights of a file of CTranslate2, into the layers of a model."""

import math
from typing import Any

import keras
import numpy as np

from keras_seq2seq.converters.ctranslate2_file import ModelFile
from keras_seq2seq.converters.ctranslate2_layout import (
    PROJECTION,
    SOURCE_EMBEDDING,
    TARGET_EMBEDDING,
)
from keras_seq2seq.converters.ctranslate2_reading import Reading
from keras_seq2seq.converters.ctranslate2_vocabulary import NEVER, Vocabulary
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import Seq2Seq


def assign_weights(
    reading: Reading, model: Seq2Seq, source: Vocabulary | None, target: Vocabulary
) -> None:
    """Gives the model its weights; without a source vocabulary those of the source are for the
    caller to assign."""
    layers = {layer.name: layer for layer in model.layers}
    for linear in reading.layout.linears():
        kernel = reading.file.weight(f"{linear.name}/weight").T
        bias = _bias(reading.file, linear.name, kernel.shape[1])
        scale = _query_scale(reading.file, linear.name) if linear.asks else 1.0
        end = 0
        for name in linear.layers:
            begin, end = end, end + layers[name].units
            own = [kernel[:, begin:end], bias[begin:end]][: len(layers[name].weights)]
            layers[name].set_weights([scale * weight for weight in own])
            scale = 1.0
        if end != kernel.shape[1]:
            raise InputError(f"{linear.name} has {kernel.shape[1]} outputs, not {end}.")
    for there, here in reading.norms():
        values = [reading.file.weight(f"{there}/gamma")]
        if f"{there}/beta" in reading.file:
            values.append(reading.file.weight(f"{there}/beta"))
        layers[here].set_weights(values)
    _assign_positions(reading, layers)
    if source is not None:
        embeddings = source.taken_from(reading.file.weight(SOURCE_EMBEDDING))
        layers["encoder_embedding"].set_weights([embeddings])
    if model.encoder.embedding is not model.decoder.embedding:
        embeddings = target.taken_from(reading.file.weight(TARGET_EMBEDDING))
        layers["decoder_embedding"].set_weights([embeddings])
    _assign_logits(reading, layers, target)


def _bias(file: ModelFile, name: str, size: int) -> np.ndarray:
    if f"{name}/bias" in file:
        return file.weight(f"{name}/bias")
    return np.zeros(size, np.float32)


def _query_scale(file: ModelFile, linear: str) -> float:
    """What queries are multiplied with beside the usual scale, which stays."""
    scale = file.scalar(f"{linear.rpartition('/')[0]}/queries_scale")
    if scale is None:
        return 1.0
    side = linear.partition("/")[0]
    inner = file[f"{side}/layer_0/self_attention/linear_1/weight"].shape[1]
    return scale * math.sqrt(inner // int(file.scalar(f"{side}/num_heads", 8)))


def _assign_positions(reading: Reading, layers: dict[str, keras.layers.Layer]) -> None:
    for side, positions in reading.positions.items():
        if positions.kind == "relative":
            name = f"{side}/layer_0/self_attention/relative_attention_bias"
            layers[f"{side}_relative"].set_weights([reading.file.weight(name)])
        if positions.table is not None:
            layer: Any = layers[f"{side}_positions"]
            layer.set_weights([positions.table[: layer.max_length]])


def _assign_logits(
    reading: Reading, layers: dict[str, keras.layers.Layer], target: Vocabulary
) -> None:
    scale = reading.file.scalar("decoder/scale_outputs", 1.0)
    weights = reading.file.weight(f"{PROJECTION}/weight")
    bias = target.taken_from(_bias(reading.file, PROJECTION, len(weights)))
    bias[target.is_hidden] = NEVER
    if not reading.is_tied:
        kernel = scale * target.taken_from(weights).T
        layers["decoder_logits"].set_weights([kernel, bias])
        return
    layers["decoder_output_bias"].set_weights([bias])
    if scale == 1:
        return
    if "decoder_norm" not in layers:
        raise InputError(
            "The model has decoder/scale_outputs without a last normalization, which is "
            "not supported."
        )
    # Nothing else reads what the last normalization puts out.
    norm = layers["decoder_norm"]
    norm.set_weights([scale * weight for weight in norm.get_weights()])
