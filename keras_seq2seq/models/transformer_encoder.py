"""Transformer encoder."""

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.models.embeddings import SourceEmbedding
from keras_seq2seq.models.parts import Encoder, EncoderOutput, Tensor
from keras_seq2seq.models.transformer_blocks import (
    AttentionProjections,
    FeedForward,
    Relation,
    Residual,
    TransformerSettings,
)
from keras_seq2seq.models.transformer_style import TransformerStyle


class _EncoderBlock:
    def __init__(self, of: TransformerSettings, name: str):
        self._attention = AttentionProjections(
            of.hidden_dim,
            of.num_heads,
            of.attention_dropout,
            f"{name}_attention",
            rotary=of.positions == "rotary",
            style=of.style,
        )
        self._residual = Residual(of.normalize_first, of.dropout, f"{name}_attention", of.style)
        self._feed_forward = FeedForward(
            of.hidden_dim, of.intermediate_dim, of.normalize_first, of.dropout, name, of.style
        )

    def __call__(self, sequence: Tensor, mask: Tensor | None, relation: Relation) -> Tensor:
        read, attention = self._residual.enter(sequence), self._attention
        output, _ = attention(read, attention.key(read), attention.value(read), mask, relation)
        return self._feed_forward(self._residual.leave(sequence, output))


@keras.saving.register_keras_serializable("keras_seq2seq")
class TransformerEncoder(TransformerSettings, Encoder):
    """Scales the embeddings, adds positions, and applies blocks of self-attention.

    A block is `x + attention(norm(x))`, then `x + feed_forward(norm(x))`, and one
    normalization follows the last block; with `normalize_first=False` it is
    `norm(x + attention(x))`, then `norm(x + feed_forward(x))`. Padding is masked.

    Args:
        embedding: `SourceEmbedding`, such as `TokenEmbedding`. Its size is the width of the
            model; a multiple of `2 * num_heads`.
        intermediate_dim: int. Width inside a feed-forward layer.
        num_heads: int.
        num_layers: int.
        max_length: int, optional. Source positions at most, the end token included; needed
            for learned positions.
        dropout: float in [0, 1), of embeddings and sublayer outputs. Defaults to 0.
        normalize_first: bool. Defaults to `True`.
        positions: string. `"sinusoidal"` (default) or `"learned"`, added to the embeddings;
            `"rotary"`, `"relative"` or `"relative_vectors"`, inside the self-attention; or
            `"none"`.
        attention_dropout: float in [0, 1), optional, of attention weights. Defaults to
            `dropout`.
        style: `TransformerStyle`, optional: activation, normalization and other choices.
        name: string. Start of the names of the layers. Defaults to `"encoder"`.

    Raises:
        InputError: If a size is below 1, the heads do not fit the width, or `positions` is
            unknown.

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762); normalization before the
        sublayers as in [Xiong et al., 2020](https://arxiv.org/abs/2002.04745).
    """

    block = _EncoderBlock

    @checked
    def __init__(
        self,
        embedding: SourceEmbedding,
        intermediate_dim: int,
        num_heads: int,
        num_layers: int,
        max_length: int | None = None,
        dropout: float = 0.0,
        normalize_first: bool = True,
        positions: str = "sinusoidal",
        attention_dropout: float | None = None,
        name: str = "encoder",
        style: TransformerStyle | None = None,
    ):
        super().__init__(
            embedding,
            intermediate_dim,
            num_heads,
            num_layers,
            max_length,
            dropout,
            normalize_first,
            positions,
            attention_dropout,
            name,
            style,
        )

    def __call__(self, inputs: dict[str, Tensor]) -> EncoderOutput:
        sequence, mask = self.embedding(inputs)
        sequence = self._begin(sequence)
        # In a window there is nothing to hide.
        hidden = None if self.embedding.window else mask
        for block, relation in zip(self._blocks, self._relations(mask), strict=True):
            sequence = block(sequence, hidden, relation)
        return EncoderOutput(
            self._end(sequence), mask, token_ids=self.embedding.token_ids(inputs)
        )
