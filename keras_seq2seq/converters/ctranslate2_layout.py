"""Which variable of CTranslate2's `TransformerSpec` is which layer here, for both ways."""

from collections.abc import Iterator
from dataclasses import dataclass

from keras_seq2seq.models import TransformerStyle

# What a file of an encoder and a decoder of text is called, and the revision that is written.
SPECIFICATION, REVISION = "TransformerSpec", 7

# By CTranslate2's number of an activation.
ACTIVATIONS = ("relu", "gelu_tanh", "swish", "gelu", "gelu_sigmoid", "tanh", "sigmoid")

# Names of both embeddings, and of the map to logits without its end.
SOURCE_EMBEDDING = "encoder/embeddings_0/weight"
TARGET_EMBEDDING = "decoder/embeddings/weight"
PROJECTION = "decoder/projection"

# Settings beside those that are read: what they must be, or `None` for what has no effect on
# tokens and scores.
NEUTRAL = {
    "encoder/embeddings_merge": None,
    "encoder/multi_query_attention": None,
    "encoder/embeddings_0/multiply_by_sqrt_depth": None,
    "decoder/embeddings/multiply_by_sqrt_depth": None,
    "encoder/sliding_window": None,
    "decoder/sliding_window": None,
    "decoder/alibi": 0,
    "decoder/alibi_use_positive_positions": None,
    "decoder/scale_alibi": None,
    "decoder/alignment_layer": None,
    "decoder/alignment_heads": None,
}

# Normalizations around a cross-attention whose output is normalized too.
AROUND_CROSS = "external_pre_encoder_attention", "external_post_encoder_attention"


@dataclass(frozen=True)
class Linear:
    """A linear map of the file, `(out, in)`.

    Attributes:
        name: In the file, without `/weight`.
        layers: Names of the layers whose outputs it has side by side.
        asks: Whether the first of them makes queries.
    """

    name: str
    layers: tuple[str, ...]
    asks: bool = False


@dataclass(frozen=True)
class Layout:
    """Names of an encoder and a decoder of so many blocks.

    Attributes:
        encoder_layers: int.
        decoder_layers: int.
        gated: Sides whose feed-forward layers are gated.
    """

    encoder_layers: int
    decoder_layers: int
    gated: tuple[str, ...]

    def blocks(self) -> Iterator[tuple[str, str, str]]:
        """Of each block its name in the file, its name here, and the role of its
        self-attention here."""
        for side, count, role in (
            ("encoder", self.encoder_layers, "attention"),
            ("decoder", self.decoder_layers, "self"),
        ):
            for index in range(count):
                yield f"{side}/layer_{index}", f"{side}_{index}", role

    def linears(self) -> Iterator[Linear]:
        """All but the projection to logits."""
        for there, here, role in self.blocks():
            own, cross, ffn = f"{there}/self_attention", f"{there}/attention", f"{there}/ffn"
            query, key, value = (f"{here}_{role}_{kind}" for kind in ("query", "key", "value"))
            yield Linear(f"{own}/linear_0", (query, key, value), asks=True)
            yield Linear(f"{own}/linear_1", (f"{here}_{role}_output",))
            if role == "self":
                memory = f"{here}_cross_key", f"{here}_cross_value"
                yield Linear(f"{cross}/linear_0", (f"{here}_cross_query",), asks=True)
                yield Linear(f"{cross}/linear_1", memory)
                yield Linear(f"{cross}/linear_2", (f"{here}_cross_output",))
            yield Linear(f"{ffn}/linear_0", (f"{here}_inner",))
            if there.partition("/")[0] in self.gated:
                yield Linear(f"{ffn}/linear_0_noact", (f"{here}_gate",))
            yield Linear(f"{ffn}/linear_1", (f"{here}_outer",))

    def norms(self, style: TransformerStyle, final_norm: bool) -> Iterator[tuple[str, str]]:
        """Name of each normalization in the file, and of the layer."""
        for there, here, role in self.blocks():
            sublayers = [
                ("self_attention", "input", "post_attention", f"{here}_{role}"),
                ("ffn", "pre_feedforward", "post_feedforward", f"{here}_feed_forward"),
            ]
            if role == "self":
                sublayers.append(("attention", *AROUND_CROSS, f"{here}_cross"))
            for inside, before, after, name in sublayers:
                if style.post_norm:
                    yield f"{there}/{before}_layer_norm", f"{name}_norm"
                    yield f"{there}/{after}_layer_norm", f"{name}_post_norm"
                else:
                    yield f"{there}/{inside}/layer_norm", f"{name}_norm"
        for side in ("encoder", "decoder"):
            if style.embedding_norm:
                yield f"{side}/layernorm_embedding", f"{side}_embedding_norm"
            if final_norm:
                yield f"{side}/layer_norm", f"{side}_norm"
