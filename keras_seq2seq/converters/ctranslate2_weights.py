"""The weights of a file of CTranslate2, into the layers of a model."""

import math

import keras
import numpy as np

from keras_seq2seq.converters.ctranslate2_file import ModelFile
from keras_seq2seq.converters.ctranslate2_layout import (
    PROJECTION,
    SOURCE_EMBEDDING,
    TARGET_EMBEDDING,
    Linear,
)
from keras_seq2seq.converters.ctranslate2_positions import assign_positions
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
        kernel, bias = (_by_head(reading, linear, values) for values in (kernel, bias))
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
    for side, positions in reading.positions.items():
        assign_positions(reading.file, side, positions, layers)
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


def _by_head(reading: Reading, linear: Linear, values: np.ndarray) -> np.ndarray:
    """Outputs `(..., all)` as the layers have them: keys and values that several heads share
    once for each head, and dimensions that turn together half a head apart."""
    if len(linear.layers) == 1:
        return values
    attention = linear.name.rpartition("/")[0]
    side, _, name = attention.partition("/")
    heads, with_keys = reading.heads(attention)
    inner = reading.file[f"{side}/layer_0/self_attention/linear_1/weight"].shape[1]
    size = inner // heads
    asking = inner if linear.asks else 0
    keys = asking + with_keys * size
    parts = np.split(values, [asking, keys] if asking else [keys], -1)
    if values.shape[-1] != keys + with_keys * size or heads % with_keys:
        raise InputError(
            f"{linear.name} has {values.shape[-1]} outputs, which do not fit {heads} heads of "
            f"{size}, {with_keys} of them with keys."
        )
    positions = reading.positions[side]
    order = np.arange(size)
    if positions.interleaved and name.endswith("self_attention"):
        turned = positions.settings["rotary_dim"] or size
        order[:turned] = [*range(0, turned, 2), *range(1, turned, 2)]
    found = []
    for place, part in enumerate(parts):
        split = part.reshape(*part.shape[:-1], -1, size)
        split = np.repeat(split, heads // split.shape[-2], -2)
        if place < len(parts) - 1:  # All but the values.
            split = split[..., order]
        found.append(split.reshape(*part.shape[:-1], inner))
    return np.concatenate(found, -1)


def _query_scale(file: ModelFile, linear: str) -> float:
    """What queries are multiplied with beside the usual scale, which stays."""
    scale = file.scalar(f"{linear.rpartition('/')[0]}/queries_scale")
    if scale is None:
        return 1.0
    side = linear.partition("/")[0]
    inner = file[f"{side}/layer_0/self_attention/linear_1/weight"].shape[1]
    return scale * math.sqrt(inner // int(file.scalar(f"{side}/num_heads", 8)))


def _assign_logits(
    reading: Reading, layers: dict[str, keras.layers.Layer], target: Vocabulary
) -> None:
    scale = reading.file.scalar("decoder/scale_outputs", 1.0)
    weights = reading.file.weight(f"{PROJECTION}/weight")
    bias = target.taken_from(_bias(reading.file, PROJECTION, len(weights)))
    bias[target.is_hidden] = NEVER
    if not reading.is_tied:
        kernel = scale * target.taken_from(weights).T
        if "decoder_output_bias" in layers:
            layers["decoder_logits"].set_weights([kernel])
            layers["decoder_output_bias"].set_weights([bias])
        else:
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
