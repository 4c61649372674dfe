"""KerasHub's encoder-decoders as the named arrays of CTranslate2's layout, which one reader
makes a model of."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_seq2seq.converters.ctranslate2_file import ModelFile
from keras_seq2seq.converters.ctranslate2_layout import (
    ACTIVATIONS,
    AROUND_CROSS,
    PROJECTION,
    REVISION,
    SOURCE_EMBEDDING,
    SPECIFICATION,
    TARGET_EMBEDDING,
)
from keras_seq2seq.errors import InputError
from keras_seq2seq.models.transformer_style import ACTIVATIONS as FUNCTIONS


class _Arrays:
    """Collects the variables of a file."""

    def __init__(self) -> None:
        self.variables: dict[str, np.ndarray] = {}
        self.aliases: dict[str, str] = {}

    def add(self, name: str, value: Any) -> None:
        self.variables[name] = np.asarray(value)

    def settings(self, side: str, heads: int, activation: Any, pre_norm: bool) -> None:
        self.add(f"{side}/num_heads", np.int16(heads))
        self.add(f"{side}/pre_norm", np.int8(pre_norm))
        self.add(f"{side}/activation", np.int8(activation_number(activation)))
        self.add(f"{side}/scale_embeddings", np.int8(0))

    def linear(self, name: str, *layers: Any, axes: int = 1) -> None:
        """Dense layers side by side, the first so many `axes` of their kernels inputs."""
        kernels = [array(layer.kernel) for layer in layers]
        inputs = [int(np.prod(kernel.shape[:axes])) for kernel in kernels]
        self.add(
            f"{name}/weight",
            np.concatenate(
                [k.reshape(size, -1).T for k, size in zip(kernels, inputs, strict=True)]
            ),
        )
        if any(layer.bias is not None for layer in layers):
            # One of them may have none: Whisper's keys.
            biases = [
                np.zeros(kernel[0].size if axes == 1 else kernel.shape[-1], np.float32)
                if layer.bias is None
                else array(layer.bias).reshape(-1)
                for layer, kernel in zip(layers, kernels, strict=True)
            ]
            self.add(f"{name}/bias", np.concatenate(biases))

    def attention(
        self, name: str, layers: Sequence[Any], is_cross: bool = False, axes: int = 2
    ) -> None:
        """Layers of query, key, value and output, the heads of the last `axes` axes."""
        query, key, value, output = layers
        if is_cross:
            self.linear(f"{name}/linear_0", query)
            self.linear(f"{name}/linear_1", key, value)
            self.linear(f"{name}/linear_2", output, axes=axes)
        else:
            self.linear(f"{name}/linear_0", query, key, value)
            self.linear(f"{name}/linear_1", output, axes=axes)

    def norm(self, name: str, layer: Any) -> None:
        """Layer normalization; without a shift of its own with one of 0."""
        gamma = array(layer.gamma)
        self.add(f"{name}/gamma", gamma)
        self.add(
            f"{name}/beta", np.zeros_like(gamma) if layer.beta is None else array(layer.beta)
        )

    def embeddings(self, source: Any, target: Any, tied: bool) -> None:
        self.add(TARGET_EMBEDDING, array(target.embeddings))
        if source is target:
            self.aliases[SOURCE_EMBEDDING] = TARGET_EMBEDDING
        elif source is not None:
            self.add(SOURCE_EMBEDDING, array(source.embeddings))
        if tied:
            self.aliases[f"{PROJECTION}/weight"] = TARGET_EMBEDDING
        else:
            self.add(f"{PROJECTION}/weight", array(target.reverse_embeddings).T)

    def file(self) -> ModelFile:
        return ModelFile(SPECIFICATION, REVISION, self.variables, self.aliases)


def array(weight: Any) -> np.ndarray:
    """A weight, float32."""
    return np.asarray(keras.ops.convert_to_numpy(weight)).astype(np.float32)


def activation_number(function: Any) -> int:
    """CTranslate2's number of an activation, which is known by what it gives.

    Raises:
        InputError: If it is none that this package has.
    """
    inputs = keras.ops.linspace(-6.0, 6.0, 49)
    expected = array(function(inputs))
    for number, name in enumerate(ACTIVATIONS):
        if np.allclose(array(FUNCTIONS[name](inputs)), expected, rtol=0, atol=1e-6):
            return number
    raise InputError(
        f"The activation {getattr(function, '__name__', function)} is not supported: "
        f"{', '.join(ACTIVATIONS)} are."
    )


def _heads(layer: Any) -> tuple[Any, ...]:
    """The layers of Keras' own `MultiHeadAttention`."""
    return layer._query_dense, layer._key_dense, layer._value_dense, layer._output_dense


def _sides(backbone: Any, ends: Sequence[str]) -> list[tuple[str, Any]]:
    """Names in the file of all blocks, and the blocks."""
    return [
        (f"{side}/layer_{index}", block)
        for side, end in zip(("encoder", "decoder"), ends, strict=True)
        for index, block in enumerate(getattr(backbone, end))
    ]


def bart(backbone: Any) -> tuple[ModelFile, dict[str, Any]]:
    """`BartBackbone` -> the variables, and what `config.json` would say of them."""
    arrays = _Arrays()
    arrays.embeddings(backbone.token_embedding, backbone.token_embedding, tied=True)
    for side in ("encoder", "decoder"):
        table = getattr(backbone, f"{side}_position_embedding").position_embeddings
        arrays.add(f"{side}/position_encodings/encodings", array(table))
        norm = getattr(backbone, f"{side}_embeddings_layer_norm")
        arrays.norm(f"{side}/layernorm_embedding", norm)
    _transformers(arrays, backbone, pre_norm=False)
    return arrays.file(), {"layer_norm_epsilon": 1e-5}


def whisper(backbone: Any) -> tuple[ModelFile, dict[str, Any]]:
    """`WhisperBackbone`, likewise."""
    arrays = _Arrays()
    arrays.embeddings(None, backbone.token_embedding, tied=True)
    tables = {
        "encoder": backbone.encoder_position_embedding,
        "decoder": backbone.decoder_embeddings.position_embedding,
    }
    for side, layer in tables.items():
        arrays.add(f"{side}/position_encodings/encodings", array(layer.position_embeddings))
        arrays.norm(f"{side}/layer_norm", getattr(backbone, f"{side}_layer_norm"))
    for index in (1, 2):
        layer = getattr(backbone, f"encoder_conv_layer_{index}")
        arrays.add(f"encoder/conv{index}/weight", array(layer.kernel).transpose(2, 1, 0))
        arrays.add(f"encoder/conv{index}/bias", array(layer.bias))
    _transformers(arrays, backbone, pre_norm=True)
    return arrays.file(), {"layer_norm_epsilon": 1e-5}


def _transformers(arrays: _Arrays, backbone: Any, pre_norm: bool) -> None:
    """The blocks that are KerasHub's `TransformerEncoder` and `TransformerDecoder`."""
    blocks = _sides(backbone, ("encoder_transformer_layers", "decoder_transformer_layers"))
    for side in ("encoder", "decoder"):
        arrays.settings(side, backbone.num_heads, blocks[0][1].activation, pre_norm)
    for name, block in blocks:
        arrays.attention(f"{name}/self_attention", _heads(block._self_attention_layer))
        arrays.norm(f"{name}/self_attention/layer_norm", block._self_attention_layer_norm)
        if name.startswith("decoder"):
            cross = _heads(block._cross_attention_layer)
            arrays.attention(f"{name}/attention", cross, is_cross=True)
            arrays.norm(f"{name}/attention/layer_norm", block._cross_attention_layer_norm)
        arrays.linear(f"{name}/ffn/linear_0", block._feedforward_intermediate_dense)
        arrays.linear(f"{name}/ffn/linear_1", block._feedforward_output_dense)
        arrays.norm(f"{name}/ffn/layer_norm", block._feedforward_layer_norm)


def t5(backbone: Any) -> tuple[ModelFile, dict[str, Any]]:
    """`T5Backbone`, likewise."""
    arrays = _Arrays()
    is_tied = backbone.tie_embedding_weights
    arrays.embeddings(backbone.token_embedding, backbone.token_embedding, is_tied)
    if is_tied:
        arrays.add("decoder/scale_outputs", np.float32(backbone.hidden_dim**-0.5))
    for side in ("encoder", "decoder"):
        arrays.settings(side, backbone.num_heads, backbone.activation, pre_norm=True)
        arrays.add(
            f"{side}/layer_norm/gamma", array(getattr(backbone, f"{side}_layer_norm").weight)
        )
        first = getattr(backbone, f"{side}_transformer_layers")[0].self_attention
        for index in range(backbone.num_layers):
            name = f"{side}/layer_{index}/self_attention/relative_attention"
            arrays.add(f"{name}_bias", array(first.relative_attention_bias))
            distance = first.relative_attention_max_distance
            arrays.add(f"{name}_max_distance", np.int32(distance))
    blocks = _sides(backbone, ("encoder_transformer_layers", "decoder_transformer_layers"))
    for name, block in blocks:
        parts = [("self_attention", block.self_attention, block.self_attention_layer_norm)]
        if name.startswith("decoder"):
            parts.append(("attention", block.cross_attention, block.cross_attention_layer_norm))
        for part, layer, norm in parts:
            layers = [
                getattr(layer, f"{role}_projector")
                for role in ("query", "key", "value", "output")
            ]
            arrays.attention(f"{name}/{part}", layers, part == "attention", axes=1)
            arrays.add(f"{name}/{part}/queries_scale", np.float32(1))
            arrays.add(f"{name}/{part}/layer_norm/gamma", array(norm.weight))
        arrays.linear(f"{name}/ffn/linear_0", block.input_projector)
        if backbone.use_gated_activation:
            arrays.linear(f"{name}/ffn/linear_0_noact", block.gate_projector)
        arrays.linear(f"{name}/ffn/linear_1", block.output_projector)
        arrays.add(f"{name}/ffn/layer_norm/gamma", array(block.layer_norm.weight))
    return arrays.file(), {"layer_norm_epsilon": backbone.layer_norm_epsilon}


def t5gemma(backbone: Any) -> tuple[ModelFile, dict[str, Any]]:
    """`T5GemmaBackbone`, likewise."""
    arrays = _Arrays()
    source, target = backbone.token_embedding, backbone.decoder_token_embedding
    arrays.embeddings(source, target, backbone.tie_word_embeddings)
    blocks = _sides(backbone, ("encoder_layers", "decoder_layers"))

    def norm(name: str, layer: Any) -> None:
        # KerasHub keeps what the scale is more than 1.
        arrays.add(f"{name}/gamma", 1 + array(layer.scale))

    def attention(name: str, layer: Any, is_cross: bool) -> None:
        layers = layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense
        arrays.attention(name, layers, is_cross)
        arrays.add(f"{name}/queries_scale", np.float32(layer.scaling))
        arrays.add(f"{name}/num_heads_kv", np.int32(layer.num_key_value_heads))

    for side in ("encoder", "decoder"):
        heads = getattr(backbone, f"{side}_num_attention_heads")
        block = getattr(backbone, f"{side}_layers")[0]
        arrays.settings(side, heads, block.mlp.act_fn, pre_norm=True)
        arrays.add(f"{side}/scale_embeddings", np.int8(1))
        norm(f"{side}/layer_norm", getattr(backbone, f"{side}_norm"))
    for name, block in blocks:
        attention(f"{name}/self_attention", block.self_attn, is_cross=False)
        _rotary(arrays, name, 0, backbone.rope_max_wavelength, interleaved=False)
        norm(f"{name}/input_layer_norm", block.pre_self_attn_layernorm)
        norm(f"{name}/post_attention_layer_norm", block.post_self_attn_layernorm)
        if name.startswith("decoder"):
            attention(f"{name}/attention", block.cross_attn, is_cross=True)
            before, after = AROUND_CROSS
            norm(f"{name}/{before}_layer_norm", block.pre_cross_attn_layernorm)
            norm(f"{name}/{after}_layer_norm", block.post_cross_attn_layernorm)
        arrays.linear(f"{name}/ffn/linear_0", block.mlp.gate_proj)
        arrays.linear(f"{name}/ffn/linear_0_noact", block.mlp.up_proj)
        arrays.linear(f"{name}/ffn/linear_1", block.mlp.down_proj)
        norm(f"{name}/pre_feedforward_layer_norm", block.pre_feedforward_layernorm)
        norm(f"{name}/post_feedforward_layer_norm", block.post_feedforward_layernorm)
        if name.startswith("decoder") and block.layer_type == "sliding_attention":
            # A step sees so many before it, and itself.
            window = np.int32(block.sliding_window + 1)
            arrays.add(f"{name}/self_attention/sliding_window", window)
    return arrays.file(), {
        "layer_norm_epsilon": backbone.rms_norm_eps,
        "attention_cap": backbone.attn_logit_softcapping,
        "logit_cap": backbone.final_logit_softcapping,
    }


def moonshine(backbone: Any) -> tuple[ModelFile, dict[str, Any]]:
    """`MoonshineBackbone` but its convolutions, likewise."""
    arrays = _Arrays()
    arrays.embeddings(None, backbone.token_embedding, tied=True)
    blocks = _sides(backbone, ("encoder_blocks", "decoder_blocks"))
    for side, norm in (
        ("encoder", backbone.encoder_final_layer_norm),
        ("decoder", backbone.decoder_post_norm),
    ):
        heads = getattr(backbone, f"{side}_num_heads")
        is_gated = getattr(backbone, f"{side}_use_swiglu_activation")
        function: Callable[[Any], Any] = (
            keras.activations.silu if is_gated else keras.activations.gelu
        )
        arrays.settings(side, heads, function, pre_norm=True)
        arrays.norm(f"{side}/layer_norm", norm)
    for name, block in blocks:
        side = name.partition("/")[0]
        rotary = getattr(backbone, f"{side}_rotary_embedding")
        _rotary(arrays, name, rotary.rotary_dim, rotary.base_value, interleaved=True)
        if side == "encoder":
            own, own_norm = block.self_attention_layer, block.self_attention_layer_norm
            mlp, mlp_norm = block.feedforward, block.feedforward_layer_norm
        else:
            own, own_norm, mlp, mlp_norm = (
                block.self_attention,
                block.norm1,
                block.ff,
                block.norm3,
            )
            cross = _heads(block.cross_attention)
            arrays.attention(f"{name}/attention", cross, is_cross=True)
            arrays.norm(f"{name}/attention/layer_norm", block.norm2)
        arrays.attention(f"{name}/self_attention", _heads(own))
        arrays.norm(f"{name}/self_attention/layer_norm", own_norm)
        arrays.norm(f"{name}/ffn/layer_norm", mlp_norm)
        arrays.linear(f"{name}/ffn/linear_0", mlp.dense_1)
        arrays.linear(f"{name}/ffn/linear_1", mlp.dense_2)
        if mlp.use_swiglu_activation:
            # Of the two halves the second goes through the activation.
            for end in ("weight", "bias"):
                both = arrays.variables[f"{name}/ffn/linear_0/{end}"]
                plain, gate = np.split(both, 2)
                arrays.add(f"{name}/ffn/linear_0_noact/{end}", plain)
                arrays.add(f"{name}/ffn/linear_0/{end}", gate)
    return arrays.file(), {"layer_norm_epsilon": 1e-5}


def _rotary(arrays: _Arrays, name: str, dim: int, base: float, interleaved: bool) -> None:
    there = f"{name}/self_attention/rotary"
    arrays.add(f"{there}_dim", np.int32(dim))
    arrays.add(f"{there}_base", np.float32(base))
    arrays.add(f"{there}_interleave", np.int8(interleaved))
