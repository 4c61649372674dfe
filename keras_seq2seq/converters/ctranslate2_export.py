"""Transformers of this package in the layout that CTranslate2 reads."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.arguments import checked
from keras_seq2seq.converters.ctranslate2_file import ModelFile, write_model
from keras_seq2seq.converters.ctranslate2_layout import (
    ACTIVATIONS,
    PROJECTION,
    REVISION,
    SOURCE_EMBEDDING,
    SPECIFICATION,
    TARGET_EMBEDDING,
    Layout,
)
from keras_seq2seq.converters.ctranslate2_positions import written_positions
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import (
    Seq2Seq,
    TokenEmbedding,
    TransformerDecoder,
    TransformerEncoder,
)
from keras_seq2seq.special_tokens import END_TOKEN, START_TOKEN, UNKNOWN_TOKEN


@checked
def to_ctranslate2(model: Seq2Seq, path: str | Path) -> None:
    """Writes a Transformer of text as a folder that CTranslate2's `Translator` reads:
    `model.bin`, `config.json` and the vocabularies, weights in float32.

    CTranslate2 splits no text: it takes and gives tokens. Those that every source or target
    begins with are for the caller to add.

    Args:
        model: A `TransformerEncoder` and a `TransformerDecoder` of tokens, with a
            preprocessor.
        path: New folder.

    Raises:
        InputError: If `path` exists, or the model has what the layout lacks.
    """
    folder = Path(path)
    if folder.exists():
        raise InputError(f"{folder} exists. Choose another folder, or delete it.")
    encoder: Any = model.encoder
    decoder: Any = model.decoder
    _check(encoder, decoder)
    layers = {layer.name: layer for layer in model.layers}
    style = encoder.style
    gated = ("encoder", "decoder") if style.gated else ()
    layout = Layout(encoder.num_layers, decoder.num_layers, gated)
    variables: dict[str, np.ndarray] = {}
    aliases: dict[str, str] = {}
    for side, part in (("encoder", encoder), ("decoder", decoder)):
        told, same = written_positions(side, part, layers)
        variables |= _settings(side, part) | told
        aliases |= same
    for linear in layout.linears():
        weights = [layers[name].get_weights() for name in linear.layers]
        kernels = [kernel.T for kernel, *_ in weights]
        variables[f"{linear.name}/weight"] = np.concatenate(kernels)
        if style.use_bias:
            variables[f"{linear.name}/bias"] = np.concatenate([bias for _, bias in weights])
        if linear.asks:
            size = layers[linear.layers[0]].units // encoder.num_heads
            scale = np.asarray(1 / math.sqrt(size), np.float32)
            variables[f"{linear.name.rpartition('/')[0]}/queries_scale"] = scale
    final_norm = style.final_norm and encoder.normalize_first
    for there, here in layout.norms(style, final_norm):
        values = layers[here].get_weights()
        variables |= {
            f"{there}/{name}": value
            for name, value in zip(("gamma", "beta"), values, strict=False)
        }
    embeddings, same = _embeddings(model, layers)
    aliases |= same
    folder.mkdir(parents=True)
    file = ModelFile(SPECIFICATION, REVISION, variables | embeddings, aliases)
    write_model(folder / "model.bin", file)
    _write_words(model, folder)


def _check(encoder: Any, decoder: Any) -> None:
    """`InputError` for what the layout lacks."""
    for part, kind in ((encoder, TransformerEncoder), (decoder, TransformerDecoder)):
        if type(part) is not kind or type(part.embedding) is not TokenEmbedding:
            raise InputError(
                "The CTranslate2 format is for Transformers of text. Received: "
                f"{type(part).__name__} of {type(part.embedding).__name__}."
            )
        if part.style.attention_cap is not None or part.style.logit_cap is not None:
            raise InputError("The CTranslate2 format has no caps of scores and logits.")
        if part.positions == "none":
            raise InputError("The CTranslate2 format has no encoder-decoder without positions.")
    for name in ("style", "normalize_first", "num_heads", "positions"):
        if getattr(encoder, name) != getattr(decoder, name):
            raise InputError(
                f"The CTranslate2 format has one {name} for encoder and decoder. Received: "
                f"{getattr(encoder, name)} and {getattr(decoder, name)}."
            )


def _settings(side: str, part: Any) -> dict[str, np.ndarray]:
    style = part.style
    scale = style.embedding_scale
    settings: dict[str, Any] = {
        "activation": np.int8(ACTIVATIONS.index(style.activation)),
        "num_heads": np.int16(part.num_heads),
        "pre_norm": np.int8(part.normalize_first),
        "scale_embeddings": np.float32(math.sqrt(part.hidden_dim) if scale is None else scale),
    }
    return {f"{side}/{name}": np.asarray(value) for name, value in settings.items()}


def _embeddings(
    model: Seq2Seq, layers: dict[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Embeddings and projection, and what is one with another."""
    decoder: Any = model.decoder
    source, variables, aliases = layers["encoder_embedding"].get_weights()[0], {}, {}
    if decoder.embedding is model.encoder.embedding:
        variables[TARGET_EMBEDDING] = source
        aliases[SOURCE_EMBEDDING] = TARGET_EMBEDDING
    else:
        variables[SOURCE_EMBEDDING] = source
        variables[TARGET_EMBEDDING] = layers["decoder_embedding"].get_weights()[0]
    if decoder.tie_output:
        aliases[f"{PROJECTION}/weight"] = TARGET_EMBEDDING
        if decoder.output_bias:
            variables[f"{PROJECTION}/bias"] = layers["decoder_output_bias"].get_weights()[0]
    else:
        kernel, bias = layers["decoder_logits"].get_weights()
        variables |= {f"{PROJECTION}/weight": kernel.T, f"{PROJECTION}/bias": bias}
    return variables, aliases


def _write_words(model: Seq2Seq, folder: Path) -> None:
    embedding: Any = model.encoder.embedding
    config = {
        "add_source_bos": False,
        "add_source_eos": embedding.reads_end,
        "bos_token": START_TOKEN,
        "decoder_start_token": START_TOKEN,
        "eos_token": END_TOKEN,
        "layer_norm_epsilon": model.encoder.style.epsilon,  # type: ignore[attr-defined]
        "multi_query_attention": False,
        "unk_token": UNKNOWN_TOKEN,
    }
    source, target = (
        tokenizer.get_vocabulary()
        for tokenizer in (
            model.preprocessor.source_tokenizer,
            model.preprocessor.target_tokenizer,
        )
    )
    texts = {"config": config}
    if source == target:
        texts["shared_vocabulary"] = source
    else:
        texts |= {"source_vocabulary": source, "target_vocabulary": target}
    for name, content in texts.items():
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (folder / f"{name}.json").write_text(text, "utf-8")
