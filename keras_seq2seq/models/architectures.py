"""Ready-made models: parts chosen by a few settings, and sizes by name."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import (
    BahdanauAttention,
    CTCLoss,
    LocationSensitiveAttention,
    LuongAttention,
    MemoryAttention,
    MonotonicAttention,
)
from keras_seq2seq.models.bridges import CopyBridge, DenseBridge
from keras_seq2seq.models.embeddings import SourceEmbedding, TokenEmbedding
from keras_seq2seq.models.pointer_generator import PointerGenerator
from keras_seq2seq.models.recurrent_decoder import RecurrentDecoder
from keras_seq2seq.models.recurrent_encoder import RecurrentEncoder
from keras_seq2seq.models.seq2seq import Seq2Seq
from keras_seq2seq.models.sources import source_embedding
from keras_seq2seq.models.transformer_decoder import TransformerDecoder
from keras_seq2seq.models.transformer_encoder import TransformerEncoder

# Name -> attention layer of so many units.
ATTENTIONS: dict[str, Callable[[int], MemoryAttention] | None] = {
    "none": None,
    "dot": lambda units: LuongAttention(units, "dot", name="decoder_attention"),
    "general": lambda units: LuongAttention(units, "general", name="decoder_attention"),
    "concat": lambda units: LuongAttention(units, "concat", name="decoder_attention"),
    "additive": lambda units: BahdanauAttention(units, name="decoder_attention"),
    "location": lambda units: LocationSensitiveAttention(units, name="decoder_attention"),
    "monotonic": lambda units: MonotonicAttention(units, name="decoder_attention"),
}


@dataclass(frozen=True)
class Shared:
    """What `recurrent` and `transformer` share: source, output and loss around their parts.

    Attributes:
        convolutions: int. Layers of a `ConvolutionEmbedding` over the source. Defaults to 0.
        convolution_strides: int. Its strides. Defaults to 2.
        spec_augment: bool. `SpecAugment` on frames and sound. Defaults to `False`.
        picture_cells: bool. Each place of a picture is a position of its own, for attention to
            choose. Defaults to `False`.
        sentence_ends: string. Source tokens that end a sentence, with spaces between: the
            encoder reads a vector a sentence (`SentenceEmbedding`). Defaults to none: a vector
            a token.
        ctc_weight: float. Weight of a `CTCLoss`; 0 (default) for none.
        frequency_warp: float. `FrequencyWarp` of this share on sound. Defaults to 0, none.
        dynamic_range: float. That of a `LogMelSpectrogram`, in decibels. Defaults to 0, all.
        share_embeddings: bool. Source and target have the same embeddings; their
            vocabularies must be the same. Defaults to `False`.
        copy: bool. A `PointerGenerator`, which copies source tokens; the vocabularies must
            be the same. Defaults to `False`.
    """

    convolutions: int = 0
    convolution_strides: int = 2
    spec_augment: bool = False
    picture_cells: bool = False
    sentence_ends: str = ""
    ctc_weight: float = 0.0
    frequency_warp: float = 0.0
    dynamic_range: float = 0.0
    share_embeddings: bool = False
    copy: bool = False

    def around(
        self,
        preprocessor: Any,
        embedding_dim: int,
        encoder_of: Callable[[SourceEmbedding], Any],
        decoder_of: Callable[[TokenEmbedding], Any],
    ) -> Seq2Seq:
        """The model of an encoder and a decoder, which are made of their embeddings."""
        source = source_embedding(
            preprocessor,
            embedding_dim,
            self.convolutions,
            self.convolution_strides,
            self.spec_augment,
            self.picture_cells,
            self.sentence_ends,
            self.frequency_warp,
            self.dynamic_range,
        )
        encoder = encoder_of(source)
        decoder = decoder_of(
            _target_embedding(preprocessor, source, embedding_dim, self.share_embeddings)
        )
        size = preprocessor.target_tokenizer.vocabulary_size()
        return Seq2Seq(
            encoder,
            PointerGenerator(decoder) if self.copy else decoder,
            preprocessor,
            ctc=CTCLoss(size, self.ctc_weight) if self.ctc_weight else None,
        )


@checked
def recurrent(
    preprocessor: Any,
    *,
    embedding_dim: int = 128,
    hidden_dim: int = 256,
    num_layers: int = 1,
    encoder_layers: int = 0,
    cell: str = "lstm",
    bidirectional: bool = True,
    attention: str = "general",
    input_feeding: str = "none",
    residual: bool = False,
    dropout: float = 0.1,
    recurrent_dropout: float = 0.0,
    tie_output: bool = False,
    time_reduction: int = 1,
    **shared: Any,
) -> Seq2Seq:
    """A recurrent encoder and decoder.

    Args:
        preprocessor: Which gives the kind of the source and the vocabulary sizes.
        embedding_dim: int. Defaults to 128.
        hidden_dim: int. Units of a decoder layer and of the attention; each direction of a
            bidirectional encoder has half of it (rounded up). Defaults to 256.
        num_layers: int. Layers of the encoder, and of the decoder. Defaults to 1.
        encoder_layers: int. Layers of the encoder; 0 (default) for `num_layers`.
        cell: string, `"lstm"`, `"gru"` or `"simple_rnn"`. Defaults to `"lstm"`.
        bidirectional: bool. Whether the encoder reads both ways. Defaults to `True`.
        attention: string: `"none"`, `"dot"`, `"general"` (default), `"concat"`,
            `"additive"`, `"location"` or `"monotonic"`.
        input_feeding: string. As of `RecurrentDecoder`. Defaults to `"none"`.
        residual: bool. Defaults to `False`.
        dropout: float. Defaults to 0.1.
        recurrent_dropout: float. Defaults to 0.
        tie_output: bool. Logits from the target embeddings; needs `embedding_dim` equal to
            `hidden_dim`. Defaults to `False`.
        time_reduction: int. As of `RecurrentEncoder`. Defaults to 1.
        **shared: As of `Shared`.

    Raises:
        InputError: If a setting is unknown, sizes do not fit, or vocabularies that must be
            the same differ.
    """
    if attention not in ATTENTIONS:
        raise InputError(
            f"`attention` must be one of {', '.join(ATTENTIONS)}. Received: "
            f"attention={attention!r}."
        )
    attend = ATTENTIONS[attention]
    both: dict[str, Any] = {
        "cell": cell,
        "residual": residual,
        "dropout": dropout,
        "recurrent_dropout": recurrent_dropout,
    }
    return Shared(**shared).around(
        preprocessor,
        embedding_dim,
        lambda source: RecurrentEncoder(
            source,
            -(-hidden_dim // 2) if bidirectional else hidden_dim,
            num_layers=encoder_layers or num_layers,
            bidirectional=bidirectional,
            time_reduction=time_reduction,
            **both,
        ),
        lambda target: RecurrentDecoder(
            target,
            hidden_dim,
            num_layers=num_layers,
            attention=None if attend is None else attend(hidden_dim),
            bridge=DenseBridge() if bidirectional else CopyBridge(),
            input_feeding=input_feeding,
            tie_output=tie_output,
            **both,
        ),
    )


@dataclass(frozen=True)
class Sizes:
    """What `lstm` and `lstm_attention` take, as of `recurrent`."""

    embedding_dim: int = 128
    hidden_dim: int = 256
    num_layers: int = 1
    dropout: float = 0.1
    recurrent_dropout: float = 0.0


def lstm(preprocessor: Any, **sizes: Any) -> Seq2Seq:
    """The fixed-vector model: the LSTM encoder's final states seed an LSTM decoder.

    Reference: [Sutskever et al., 2014](https://arxiv.org/abs/1409.3215).

    Args:
        preprocessor: As of `recurrent`.
        **sizes: As of `Sizes`.
    """
    return recurrent(
        preprocessor, **asdict(Sizes(**sizes)), bidirectional=False, attention="none"
    )


def lstm_attention(preprocessor: Any, **sizes: Any) -> Seq2Seq:
    """A bidirectional LSTM encoder and an LSTM decoder with Luong attention (`"general"`).

    Reference: [Luong et al., 2015](https://arxiv.org/abs/1508.04025).

    Args:
        preprocessor: As of `recurrent`.
        **sizes: As of `Sizes`.
    """
    return recurrent(preprocessor, **asdict(Sizes(**sizes)))


@checked
def transformer(
    preprocessor: Any,
    *,
    hidden_dim: int = 256,
    intermediate_dim: int | None = None,
    num_layers: int = 4,
    encoder_layers: int = 0,
    num_heads: int = 4,
    dropout: float = 0.1,
    attention_dropout: float | None = None,
    normalize_first: bool = True,
    positions: str = "sinusoidal",
    tie_output: bool = False,
    **shared: Any,
) -> Seq2Seq:
    """A Transformer encoder and decoder.

    Reference: [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762).

    Args:
        preprocessor: Which gives the kind of the source, the vocabulary sizes and the
            greatest lengths.
        hidden_dim: int. Width; a multiple of `2 * num_heads`. Defaults to 256.
        intermediate_dim: int. Width inside a feed-forward layer. Defaults to
            `4 * hidden_dim`.
        num_layers: int. Blocks of the encoder, and of the decoder. Defaults to 4.
        encoder_layers: int. Blocks of the encoder; 0 (default) for `num_layers`.
        num_heads: int. Defaults to 4.
        dropout: float. Defaults to 0.1.
        attention_dropout: float. Of attention weights. Defaults to `dropout`.
        normalize_first: bool. Defaults to `True`.
        positions: string. As of `TransformerEncoder`. Defaults to `"sinusoidal"`.
        tie_output: bool. Logits from the target embeddings. Defaults to `False`.
        **shared: As of `Shared`.

    Raises:
        InputError: If sizes do not fit, or the vocabularies to be shared differ.
    """
    both: dict[str, Any] = {
        "intermediate_dim": intermediate_dim or 4 * hidden_dim,
        "num_heads": num_heads,
        "dropout": dropout,
        "attention_dropout": attention_dropout,
        "normalize_first": normalize_first,
        "positions": positions,
    }
    return Shared(**shared).around(
        preprocessor,
        hidden_dim,
        lambda source: TransformerEncoder(
            source,
            num_layers=encoder_layers or num_layers,
            max_length=source.output_length(preprocessor.source_positions),
            **both,
        ),
        lambda target: TransformerDecoder(
            target,
            num_layers=num_layers,
            max_length=preprocessor.max_target_length + 1,
            tie_output=tie_output,
            **both,
        ),
    )


def _target_embedding(
    preprocessor: Any, source: SourceEmbedding, embedding_dim: int, share: bool
) -> TokenEmbedding:
    """The embedding of the target: that of the source if it is shared."""
    target = preprocessor.target_tokenizer
    if not share:
        return TokenEmbedding(target.vocabulary_size(), embedding_dim)
    if not isinstance(source, TokenEmbedding):
        raise InputError(
            "Embeddings can be shared by source and target of one vocabulary. Received a "
            f"source embedding {type(source).__name__}."
        )
    if preprocessor.source_tokenizer.get_vocabulary() != target.get_vocabulary():
        raise InputError(
            "Embeddings can be shared by source and target of one vocabulary. Received "
            f"vocabularies of {source.vocabulary_size} and {target.vocabulary_size()} tokens "
            "that differ."
        )
    return source


# What builds the model of `--architecture`, by name.
ARCHITECTURES: dict[str, Callable[..., Seq2Seq]] = {
    "lstm": lstm,
    "lstm_attention": lstm_attention,
    "recurrent": recurrent,
    "transformer": transformer,
}


@dataclass(frozen=True)
class Preset:
    """A size with a name: `PRESETS["transformer_tiny"].build(preprocessor)`.

    Attributes:
        architecture: string. Key of `ARCHITECTURES`.
        settings: Its arguments.
    """

    architecture: str
    settings: dict[str, Any] = field(default_factory=dict)

    def build(self, preprocessor: Any, **changes: Any) -> Seq2Seq:
        """The model, new weights; `changes` replace settings."""
        return ARCHITECTURES[self.architecture](preprocessor, **{**self.settings, **changes})


def _preset(architecture: str, *sizes: int) -> Preset:
    return Preset(architecture, dict(zip(_SIZES[architecture], sizes, strict=True)))


_SIZES = {
    "recurrent": ("embedding_dim", "hidden_dim", "num_layers"),
    "transformer": ("hidden_dim", "intermediate_dim", "num_layers", "num_heads"),
}
# Sizes by name; `docs/models.md` tells their parameters.
PRESETS = {
    "rnn_tiny": _preset("recurrent", 64, 128, 1),
    "rnn_small": _preset("recurrent", 128, 256, 1),
    "rnn_base": _preset("recurrent", 512, 512, 2),
    "transformer_tiny": _preset("transformer", 128, 256, 4, 4),
    "transformer_small": _preset("transformer", 256, 1024, 4, 4),
    "transformer_base": _preset("transformer", 512, 2048, 6, 8),
}
