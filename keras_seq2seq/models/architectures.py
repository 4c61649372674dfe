"""Ready-made encoder-decoders by name; each is an expression of parts to copy and change."""

from collections.abc import Callable
from typing import Any

from keras_seq2seq.layers import LuongAttention
from keras_seq2seq.models.bridges import CopyBridge
from keras_seq2seq.models.recurrent import RecurrentDecoder, RecurrentEncoder
from keras_seq2seq.models.seq2seq import Seq2Seq
from keras_seq2seq.models.transformer import TransformerDecoder, TransformerEncoder


def lstm(
    preprocessor: Any,
    *,
    embedding_dim: int = 128,
    hidden_dim: int = 256,
    num_layers: int = 1,
    dropout: float = 0.1,
) -> Seq2Seq:
    """The fixed-vector model: the LSTM encoder's final states seed an LSTM decoder.

    Reference: [Sutskever et al., 2014](https://arxiv.org/abs/1409.3215).

    Args:
        preprocessor: `TextPreprocessor`, which gives the vocabulary sizes.
        embedding_dim: int. Defaults to 128.
        hidden_dim: int. Units of every layer. Defaults to 256.
        num_layers: int. Layers of the encoder, and of the decoder. Defaults to 1.
        dropout: float. Defaults to 0.1.
    """
    return Seq2Seq(
        RecurrentEncoder(
            preprocessor.source_tokenizer.vocabulary_size(),
            embedding_dim,
            hidden_dim,
            num_layers,
            dropout=dropout,
        ),
        RecurrentDecoder(
            preprocessor.target_tokenizer.vocabulary_size(),
            embedding_dim,
            hidden_dim,
            num_layers,
            bridge=CopyBridge(),
            dropout=dropout,
        ),
        preprocessor,
    )


def lstm_attention(
    preprocessor: Any,
    *,
    embedding_dim: int = 128,
    hidden_dim: int = 256,
    num_layers: int = 1,
    dropout: float = 0.1,
) -> Seq2Seq:
    """A bidirectional LSTM encoder and an LSTM decoder with Luong attention.

    Reference: [Luong et al., 2015](https://arxiv.org/abs/1508.04025).

    Args:
        preprocessor: `TextPreprocessor`, which gives the vocabulary sizes.
        embedding_dim: int. Defaults to 128.
        hidden_dim: int. Units of a decoder layer and of the attention; each direction of
            the encoder has half of it (rounded up). Defaults to 256.
        num_layers: int. Layers of the encoder, and of the decoder. Defaults to 1.
        dropout: float. Defaults to 0.1.
    """
    return Seq2Seq(
        RecurrentEncoder(
            preprocessor.source_tokenizer.vocabulary_size(),
            embedding_dim,
            -(-hidden_dim // 2),
            num_layers,
            bidirectional=True,
            dropout=dropout,
        ),
        RecurrentDecoder(
            preprocessor.target_tokenizer.vocabulary_size(),
            embedding_dim,
            hidden_dim,
            num_layers,
            attention=LuongAttention(hidden_dim, name="decoder_attention"),
            dropout=dropout,
        ),
        preprocessor,
    )


def transformer(
    preprocessor: Any,
    *,
    hidden_dim: int = 256,
    num_layers: int = 4,
    num_heads: int = 4,
    dropout: float = 0.1,
) -> Seq2Seq:
    """A Transformer encoder and decoder, pre-norm, feed-forward four times as wide.

    Reference: [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762).

    Args:
        preprocessor: `TextPreprocessor`, which gives the vocabulary sizes and the greatest
            target length.
        hidden_dim: int. Width; a multiple of `2 * num_heads`. Defaults to 256.
        num_layers: int. Blocks of the encoder, and of the decoder. Defaults to 4.
        num_heads: int. Defaults to 4.
        dropout: float. Defaults to 0.1.
    """
    return Seq2Seq(
        TransformerEncoder(
            preprocessor.source_tokenizer.vocabulary_size(),
            hidden_dim,
            4 * hidden_dim,
            num_heads,
            num_layers,
            dropout=dropout,
        ),
        TransformerDecoder(
            preprocessor.target_tokenizer.vocabulary_size(),
            hidden_dim,
            4 * hidden_dim,
            num_heads,
            num_layers,
            max_length=preprocessor.max_target_length + 1,
            dropout=dropout,
        ),
        preprocessor,
    )


ARCHITECTURES: dict[str, Callable[..., Seq2Seq]] = {
    "lstm": lstm,
    "lstm_attention": lstm_attention,
    "transformer": transformer,
}
