"""How a source becomes a sequence of vectors: the first part of every encoder."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import keras

from keras_seq2seq.arguments import checked
from keras_seq2seq.errors import InputError
from keras_seq2seq.layers import DenseGradientEmbedding, MaskedConvolution, SentencePooling
from keras_seq2seq.models.parts import ENCODER_TOKEN_IDS, Part, Tensor, check_sizes
from keras_seq2seq.special_tokens import END_ID, PAD_ID


class SourceEmbedding(Part):
    """Base: `build` receives the start of layer names, `__call__` gives vectors and mask.

    Attributes:
        embedding_dim: int. Size of a vector.
        vocabulary_size: int, or `None` for a source that is not token ids.
        compiles: bool. Whether XLA can compile it: whether shapes follow from those of the
            inputs, whatever their values.
        window: int. Positions of the source that every source is made as long as; its mask is
            then `True` throughout. 0 for none: each source has its own length.
    """

    role = "embedding"
    embedding_dim: int
    vocabulary_size: int | None = None
    compiles: bool = True
    window: int = 0

    def output_length(self, length: int) -> int:
        """Vectors that a source of so many positions becomes."""
        return length

    @abstractmethod
    def build(self, name: str) -> None:
        """Makes the layers. The first call decides on their names, so that an encoder and a
        decoder can share one embedding."""

    @abstractmethod
    def inputs(self) -> dict[str, Tensor]:
        """New Keras inputs by name."""

    @abstractmethod
    def __call__(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The sequence `(batch, source_length, embedding_dim)` and its mask `(batch,
        source_length)`, bool, `True` where there is source."""

    def token_ids(self, inputs: dict[str, Tensor]) -> Tensor | None:
        """The token id of each position `(batch, source_length)`, int32; `None` where a
        position is not one token."""
        return None


@keras.saving.register_keras_serializable("keras_seq2seq")
class TokenEmbedding(SourceEmbedding):
    """A vector for each token id; id 0 is padding.

    An encoder and a decoder that receive the same object share the vectors; a decoder with
    `tie_output=True` uses them for its logits too (Press & Wolf, 2017).

    Args:
        vocabulary_size: int. Number of tokens, special ones included.
        embedding_dim: int. Size of a vector.
        reads_end: bool. Whether the last end token of a source is read; else it is masked as
            padding is. Defaults to `True`.

    Input: `encoder_token_ids` `(batch, source_length)`, int32.

    Raises:
        InputError: If a size is below 1.

    Reference:
        [Press & Wolf, 2017](https://arxiv.org/abs/1608.05859).
    """

    @checked
    def __init__(self, vocabulary_size: int, embedding_dim: int, reads_end: bool = True):
        check_sizes(vocabulary_size=vocabulary_size, embedding_dim=embedding_dim)
        self.vocabulary_size: int = vocabulary_size
        self.embedding_dim = embedding_dim
        self.reads_end = reads_end
        self._layer: Any = None

    def build(self, name: str) -> None:
        if self._layer is None:
            # Of the size that gives unit variance to embeddings scaled by sqrt(D), and to
            # logits of a tied output.
            self._layer = DenseGradientEmbedding(
                self.vocabulary_size,
                self.embedding_dim,
                tie_weights=True,
                embeddings_initializer=keras.initializers.RandomNormal(
                    stddev=self.embedding_dim**-0.5
                ),
                reverse_dtype="float32",
                name=f"{name}_embedding",
            )

    def inputs(self) -> dict[str, Tensor]:
        return {ENCODER_TOKEN_IDS: keras.Input((None,), dtype="int32", name=ENCODER_TOKEN_IDS)}

    def __call__(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        token_ids = inputs[ENCODER_TOKEN_IDS]
        mask = keras.ops.not_equal(token_ids, PAD_ID)
        if not self.reads_end:
            # The last: a source may hold another, before what it finishes with.
            behind = keras.ops.pad(token_ids[:, 1:], [[0, 0], [0, 1]], constant_values=PAD_ID)
            read = keras.ops.logical_or(
                keras.ops.not_equal(token_ids, END_ID), keras.ops.not_equal(behind, PAD_ID)
            )
            mask = keras.ops.logical_and(mask, read)
        return self.embed(token_ids), mask

    def token_ids(self, inputs: dict[str, Tensor]) -> Tensor:
        return inputs[ENCODER_TOKEN_IDS]

    def embed(self, token_ids: Tensor) -> Tensor:
        """`(...)` ids -> `(..., embedding_dim)`."""
        return self._layer(token_ids)

    def logits(self, hidden: Tensor) -> Tensor:
        """`(..., embedding_dim)` -> `(..., vocabulary_size)`, float32: products with every
        token's vector."""
        return self._layer(hidden, reverse=True)

    @property
    def vectors(self) -> Tensor:
        """`(vocabulary_size, embedding_dim)`."""
        return keras.ops.convert_to_tensor(self._layer.embeddings)

    def get_config(self) -> dict[str, Any]:
        return {
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "reads_end": self.reads_end,
        }


@keras.saving.register_keras_serializable("keras_seq2seq")
class ConvolutionEmbedding(SourceEmbedding):
    """Convolutions over time on top of another embedding, each of which can shorten it.

    Args:
        embedding: `TokenEmbedding`, `FrameEmbedding` or another.
        filters: int. Size of a vector after each convolution.
        kernel_size: int. Positions that one output sees. Defaults to 3.
        strides: int, or one for each convolution. It keeps one of so many positions. Defaults
            to 1.
        num_layers: int. Defaults to 1.
        activation: string. Of Keras. Defaults to `"relu"`.

    Raises:
        InputError: If a size is below 1, or strides are not as many as layers.
    """

    @checked
    def __init__(
        self,
        embedding: SourceEmbedding,
        filters: int,
        kernel_size: int = 3,
        strides: int | Sequence[int] = 1,
        num_layers: int = 1,
        activation: str = "relu",
    ):
        check_sizes(filters=filters, kernel_size=kernel_size, num_layers=num_layers)
        each = [strides] * num_layers if isinstance(strides, int) else list(strides)
        check_sizes(**{f"strides_{index}": one for index, one in enumerate(each)})
        if len(each) != num_layers:
            raise InputError(
                f"There must be one stride a layer. Received: strides={strides}, "
                f"num_layers={num_layers}."
            )
        self.embedding = embedding
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.num_layers = num_layers
        self.activation = activation
        self._strides = each
        self.embedding_dim = filters
        # What the sources must fit.
        self.vocabulary_size = embedding.vocabulary_size
        self.compiles = embedding.compiles
        self.window = embedding.window
        self.feature_dim = getattr(embedding, "feature_dim", None)
        self.sample_rate = getattr(embedding, "sample_rate", None)
        self._layers: list[keras.layers.Layer] = []

    def build(self, name: str) -> None:
        self.embedding.build(name)
        self._layers = self._layers or [
            MaskedConvolution(
                self.filters,
                self.kernel_size,
                strides,
                activation=self.activation,
                name=f"{name}_convolution_{index}",
            )
            for index, strides in enumerate(self._strides)
        ]

    def output_length(self, length: int) -> int:
        length = self.embedding.output_length(length)
        for strides in self._strides:
            length = -(-length // strides)
        return length

    def inputs(self) -> dict[str, Tensor]:
        return self.embedding.inputs()

    def __call__(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        sequence, mask = self.embedding(inputs)
        for layer in self._layers:
            sequence, mask = layer(sequence, mask)
        return sequence, mask

    def get_config(self) -> dict[str, Any]:
        return {
            "embedding": keras.saving.serialize_keras_object(self.embedding),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "num_layers": self.num_layers,
            "activation": self.activation,
        }


@keras.saving.register_keras_serializable("keras_seq2seq")
class SentenceEmbedding(SourceEmbedding):
    """A vector for each sentence: the sum of its tokens' vectors, weighted by place.

    Attention then chooses among sentences, and an encoder reads as many positions as there
    are sentences: for long sources whose sentences each say one thing.

    Args:
        embedding: `TokenEmbedding`.
        end_ids: ints, not 0. Ids of the tokens that end a sentence, such as of `.` and `?`.
        max_places: int. As of `SentencePooling`. Defaults to 32.

    Raises:
        InputError: If there are no end ids, or one is not in the vocabulary.
    """

    # The number of sentences is not known beforehand.
    compiles = False

    @checked
    def __init__(self, embedding: TokenEmbedding, end_ids: Sequence[int], max_places: int = 32):
        self.embedding = embedding
        self.end_ids = [int(end_id) for end_id in end_ids]
        self.max_places = max_places
        self.embedding_dim = embedding.embedding_dim
        self.vocabulary_size = embedding.vocabulary_size
        if max(self.end_ids, default=0) >= embedding.vocabulary_size:
            raise InputError(
                f"`end_ids` must be below the vocabulary size, {embedding.vocabulary_size}. "
                f"Received: end_ids={self.end_ids}."
            )
        self._layer: Any = None

    def build(self, name: str) -> None:
        self.embedding.build(name)
        if self._layer is None:
            self._layer = SentencePooling(
                self.end_ids, self.max_places, name=f"{name}_sentences"
            )

    def inputs(self) -> dict[str, Tensor]:
        return self.embedding.inputs()

    def __call__(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        vectors, _ = self.embedding(inputs)
        return self._layer(vectors, self.embedding.token_ids(inputs))

    def get_config(self) -> dict[str, Any]:
        return {
            "embedding": keras.saving.serialize_keras_object(self.embedding),
            "end_ids": self.end_ids,
            "max_places": self.max_places,
        }
