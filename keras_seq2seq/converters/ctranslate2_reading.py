"""What a file of CTranslate2 says of the parts of a model: settings, positions, names."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from keras_seq2seq.converters.ctranslate2_file import ModelFile
from keras_seq2seq.converters.ctranslate2_layout import (
    ACTIVATIONS,
    NEUTRAL,
    PROJECTION,
    SOURCE_EMBEDDING,
    TARGET_EMBEDDING,
    Layout,
)
from keras_seq2seq.converters.ctranslate2_positions import Positions, read_positions
from keras_seq2seq.errors import InputError
from keras_seq2seq.models import (
    Seq2Seq,
    TokenEmbedding,
    TransformerDecoder,
    TransformerEncoder,
    TransformerStyle,
)

# Numbers of an attention beside its weights.
_OF_ATTENTION = ("queries_scale", "head_dim", "num_heads_kv", "sliding_window")


class Reading:
    """A model file, read as the settings and weights of a `Seq2Seq`.

    Raises:
        InputError: If it is another specification, or has what this package lacks.
    """

    # Weights beside those of the blocks and the projection.
    others: tuple[str, ...] = (SOURCE_EMBEDDING, TARGET_EMBEDDING)

    def __init__(self, file: ModelFile, config: dict[str, Any], folder: Path):
        self.file = file
        self.starts_with_zeros = bool(file.scalar("decoder/start_from_zero_embedding", 0))
        names = set(file.names())
        self.layout = Layout(
            _count(names, "encoder"),
            _count(names, "decoder"),
            gated=tuple(
                side
                for side in ("encoder", "decoder")
                if f"{side}/layer_0/ffn/linear_0_noact/weight" in names
            ),
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
        dim = self._width(side)
        heads = int(self._setting(f"{side}/num_heads", 8))
        inner = self._need(f"{first}/self_attention/linear_1/weight").shape[1]
        activation = int(self._setting(f"{side}/activation", 0))
        if not 0 <= activation < len(ACTIVATIONS):
            raise InputError(f"{side}/activation is {activation}, which is not supported.")
        post_norm = f"{first}/post_feedforward_layer_norm/gamma" in file
        norm = f"{first}/pre_feedforward_layer_norm" if post_norm else f"{first}/ffn/layer_norm"
        is_rms = f"{norm}/beta" not in file
        epsilon = config.get("layer_norm_epsilon")
        return TransformerStyle(
            activation=ACTIVATIONS[activation],
            gated=side in self.layout.gated,
            norm="rms" if is_rms else "layer",
            epsilon=epsilon if epsilon is not None else 1e-6 if is_rms else 1e-5,
            final_norm=f"{side}/layer_norm/gamma" in file,
            post_norm=post_norm,
            embedding_norm=f"{side}/layernorm_embedding/gamma" in file,
            embedding_scale=self._embedding_scale(side, dim),
            use_bias=any(self._biases(side)),
            head_dim=None if inner == dim and dim % (2 * heads) == 0 else inner // heads,
            attention_cap=config.get("attention_cap"),
            logit_cap=config.get("logit_cap") if side == "decoder" else None,
            **self.positions[side].settings,
        )

    def _width(self, side: str) -> int:
        embedding = SOURCE_EMBEDDING if side == "encoder" else TARGET_EMBEDDING
        return self._need(embedding).shape[1]

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

    def _positions(self, side: str) -> Positions:
        return read_positions(self.file, side, self._num_layers(side), self.used)

    def _num_layers(self, side: str) -> int:
        layout = self.layout
        return layout.encoder_layers if side == "encoder" else layout.decoder_layers

    def longest(self, side: str, length: int) -> int:
        """So many positions, or those that the model has, or sees at once."""
        windows = [
            self.file.scalar(f"{name}/sliding_window", 0)
            for name in self._attentions()
            # All but what a target alone is seen through.
            if side == "decoder"
            or not name.startswith("decoder")
            or name.endswith("/attention")
        ]
        most = [int(window) for window in windows if window > 0]
        table = self.positions[side].table
        return min(length, *most, length if table is None else len(table))

    def _attentions(self) -> Iterator[str]:
        for there, _, role in self.layout.blocks():
            yield f"{there}/self_attention"
            if role == "self":
                yield f"{there}/attention"

    def heads(self, attention: str) -> tuple[int, int]:
        """How many heads ask, and how many have keys and values of their own."""
        heads = int(self._setting(f"{attention.partition('/')[0]}/num_heads", 8))
        return heads, int(self.file.scalar(f"{attention}/num_heads_kv", heads))

    def _check_names(self, names: set[str], folder: Path) -> None:
        """`InputError` for what would be ignored, and for what is missing."""
        known = set(self.used)
        for linear in self.layout.linears():
            self._need(f"{linear.name}/weight")
            known |= {f"{linear.name}/{end}" for end in ("weight", "weight_scale", "bias")}
        for there, _ in self.norms():
            self._need(f"{there}/gamma")
            known |= {f"{there}/gamma", f"{there}/beta"}
        known |= {f"{there}/{end}" for there in self._attentions() for end in _OF_ATTENTION}
        for name in (*self.others, f"{PROJECTION}/weight"):
            known |= {name, f"{name}_scale"}
        known |= {f"{PROJECTION}/bias", *(f"{side}/pre_norm" for side in self.styles)}
        known |= {"decoder/start_from_zero_embedding", "decoder/scale_outputs"}
        for name, neutral in NEUTRAL.items():
            if neutral is None or self.file.scalar(name, neutral) == neutral:
                known.add(name)
        if unknown := sorted(names - known):
            raise InputError(f"{folder} has {unknown[0]}, which is not supported.")

    def norms(self) -> Iterator[tuple[str, str]]:
        """Name of each normalization in the file, and of the layer."""
        style = self.styles["encoder"]
        yield from self.layout.norms(style, style.final_norm)

    def build(self, preprocessor: Any, reads_end: bool, dropout: float) -> Seq2Seq:
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
            embedding, **self.settings("encoder", preprocessor.source_positions, dropout)
        )
        decoder = TransformerDecoder(
            shared,
            tie_output=self.is_tied,
            output_bias=self.is_tied,
            **self.settings("decoder", preprocessor.max_target_length + 1, dropout),
        )
        return Seq2Seq(encoder, decoder, preprocessor)

    @property
    def is_tied(self) -> bool:
        """Whether the logits are products with the target embeddings."""
        return self.file.same(f"{PROJECTION}/weight", TARGET_EMBEDDING)

    def settings(self, side: str, max_length: int, dropout: float) -> dict[str, Any]:
        return {
            "intermediate_dim": self.file[f"{side}/layer_0/ffn/linear_0/weight"].shape[0],
            "num_heads": int(self._setting(f"{side}/num_heads", 8)),
            "num_layers": self._num_layers(side),
            "max_length": max_length,
            "dropout": dropout,
            "normalize_first": bool(self._setting(f"{side}/pre_norm", 1)),
            "positions": self.positions[side].kind,
            "style": self.styles[side],
        }


@contextmanager
def fitting(folder: Path) -> Iterator[None]:
    """`InputError` for arrays each of which is possible, but which do not fit one another."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, IndexError, ZeroDivisionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{folder}: its weights do not fit one another: {reason}") from error


def refuse(options: dict[str, Any], name: Any, kind: str) -> None:
    """`InputError` for an option that is given and does not apply to what is of this kind."""
    for option, value in options.items():
        if value is not None:
            text = option.replace("_", "-")
            raise InputError(f"--{text} does not apply to {name}, a {kind}.")


def _count(names: set[str], side: str) -> int:
    """Blocks of an encoder or decoder, which are numbered from 0."""
    count = 0
    while any(name.startswith(f"{side}/layer_{count}/") for name in names):
        count += 1
    if not count:
        raise InputError(f"The model lacks {side}/layer_0.")
    return count
