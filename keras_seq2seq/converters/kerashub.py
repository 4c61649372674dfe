"""KerasHub's BART and T5 in this package's loop: beam search, rules, one exported artefact."""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import tensorflow as tf
import tensorflow_text
from keras import ops
from keras_nlp.tokenizers import BytePairTokenizer, SentencePieceTokenizer

from keras_seq2seq.arguments import checked
from keras_seq2seq.converters.kerashub_tokenizers import ids_of, merges_of
from keras_seq2seq.data import TextPreprocessor
from keras_seq2seq.decoding import Search, Values
from keras_seq2seq.errors import InputError
from keras_seq2seq.models.generation import TextGeneration
from keras_seq2seq.models.parts import ENCODER_TOKEN_IDS, State
from keras_seq2seq.settings import GenerationSettings
from keras_seq2seq.tokenizers.byte_level_bpe import bytes_of, split_byte_level_words
from keras_seq2seq.tokenizers.merges import Merges
from keras_seq2seq.tokenizers.sentencepiece_tokenizer import load_pieces

ENCODER_PADDING_MASK = "encoder_padding_mask"


class _BytePairs:
    """KerasHub's `BytePairTokenizer` as it is inside a graph, with three differences.

    That of keras-hub 0.32 drops the Devanagari digit six, which is a mark of its own, splits
    white space at the end of a text otherwise than GPT-2, and its graph keeps every word that
    it has ever split, so a server would grow without end.
    """

    def __init__(self, tokenizer: BytePairTokenizer):
        self._prefix = " " if tokenizer.add_prefix_space else ""
        self._special = list(tokenizer.unsplittable_tokens or [])
        self._merges = Merges(merges_of(tokenizer))
        self._ids = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                list(tokenizer.vocabulary),
                list(tokenizer.vocabulary.values()),
                value_dtype=tf.int32,
            ),
            default_value=-1,
        )
        self.detokenize = tokenizer.detokenize
        self.tables = [tokenizer, self._ids, *self._merges.tables]

    def tokenize(self, strings: tf.Tensor) -> tf.RaggedTensor:
        """`(batch,)` strings -> ragged `(batch, None)` ids; a special token is itself."""
        strings = tf.strings.join([self._prefix, strings])
        expression = "|".join(map(re.escape, self._special)) or "$^"
        parts = tensorflow_text.regex_split(strings, expression, expression)
        texts = parts.flat_values
        is_special = tf.reduce_any(texts[:, None] == tf.constant(self._special, tf.string), 1)
        words = split_byte_level_words(tf.where(is_special, "", texts))
        pieces = self._merges.split(words, bytes_of).merge_dims(1, 2)
        special = tf.RaggedTensor.from_row_lengths(
            tf.boolean_mask(texts, is_special), tf.cast(is_special, tf.int64)
        )
        pieces = tf.concat([special, pieces], axis=1)
        ids = pieces.with_flat_values(self._ids.lookup(pieces.flat_values))
        return parts.with_values(ids).merge_dims(1, 2)


class KerasHubTokenizer:
    """A KerasHub tokenizer as this package asks one: ragged ids, the same in and out of a
    graph, and texts that end before the end token.

    Args:
        tokenizer: Such as `keras_hub.models.BartTokenizer`.
    """

    lowercase = False
    separator = ""

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer
        self.end_token_id = tokenizer.end_token_id
        self.start_token_id = tokenizer.start_token_id
        self.pad_token_id = tokenizer.pad_token_id
        self.unknown_token_id = -1  # A byte is never unknown.
        operations = tokenizer
        # What a SavedModel must keep.
        self.tables = [tokenizer]
        if isinstance(tokenizer, SentencePieceTokenizer):
            self.unknown_token_id = tokenizer.token_to_id("<unk>")
            operations = load_pieces(tokenizer.proto, tf.int32)
            self.tables = [operations._model_resource]
        elif isinstance(tokenizer, BytePairTokenizer):
            operations = _BytePairs(tokenizer)
            self.tables = operations.tables
        # Outside a graph KerasHub's tokenizers return lists.
        self._tokenize = tf.function(
            operations.tokenize, input_signature=[tf.TensorSpec([None], tf.string)]
        )
        self._detokenize = tf.function(
            operations.detokenize, input_signature=[tf.RaggedTensorSpec([None, None], tf.int32)]
        )

    @property
    def description(self) -> dict[str, Any]:
        return {"split": f"keras_hub.{type(self.tokenizer).__name__}"}

    def tokenize(self, inputs: Any) -> tf.RaggedTensor:
        """`(batch,)` strings -> ragged `(batch, None)`, int32, without start or end."""
        return self._tokenize(tf.convert_to_tensor(inputs, tf.string))

    def detokenize(self, inputs: Any, replacements: Any = None) -> tf.Tensor:
        """`(..., length)` ids -> `(...)` strings, special tokens left out."""
        ids = tf.cast(tf.convert_to_tensor(inputs), tf.int32)
        keep = tf.cumsum(tf.cast(ids == self.end_token_id, tf.int32), axis=-1) == 0
        for token_id in self.tokenizer.special_token_ids:
            keep &= ids != token_id
        shape = tf.shape(ids)
        flat = tf.stack([tf.reduce_prod(shape[:-1]), shape[-1]])
        kept = tf.ragged.boolean_mask(tf.reshape(ids, flat), tf.reshape(keep, flat))
        return tf.reshape(self._detokenize(kept), shape[:-1])

    def split_text(self, text: str) -> list[str]:
        """The tokens of one string."""
        return [self.id_to_token(int(one)) for one in self.tokenize([text]).flat_values]

    def vocabulary_size(self) -> int:
        return self.tokenizer.vocabulary_size()

    def id_to_token(self, id: int) -> str:
        return self.tokenizer.id_to_token(id)

    def token_to_id(self, token: str) -> int:
        vocabulary = self.tokenizer.get_vocabulary()
        return self.tokenizer.token_to_id(token) if token in vocabulary else 0


class KerasHubPreprocessor(TextPreprocessor):
    """What KerasHub's `Seq2SeqLMPreprocessor` puts around a source, without cutting it.

    Args:
        preprocessor: `keras_hub.models.BartSeq2SeqLMPreprocessor` or that of T5; its
            `encoder_sequence_length` is the longest source, special tokens included.
        max_target_length: int. Target tokens at most, without the end token.
    """

    @checked
    def __init__(self, preprocessor: Any, max_target_length: int):
        if not preprocessor.built:
            preprocessor.build(None)
        tokenizer: Any = KerasHubTokenizer(preprocessor.tokenizer)
        self.before = ids_of(preprocessor.encoder_packer.start_value)
        self._pad_id = tokenizer.pad_token_id
        # The first is what decoding starts with, the others are given.
        self.start_id, *self.prompt = ids_of(preprocessor.decoder_packer.start_value)
        longest = preprocessor.encoder_sequence_length - len(self.before) - 1
        super().__init__(tokenizer, tokenizer, longest, max_target_length)

    def pad_source(self, source_ids: tf.RaggedTensor, length: Any = -1) -> dict[str, tf.Tensor]:
        before = tf.tile(tf.constant([self.before], tf.int32), [source_ids.nrows(), 1])
        ids = tf.concat([before, tf.cast(source_ids, tf.int32)], axis=1)
        dense = ids.to_tensor(self._pad_id, shape=tf.stack([-1, length]))
        mask = tf.sequence_mask(ids.row_lengths(), tf.shape(dense)[1], tf.int32)
        return {ENCODER_TOKEN_IDS: dense, ENCODER_PADDING_MASK: mask}


def _plain_writes() -> AbstractContextManager[Any]:
    """A scope in which KerasHub writes into its caches with TensorFlow's own operations.

    `keras.ops.slice_update` is an operation of XLA, which TensorFlow Serving may lack.
    """
    return mock.patch.object(ops, "slice_update", _write)


def _write(cache: Any, start: Any, update: Any) -> Any:
    """`update` `(batch, n, ...)` in the place of the positions from `start[1]` of the cache."""
    begin = start[1]
    if update.shape[1] == 1:
        is_here = tf.range(tf.shape(cache)[1]) == tf.cast(begin, tf.int32)
        return tf.where(is_here[None, :, None, None], update, cache)
    end = begin + tf.shape(update)[1]
    return tf.concat([cache[:, :begin], update, cache[:, end:]], axis=1)


class Seq2SeqLMGeneration(TextGeneration):
    """Generates with KerasHub's `BartSeq2SeqLM` or `T5Seq2SeqLM` through `encode` and `step`.

    With the model's own preprocessor, strings go in and out, with all settings of
    `GenerationSettings` that need no attention weights:

    ```python
    generation = Seq2SeqLMGeneration(bart, max_length=20)
    generation.generate(["the quick brown fox"], num_beams=4)
    ```

    Without one, on ids:

    ```python
    generation = Seq2SeqLMGeneration(bart, max_length=20, start_id=2, end_id=2)
    hypotheses = generation.decode(inputs, BeamSearch(4, end_id=2), 20, rules=[])
    ```

    Args:
        model: The `keras_hub.models.BartSeq2SeqLM` or `T5Seq2SeqLM`.
        max_length: int. Tokens to generate at most, the end token included.
        start_id: int. The token before the first; BART's is its end token, T5's its padding.
            Defaults to that of the model's preprocessor.
        end_id: int. The token that ends a target. Likewise.

    Raises:
        InputError: If `max_length` is below 1 or above what BART's positions hold, or the ids
            are missing and there is no preprocessor.
    """

    @checked
    def __init__(
        self,
        model: Any,
        max_length: int,
        start_id: int | None = None,
        end_id: int | None = None,
    ):
        # T5's positions are relative: there is no last one.
        longest = getattr(model.backbone, "max_sequence_length", None)
        if max_length < 1 or (longest is not None and max_length > longest):
            raise InputError(
                f"`max_length` must be in [1, {longest or 'any number'}], the positions of the "
                f"model. Received: max_length={max_length}."
            )
        self._preprocessor: KerasHubPreprocessor | None = None
        self._prompt: list[int] = []
        if model.preprocessor is not None:
            own = KerasHubPreprocessor(model.preprocessor, max_length - 1)
            self._preprocessor, self._prompt = own, own.prompt
            start_id = own.start_id if start_id is None else start_id
            end_id = own.target_tokenizer.end_token_id if end_id is None else end_id
        if start_id is None or end_id is None:
            raise InputError(
                "A model without a preprocessor needs `start_id` and `end_id`. Received: "
                f"start_id={start_id}, end_id={end_id}."
            )
        self.model = model
        self.weights = model.weights
        self.trainable_weights = model.trainable_weights
        self.alignment_model = None
        self._longest, self._start_id, self._end_id = max_length, start_id, end_id
        self.decoder: Any = SimpleNamespace(
            vocabulary_size=model.backbone.vocabulary_size, max_length=max_length
        )
        self._begin_caches()

    @property
    def start_id(self) -> int:
        return self._start_id

    @property
    def end_id(self) -> int:
        return self._end_id

    @property
    def max_length(self) -> int:
        return self._longest

    @property
    def _structural(self) -> list[int]:
        # KerasHub rules nothing out, and BART starts with the token that ends.
        return []

    def encoder_spec(self, batch_size: int | None = None) -> dict[str, tf.TensorSpec]:
        """Shapes and dtypes of the inputs of `encode`."""
        return {
            name: tf.TensorSpec((batch_size, None), tf.int32, name)
            for name in (ENCODER_TOKEN_IDS, ENCODER_PADDING_MASK)
        }

    def encode(self, inputs: dict[str, Any]) -> State:
        """`encoder_token_ids` and `encoder_padding_mask`, `(batch, source_length)` ->
        the state: both caches, batch first, and the position."""
        mask = inputs[ENCODER_PADDING_MASK]
        hidden = self.model.call_encoder(inputs[ENCODER_TOKEN_IDS], mask)
        # KerasHub fills the cache of the source with a pass over target tokens of any value.
        tokens = ops.zeros((ops.shape(hidden)[0], self._longest), "int32")
        self_cache, cross_cache = self.model._initialize_cache(hidden, tokens)
        with _plain_writes():
            *_, cross_cache = self.model.call_decoder_with_cache(
                hidden, mask, tokens, self_cache, 0, cross_cache, 0
            )
        return {
            "memory": hidden,
            "memory_mask": mask,
            "cross_cache": self._flat(cross_cache),
            "self_cache": self._flat(self_cache),
            "position": ops.zeros_like(tokens[:, 0]),
        }

    def step(self, token: Any, state: State) -> tuple[Any, State]:
        """`(batch,)` token ids and state -> logits and the entries that changed."""
        position = state["position"]
        with _plain_writes():
            logits, _, self_cache, _ = self.model.call_decoder_with_cache(
                state["memory"],
                state["memory_mask"],
                ops.convert_to_tensor(token, "int32")[:, None],
                self._whole(state["self_cache"]),
                position[0],  # All rows are at the same step.
                self._whole(state["cross_cache"]),
                None,
            )
        return logits[:, 0], {"self_cache": self._flat(self_cache), "position": position + 1}

    def _search_from(
        self,
        begin: dict[str, Any],
        settings: GenerationSettings,
        prefix_ids: tf.RaggedTensor | None = None,
        values: Values | None = None,
        fixed_shapes: bool = False,
    ) -> Search:
        # BART's prompt of a second token counts as one.
        if self._prompt:
            rows = tf.shape(begin["state"]["memory"])[0]
            prompt = tf.RaggedTensor.from_tensor(tf.tile([self._prompt], [rows, 1]))
            parts = [prompt] if prefix_ids is None else [prompt, prefix_ids]
            prefix_ids = tf.concat(parts, axis=1)
        return super()._search_from(begin, settings, prefix_ids, values, fixed_shapes)

    def score(
        self, sources: Sequence[Any], targets: Sequence[str], *, batch_size: int = 256
    ) -> Any:
        raise InputError(
            "The score of given targets is not offered for KerasHub models; call the model "
            "on them."
        )

    def _lengths(self, inputs: dict[str, Any]) -> tf.Tensor:
        before = len(self._preprocessor.before) if self._preprocessor else 0
        return tf.reduce_sum(inputs[ENCODER_PADDING_MASK], axis=1) - before - 1

    # TFLite repeats tensors of five dimensions at most; KerasHub's caches have six.

    def _flat(self, cache: Any) -> Any:
        """`(batch, layers, 2, length, heads, dim)` -> `(batch, 2 layers, length, hidden)`."""
        _, layers, _, _, heads, dim = cache.shape
        return ops.reshape(cache, (-1, 2 * layers, ops.shape(cache)[3], heads * dim))

    def _whole(self, cache: Any) -> Any:
        layers, heads = self.model.backbone.num_layers, self.model.backbone.num_heads
        length, size = ops.shape(cache)[2], cache.shape[3]
        return ops.reshape(cache, (-1, layers, 2, length, heads, size // heads))
