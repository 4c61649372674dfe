"""Models that CTranslate2's converters wrote: Marian, BART, M2M100, T5 and others."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_seq2seq.converters.ctranslate2_file import ModelFile, read_model
from keras_seq2seq.converters.ctranslate2_layout import (
    ACTIVATIONS,
    NEUTRAL,
    PROJECTION,
    SOURCE_EMBEDDING,
    SPECIFICATION,
    TARGET_EMBEDDING,
    Layout,
)
from keras_seq2seq.converters.ctranslate2_vocabulary import (
    NEVER,
    Specials,
    Vocabulary,
    read_config,
    read_vocabularies,
)
from keras_seq2seq.data.preprocessor import TextPreprocessor
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import (
    Seq2Seq,
    TokenEmbedding,
    TransformerDecoder,
    TransformerEncoder,
    TransformerStyle,
)
from keras_seq2seq.tokenizers import (
    SentencePieceFileTokenizer,
    SymbolTokenizer,
    TableTokenizer,
)
from keras_seq2seq.tokenizers.sentencepiece_file import read_sentencepiece

# How far a table of sines and cosines may be from its formula: it may have been 16 bits.
_ROUNDING = 5e-3


def from_ctranslate2(
    path: str | Path,
    *,
    source_tokenizer: str | Path | None = None,
    target_tokenizer: str | Path | None = None,
    source_prefix: str = "",
    target_prefix: str = "",
    source_end: bool | None = None,
    max_source_length: int = 256,
    max_target_length: int = 256,
    dropout: float = 0.0,
) -> Seq2Seq:
    """Rebuilds a Transformer that a CTranslate2 converter wrote, with the same outputs.

    Needs neither CTranslate2 nor the framework that the model was trained in.

    Args:
        path: Folder with `model.bin`, `config.json` and the vocabularies.
        source_tokenizer: The model's SentencePiece file of the source, such as `source.spm`.
            Without it sources are pieces with spaces between.
        target_tokenizer: That of the target. Defaults to that of the source if there is one
            vocabulary.
        source_prefix: Tokens that every source begins with, with spaces between, such as that
            of its language. Defaults to what the model's configuration says.
        target_prefix: Tokens that every target begins with, likewise. Where the model's
            configuration names no token to begin with, the first is that.
        source_end: bool. Whether the model reads the end token after a source. Defaults to
            `True`, but for a model that begins targets with `<s>` and does not say otherwise
            (OpenNMT's).
        max_source_length: int. Source tokens at most, without the end token; less where the
            model has fewer positions. Defaults to 256.
        max_target_length: int. Likewise of the target.
        dropout: float. Dropout if it is trained further. Defaults to 0.

    Raises:
        InputError: If a file is missing or broken, the model is another specification, or has
            something that this package lacks; with its name.
    """
    folder = Path(path)
    config = read_config(folder)
    file = read_model(folder / "model.bin")
    reading = _Reading(file, config, folder)
    source_tokens, target_tokens = read_vocabularies(folder)
    for side, tokens, name in (
        ("source", source_tokens, SOURCE_EMBEDDING),
        ("target", target_tokens, TARGET_EMBEDDING),
    ):
        if len(tokens) != len(file[name]):
            raise InputError(
                f"{folder}: the {side} vocabulary has {len(tokens)} tokens, the model "
                f"{len(file[name])}."
            )
    specials, target_prefix = _specials(config, reading.starts_with_zeros, target_prefix)
    source = Vocabulary(source_tokens, specials, "source")
    target = source
    if target_tokens is not source_tokens:
        target = Vocabulary(target_tokens, specials, "target")
    if config.get("add_source_bos"):
        source_prefix = f"{config['bos_token']} {source_prefix}"
    if target is source and target_tokenizer is None:
        target_tokenizer = source_tokenizer
    longest = (
        reading.longest("encoder", max_source_length + 1) - 1,
        reading.longest("decoder", max_target_length + 1) - 1,
    )
    preprocessor = TextPreprocessor(
        _tokenizer(source, source_tokenizer, source_prefix, "source_vocabulary"),
        _tokenizer(target, target_tokenizer, target_prefix, "target_vocabulary"),
        *longest,
    )
    if source_end is None:
        source_end = _reads_end(config)
    model = reading.build(preprocessor, source_end, dropout)
    reading.assign(model, source, target)
    return model


def _reads_end(config: dict[str, Any]) -> bool:
    return bool(config.get("add_source_eos")) or config.get("decoder_start_token") != "<s>"


def _specials(
    config: dict[str, Any], starts_with_zeros: bool, target_prefix: str
) -> tuple[Specials, str]:
    """The special tokens, and what is left of the prefix."""
    start = config.get("decoder_start_token")
    if start is None and not starts_with_zeros:
        start, _, target_prefix = target_prefix.partition(" ")
        if not start:
            raise InputError(
                "This model's configuration names no token that targets begin with "
                "(decoder_start_token): give it as --target-prefix, such as that of the "
                "target language."
            )
    for key in ("unk_token", "eos_token"):
        if not isinstance(config.get(key), str):
            raise InputError(f"config.json names no {key}.")
    specials = Specials(
        config["unk_token"], config["eos_token"], None if starts_with_zeros else start
    )
    return specials, target_prefix


def _tokenizer(
    vocabulary: Vocabulary, file: str | Path | None, prefix: str, name: str
) -> TableTokenizer:
    begin = vocabulary.named(prefix)
    if file is None:
        return SymbolTokenizer(vocabulary.tokens, name=name, begin=begin)
    model = read_sentencepiece(file)
    return SentencePieceFileTokenizer(vocabulary.tokens, model, name=name, begin=begin)


@dataclass(frozen=True)
class _Positions:
    """How one side knows where a token stands.

    Attributes:
        kind: As `positions` of a `TransformerEncoder`.
        settings: Of `TransformerStyle`.
        table: `(positions, dim)`, of learned positions.
    """

    kind: str
    settings: dict[str, Any]
    table: np.ndarray | None = None


class _Reading:
    """A model file, read as the settings and weights of a `Seq2Seq`.

    Raises:
        InputError: If it is another specification, or has what this package lacks.
    """

    def __init__(self, file: ModelFile, config: dict[str, Any], folder: Path):
        self.file = file
        if file.name != SPECIFICATION:
            raise InputError(
                f"{folder} holds a {file.name}; this program reads {SPECIFICATION}, an encoder "
                "and a decoder of text."
            )
        if config.get("multi_query_attention"):
            raise InputError(f"{folder} has multi_query_attention, which is not supported.")
        self.starts_with_zeros = bool(file.scalar("decoder/start_from_zero_embedding", 0))
        names = set(file.names())
        self.layout = Layout(
            _count(names, "encoder"),
            _count(names, "decoder"),
            gated=any("linear_0_noact" in name for name in names),
        )
        self.used: set[str] = set()
        self.positions = {side: self._positions(side) for side in ("encoder", "decoder")}
        self.styles = {side: self._style(side, config) for side in ("encoder", "decoder")}
        self._check_names(names, folder)

    def _setting(self, name: str, default: Any = None) -> Any:
        self.used.add(name)
        return self.file.scalar(name, default)

    def _need(self, name: str) -> np.ndarray:
        if name not in self.file:
            raise InputError(f"The model lacks {name}.")
        self.used.add(name)
        return self.file.weight(name)

    def _style(self, side: str, config: dict[str, Any]) -> TransformerStyle:
        file, first = self.file, f"{side}/layer_0"
        dim = self._need(self._embedding(side)).shape[1]
        heads = int(self._setting(f"{side}/num_heads", 8))
        inner = self._need(f"{first}/self_attention/linear_1/weight").shape[1]
        activation = int(self._setting(f"{side}/activation", 0))
        if not 0 <= activation < len(ACTIVATIONS):
            raise InputError(f"{side}/activation is {activation}, which is not supported.")
        is_rms = f"{first}/ffn/layer_norm/beta" not in file
        epsilon = config.get("layer_norm_epsilon")
        return TransformerStyle(
            activation=ACTIVATIONS[activation],
            gated=self.layout.gated,
            norm="rms" if is_rms else "layer",
            epsilon=epsilon if epsilon is not None else 1e-6 if is_rms else 1e-5,
            final_norm=f"{side}/layer_norm/gamma" in file,
            embedding_norm=f"{side}/layernorm_embedding/gamma" in file,
            embedding_scale=self._embedding_scale(side, dim),
            use_bias=any(self._biases(side)),
            head_dim=None if inner == dim and dim % (2 * heads) == 0 else inner // heads,
            **self.positions[side].settings,
        )

    def _embedding(self, side: str) -> str:
        return SOURCE_EMBEDDING if side == "encoder" else TARGET_EMBEDDING

    def _embedding_scale(self, side: str, dim: int) -> float | None:
        """A number, or a switch for the usual one."""
        name = f"{side}/scale_embeddings"
        if name not in self.file:
            return None
        value = self._setting(name)
        if self.file[name].dtype.kind == "f":
            return None if math.isclose(value, math.sqrt(dim), rel_tol=1e-6) else float(value)
        return None if value else 1.0

    def _biases(self, side: str) -> Iterator[bool]:
        for linear in self.layout.linears():
            if linear.name.startswith(side):
                yield f"{linear.name}/bias" in self.file

    def _positions(self, side: str) -> _Positions:
        name = f"{side}/layer_0/self_attention/relative_attention_bias"
        if name in self.file:
            layers = self.layout.encoder_layers, self.layout.decoder_layers
            for index in range(layers[side == "decoder"]):
                other = name.replace("layer_0", f"layer_{index}")
                if other in self.file and not np.array_equal(self.file[name], self.file[other]):
                    raise InputError(
                        f"The model has {other}, a bias of its own in every block, which is "
                        "not supported."
                    )
                self.used |= {other, other.replace("_bias", "_max_distance")}
            distance = int(self._setting(name.replace("_bias", "_max_distance"), 128))
            buckets = len(self._need(name))
            return _Positions("relative", {"num_buckets": buckets, "max_distance": distance})
        name = f"{side}/position_encodings/encodings"
        if name not in self.file:
            # What CTranslate2 computes itself.
            return _Positions("sinusoidal", {"inclusive": True, "first_position": 1})
        table = self._need(name)
        waves = _waves(table)
        if waves is not None:
            return _Positions("sinusoidal", waves)
        return _Positions("learned", {}, table)

    def longest(self, side: str, length: int) -> int:
        """So many positions, or those that the model has."""
        table = self.positions[side].table
        return length if table is None else min(length, len(table))

    def _check_names(self, names: set[str], folder: Path) -> None:
        """`InputError` for what would be ignored, and for what is missing."""
        known = set(self.used)
        for linear in self.layout.linears():
            self._need(f"{linear.name}/weight")
            known |= {f"{linear.name}/{end}" for end in ("weight", "weight_scale", "bias")}
        for there, _ in self._norms():
            self._need(f"{there}/gamma")
            known |= {f"{there}/gamma", f"{there}/beta"}
        for there, _, _ in self.layout.blocks():
            known |= {f"{there}/{own}attention/queries_scale" for own in ("self_", "")}
        for name in (SOURCE_EMBEDDING, TARGET_EMBEDDING, f"{PROJECTION}/weight"):
            known |= {name, f"{name}_scale"}
        known |= {f"{PROJECTION}/bias", *(f"{side}/pre_norm" for side in self.styles)}
        known |= {"decoder/start_from_zero_embedding", "decoder/scale_outputs"}
        for name, neutral in NEUTRAL.items():
            if neutral is None or self.file.scalar(name, neutral) == neutral:
                known.add(name)
        if unknown := sorted(names - known):
            raise InputError(f"{folder} has {unknown[0]}, which is not supported.")

    def _norms(self) -> Iterator[tuple[str, str]]:
        style = self.styles["encoder"]
        yield from self.layout.norms(style.embedding_norm, style.final_norm)

    def build(self, preprocessor: TextPreprocessor, reads_end: bool, dropout: float) -> Seq2Seq:
        """The model, with new weights."""
        file = self.file
        source, target = preprocessor.source_tokenizer, preprocessor.target_tokenizer
        dim = file[SOURCE_EMBEDDING].shape[1]
        embedding = TokenEmbedding(source.vocabulary_size(), dim, reads_end)
        is_shared = file.same(SOURCE_EMBEDDING, TARGET_EMBEDDING)
        shared = embedding
        if not is_shared or source.get_vocabulary() != target.get_vocabulary():
            shared = TokenEmbedding(target.vocabulary_size(), dim)
        encoder = TransformerEncoder(
            embedding, **self._settings("encoder", preprocessor.source_positions, dropout)
        )
        decoder = TransformerDecoder(
            shared,
            tie_output=self.is_tied,
            output_bias=self.is_tied,
            **self._settings("decoder", preprocessor.max_target_length + 1, dropout),
        )
        return Seq2Seq(encoder, decoder, preprocessor)

    @property
    def is_tied(self) -> bool:
        """Whether the logits are products with the target embeddings."""
        return self.file.same(f"{PROJECTION}/weight", TARGET_EMBEDDING)

    def _settings(self, side: str, max_length: int, dropout: float) -> dict[str, Any]:
        layers = self.layout.encoder_layers, self.layout.decoder_layers
        return {
            "intermediate_dim": self.file[f"{side}/layer_0/ffn/linear_0/weight"].shape[0],
            "num_heads": int(self._setting(f"{side}/num_heads", 8)),
            "num_layers": layers[side == "decoder"],
            "max_length": max_length,
            "dropout": dropout,
            "normalize_first": bool(self._setting(f"{side}/pre_norm", 1)),
            "positions": self.positions[side].kind,
            "style": self.styles[side],
        }

    def assign(self, model: Seq2Seq, source: Vocabulary, target: Vocabulary) -> None:
        """Gives the model its weights."""
        layers = {layer.name: layer for layer in model.layers}
        for linear in self.layout.linears():
            kernel = self.file.weight(f"{linear.name}/weight").T
            bias = self._bias(linear.name, kernel.shape[1])
            scale = self._query_scale(linear.name) if linear.asks else 1.0
            end = 0
            for name in linear.layers:
                begin, end = end, end + layers[name].units
                own = [kernel[:, begin:end], bias[begin:end]][: len(layers[name].weights)]
                layers[name].set_weights([scale * weight for weight in own])
                scale = 1.0
        for there, here in self._norms():
            values = [self.file.weight(f"{there}/gamma")]
            if f"{there}/beta" in self.file:
                values.append(self.file.weight(f"{there}/beta"))
            layers[here].set_weights(values)
        self._assign_positions(layers)
        self._assign_vocabularies(model, layers, source, target)

    def _bias(self, name: str, size: int) -> np.ndarray:
        if f"{name}/bias" in self.file:
            return self.file.weight(f"{name}/bias")
        return np.zeros(size, np.float32)

    def _query_scale(self, linear: str) -> float:
        """What queries are multiplied with beside the usual scale, which stays."""
        scale = self.file.scalar(f"{linear.rpartition('/')[0]}/queries_scale")
        if scale is None:
            return 1.0
        side = linear.partition("/")[0]
        inner = self.file[f"{side}/layer_0/self_attention/linear_1/weight"].shape[1]
        return scale * math.sqrt(inner // int(self.file.scalar(f"{side}/num_heads", 8)))

    def _assign_positions(self, layers: dict[str, keras.layers.Layer]) -> None:
        for side, positions in self.positions.items():
            if positions.kind == "relative":
                name = f"{side}/layer_0/self_attention/relative_attention_bias"
                layers[f"{side}_relative"].set_weights([self.file.weight(name)])
            if positions.table is not None:
                layer: Any = layers[f"{side}_positions"]
                layer.set_weights([positions.table[: layer.max_length]])

    def _assign_vocabularies(
        self,
        model: Seq2Seq,
        layers: dict[str, keras.layers.Layer],
        source: Vocabulary,
        target: Vocabulary,
    ) -> None:
        embeddings = source.taken_from(self.file.weight(SOURCE_EMBEDDING))
        layers["encoder_embedding"].set_weights([embeddings])
        if model.encoder.embedding is not model.decoder.embedding:
            embeddings = target.taken_from(self.file.weight(TARGET_EMBEDDING))
            layers["decoder_embedding"].set_weights([embeddings])
        scale = self.file.scalar("decoder/scale_outputs", 1.0)
        weights = self.file.weight(f"{PROJECTION}/weight")
        bias = target.taken_from(self._bias(PROJECTION, len(weights)))
        bias[target.is_hidden] = NEVER
        if not self.is_tied:
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


def _count(names: set[str], side: str) -> int:
    """Blocks of an encoder or decoder, which are numbered from 0."""
    count = 0
    while any(name.startswith(f"{side}/layer_{count}/") for name in names):
        count += 1
    if not count:
        raise InputError(f"The model lacks {side}/layer_0.")
    return count


def _waves(table: np.ndarray) -> dict[str, Any] | None:
    """The settings of `SinusoidalPositions` that give this table, if any do."""
    length, dim = table.shape
    if dim % 2:
        return None
    for inclusive in (False, True):
        exponents = np.arange(0, dim, 2) / (max(dim - 2, 1) if inclusive else dim)
        for first in (0, 1, 2):
            angles = np.arange(first, first + length)[:, None] * 10000.0**-exponents
            waves = np.sin(angles), np.cos(angles)
            halves = np.concatenate(waves, 1)
            alternating = np.stack(waves, -1).reshape(length, dim)
            for interleaved, formula in ((False, halves), (True, alternating)):
                if np.abs(table - formula).max() < _ROUNDING:
                    return {
                        "interleaved": interleaved,
                        "inclusive": inclusive,
                        "first_position": first,
                    }
    return None
