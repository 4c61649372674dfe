"""Pairs of texts to what the models take."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.augmentation import Augmentation
from keras_seq2seq.data.preprocessor import (
    Preprocessor,
    SourceIndex,
    append_id,
    check_tokenizer,
    count_unknown,
    index_texts,
    longest_of,
)
from keras_seq2seq.data.readers import check_equal_length
from keras_seq2seq.data.token_lengths import check_list, token_lengths
from keras_seq2seq.errors import InputError
from keras_seq2seq.tokenizers import TableTokenizer


@keras.saving.register_keras_serializable("keras_seq2seq")
class TextPreprocessor(Preprocessor):
    """Turns pairs of strings into the inputs, labels and weights of a training step.

    For the source `"cab"` and the target `"K AE B"`, with ids 4 and up for tokens:

    ```
    encoder_token_ids   [  6,  4,  5, end ]        the source and the end token
    decoder_token_ids   [ start, 9, 7, 8 ]         the target shifted right
    labels              [  9,  7,  8, end ]        what each position predicts
    weights             [  1., 1., 1., 1. ]        0. where padded
    ```

    Everything runs in the graph, so that it also runs inside an exported model.

    Args:
        source_tokenizer: Such as `CharacterTokenizer`; padding is id 0.
        target_tokenizer: Likewise.
        max_source_length: int. Source tokens at most, without the end token. A longer source
            is an error, never cut.
        max_target_length: int. Target tokens at most, without the end token: the longest
            target in training, and where generation stops.

    Raises:
        InputError: If a length is below 1.
    """

    kind = "text"
    unit = "tokens"

    @checked
    def __init__(
        self,
        source_tokenizer: TableTokenizer,
        target_tokenizer: TableTokenizer,
        max_source_length: int,
        max_target_length: int,
    ):
        super().__init__(target_tokenizer, max_source_length, max_target_length)
        check_tokenizer("source", source_tokenizer)
        self.source_tokenizer = source_tokenizer

    @classmethod
    @checked
    def from_pairs(
        cls,
        sources: Sequence[str],
        targets: Sequence[str],
        source_tokenizer: type[TableTokenizer],
        target_tokenizer: type[TableTokenizer],
        *,
        max_source_length: int | None = None,
        max_target_length: int | None = None,
        lowercase_source: bool = False,
        min_count: int = 1,
    ) -> "TextPreprocessor":
        """Builds both vocabularies from the data and takes the maxima from it.

        Args:
            sources: Source strings.
            targets: Target strings.
            source_tokenizer: Tokenizer class with `from_lines`.
            target_tokenizer: Likewise.
            max_source_length: int, optional. Defaults to the longest source.
            max_target_length: int, optional. Defaults to the longest target.
            lowercase_source: bool. Lower-case sources first. Defaults to `False`.
            min_count: int. Tokens seen less often become unknown. Defaults to 1.

        Raises:
            InputError: If there is not one target a source, or one is no text.
        """
        check_equal_length(sources, targets)
        check_list("Source", sources)
        check_list("Target", targets)
        source = source_tokenizer.from_lines(
            sources, min_count=min_count, lowercase=lowercase_source, name="source_vocabulary"
        )
        target = target_tokenizer.from_lines(
            targets, min_count=min_count, name="target_vocabulary"
        )
        return cls(
            source,
            target,
            longest_of(source, sources) if max_source_length is None else max_source_length,
            longest_of(target, targets) if max_target_length is None else max_target_length,
        )

    @property
    def source_size(self) -> tuple[str, int]:
        return "vocabulary_size", self.source_tokenizer.vocabulary_size()

    @property
    def source_positions(self) -> int:
        return self.max_source_length + 1

    @property
    def tokenizers(self) -> dict[str, TableTokenizer]:
        return {"source": self.source_tokenizer, "target": self.target_tokenizer}

    @property
    def tokens_around(self) -> int:
        # A tokenizer of another package has none.
        tokenizer = self.source_tokenizer
        return sum(len(getattr(tokenizer, name, ())) for name in ("begin_ids", "finish_ids"))

    def tokenize_source(self, sources: Any) -> tf.RaggedTensor:
        """`(batch,)` strings -> ragged `(batch, None)`, int32, with the end token."""
        check_list("Source", sources)
        return append_id(
            self.source_tokenizer.tokenize(sources), self.source_tokenizer.end_token_id
        )

    def encoder_inputs(self, sources: Any) -> dict[str, tf.Tensor]:
        """`(batch,)` strings -> `{"encoder_token_ids": (batch, source_length)}`, int32."""
        return self.pad_source(self.tokenize_source(sources))

    def pad_source(self, source_ids: tf.RaggedTensor, length: Any = -1) -> dict[str, tf.Tensor]:
        """Ragged ids with end tokens -> the encoder inputs, padded to `length` (default: to
        the longest)."""
        shape = tf.stack([-1, length])
        return {"encoder_token_ids": source_ids.to_tensor(0, shape=shape)}

    def index_sources(
        self, sources: Sequence[str], augmentation: Augmentation | None = None, seed: int = 0
    ) -> SourceIndex:
        if augmentation:
            raise InputError("Augmentation is for sound and frames. Received sources of text.")
        index = index_texts("Source", self.source_tokenizer, sources)
        return SourceIndex(
            index.lengths,
            lambda rows, length, epoch: self.pad_source(index.ids(rows), length),
        )

    def pack(self, source_ids: tf.RaggedTensor, target_ids: tf.RaggedTensor, shapes=None):
        """Ragged ids with end tokens -> `(inputs, labels, weights)` of a training step.

        Args:
            source_ids: Ragged `(batch, None)`, int32.
            target_ids: Ragged `(batch, None)`, int32.
            shapes: Pair of ints or scalars, optional: the lengths to pad sources and targets
                to. Defaults to the longest of the batch.
        """
        source_length, target_length = shapes if shapes is not None else (-1, -1)
        return self.pack_inputs(
            self.pad_source(source_ids, source_length), target_ids, target_length
        )

    def source_lengths(self, sources: Sequence[str]) -> np.ndarray:
        """Tokens of each source, without the end token, `(sources,)`."""
        check_list("Source", sources)
        return token_lengths(self.source_tokenizer, sources)

    def count_unknown(self, sources: Sequence[str]) -> dict[str, int]:
        """The source tokens that the vocabulary lacks, with how often each occurs."""
        return count_unknown(self.source_tokenizer, sources)

    def get_config(self) -> dict[str, Any]:
        return {
            "source_tokenizer": keras.saving.serialize_keras_object(self.source_tokenizer),
            "target_tokenizer": keras.saving.serialize_keras_object(self.target_tokenizer),
            "max_source_length": self.max_source_length,
            "max_target_length": self.max_target_length,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TextPreprocessor":
        return cls(
            **{
                **config,
                "source_tokenizer": keras.saving.deserialize_keras_object(
                    config["source_tokenizer"]
                ),
                "target_tokenizer": keras.saving.deserialize_keras_object(
                    config["target_tokenizer"]
                ),
            }
        )
