"""Generation of strings: sources and settings to targets, streams and search trees.

A source is what the model's preprocessor takes: a string, or an array or file of frames or
sound.
"""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.decoding import Hypotheses, SearchTree, Snapshot, num_threads
from keras_seq2seq.errors import InputError
from keras_seq2seq.models.constraints import check_prefixes, length_range
from keras_seq2seq.models.scoring import TextScoring
from keras_seq2seq.settings import GenerationSettings

# TensorFlow's memory optimizer keeps sums of a large loop in variables of one name, so that
# calls from several Python threads at once would fail.
_ONE_AT_A_TIME = threading.Lock()


class TextGeneration(TextScoring):
    """What a model that can `encode` and `step` gains; mixed into `Seq2Seq`."""

    # A cache around `_build_decode_function`; not a dictionary, which TensorFlow would try to
    # save with the model.
    _decode_functions: Any

    def stream(
        self,
        source: Any,
        settings: GenerationSettings | None = None,
        *,
        prefix: str = "",
        **changes: Any,
    ) -> Iterator[str]:
        """Generates the target of one source, token by token, for interactive use.

        Args:
            source: The source.
            settings: `GenerationSettings`. Defaults to greedy search.
            prefix: What the target begins with. Defaults to nothing.
            **changes: Fields of `GenerationSettings`.

        Yields:
            The target so far after every token (of a beam search, of its best live
            hypothesis), and at last what `generate` returns.

        Raises:
            InputError: As `generate`, before the first token.
        """
        settings = dataclasses.replace(settings or GenerationSettings(), **changes)
        steps = self._snapshots(source, settings, prefix)

        def texts() -> Iterator[str]:
            snapshot = None
            for snapshot in steps:
                yield self.texts(snapshot.live)[0][0]
            if snapshot is not None:
                sources = [source] if settings.replace_unknown else None
                yield self.texts(snapshot.ended, sources)[0][0]

        return texts()

    def _snapshots(
        self, source: Any, settings: GenerationSettings, prefix: str = ""
    ) -> Iterator[Snapshot]:
        self._check_sources([source], settings, [prefix] if prefix else None)
        inputs = self.preprocessor.encoder_inputs([source])
        prefix_ids = self._target.tokenize([prefix]) if prefix else None
        return self._search(inputs, settings, prefix_ids).stream()

    def search_tree(
        self,
        source: Any,
        settings: GenerationSettings | None = None,
        *,
        prefix: str = "",
        **changes: Any,
    ) -> SearchTree:
        """Every hypothesis of the search for one source, for a picture of it.

        Args:
            source: The source.
            settings: `GenerationSettings`. Defaults to a beam of 4.
            prefix: What the target begins with. Defaults to nothing.
            **changes: Fields of `GenerationSettings`.

        Raises:
            InputError: As `generate`.
        """
        settings = dataclasses.replace(settings or GenerationSettings(num_beams=4), **changes)
        # All that end, not the n best alone.
        settings = dataclasses.replace(settings, num_hypotheses=settings.num_beams)
        return SearchTree.of(self._snapshots(source, settings, prefix), self.end_id)

    def _check_sources(
        self,
        sources: Sequence[Any],
        settings: GenerationSettings,
        prefixes: Sequence[str] | None,
    ) -> np.ndarray:
        """The lengths of the sources; `InputError` for what cannot be generated from, before
        any work."""
        max_length = self.check_settings(settings)
        lengths = self.preprocessor.check_sources(sources)
        least, most = (
            tensor.numpy()
            for tensor in length_range(settings, max_length, tf.cast(lengths, tf.int32))
        )
        if (wrong := np.flatnonzero(least > most)).size:
            first = wrong[0]
            raise InputError(
                f"Source {first + 1} of {len(sources)} has {lengths[first]} "
                f"{self.preprocessor.unit}, so its "
                f"target would need at least {least[first]} and at most {most[first]} tokens."
            )
        if prefixes is None:
            return lengths
        if len(prefixes) != len(sources):
            raise InputError(
                "There must be one prefix a source, empty for none. Received: "
                f"{len(prefixes)} prefixes, {len(sources)} sources."
            )
        check_prefixes(prefixes, most, self._target, self._allowed(settings, max_length))
        return lengths

    def generate(
        self,
        sources: Any,
        settings: GenerationSettings | None = None,
        *,
        prefixes: str | Sequence[str] | None = None,
        batch_size: int = 256,
        jit_compile: bool = False,
        **changes: Any,
    ) -> str | list[str]:
        """Generates the best target text of each source.

        Args:
            sources: A source or a list of sources: strings, or for a model of frames or
                sound arrays or paths of files.
            settings: `GenerationSettings`. Defaults to greedy search.
            prefixes: What each target begins with: one string for all, or one a source.
                Defaults to nothing.
            batch_size: int. Sources that are decoded together at most. Defaults to 256.
            jit_compile: bool. Compile with XLA, which pays for many sources: seconds for
                each new batch size and length (rounded up, so there are few), then faster
                steps, and the batch in as many pieces as there are threads. The targets are
                the same up to rounding; samples are others than those of the same seed
                without it. Not with `prefixes`. Defaults to `False`.
            **changes: Fields of `GenerationSettings`, such as `num_beams=4`.

        Returns:
            A string for one source, else a list in the order of the sources.

        Raises:
            InputError: If a source is empty or too long, or a setting is out of range.
        """
        settings = dataclasses.replace(settings or GenerationSettings(), **changes)
        is_one = self.preprocessor.is_one(sources)
        lines = [sources] if is_one else list(sources)
        hypotheses = self.search(
            lines,
            settings,
            prefixes=prefixes,
            batch_size=batch_size,
            jit_compile=jit_compile,
        )
        copied = lines if settings.replace_unknown else None
        texts = [row[0] for row in self.texts(hypotheses, copied)]
        return texts[0] if is_one else texts

    def search(
        self,
        sources: Sequence[Any],
        settings: GenerationSettings | None = None,
        *,
        prefixes: str | Sequence[str] | None = None,
        batch_size: int = 256,
        jit_compile: bool = False,
        **changes: Any,
    ) -> Hypotheses:
        """Like `generate`, with ids, lengths, log probabilities and scores of the n best.

        Sources of similar length are decoded together, whatever their order.

        Returns:
            `Hypotheses` of NumPy arrays, rows in the order of the sources; the alignments
            are as wide as the longest source.
        """
        settings = dataclasses.replace(settings or GenerationSettings(), **changes)
        if jit_compile and prefixes is not None:
            raise InputError(
                "A search with prefixes cannot be compiled. Received: jit_compile=True and "
                "prefixes. Leave one of them out."
            )
        if isinstance(prefixes, str):
            prefixes = [prefixes] * len(sources)
        lengths = self._check_sources(sources, settings, prefixes)
        if not len(sources):
            return self._no_hypotheses(settings)
        function = self._decode_functions(settings, prefixes is not None, jit_compile)
        order = np.argsort(lengths, kind="stable")
        batch_size = min(batch_size, self.preprocessor.rows_at_most(lengths))
        parts = []
        for begin in range(0, len(order), batch_size):
            batch = order[begin : begin + batch_size]
            arguments = [self.preprocessor.encoder_inputs([sources[i] for i in batch])]
            if prefixes is not None:
                arguments.append(tf.constant([prefixes[i] for i in batch]))
            with _ONE_AT_A_TIME:
                parts.append(function(*arguments))
        unsort = np.argsort(order, kind="stable")
        return Hypotheses(
            *(
                None if tensors[0] is None else _join_padded(tensors)[unsort]
                for tensors in zip(*parts, strict=True)
            )
        )

    def _no_hypotheses(self, settings: GenerationSettings) -> Hypotheses:
        numbers = np.zeros((0, settings.num_hypotheses), np.float32)
        ids = np.zeros((*numbers.shape, self._max_length(settings)), np.int32)
        alignments = ids[..., None][..., :0] if settings.records_alignments else None
        return Hypotheses(ids, numbers, numbers, numbers, ids.astype(np.float32), alignments)

    def texts(
        self, hypotheses: Hypotheses, sources: Sequence[str] | None = None
    ) -> list[list[str]]:
        """The target texts of hypotheses, a list a source.

        Args:
            hypotheses: As of `search`.
            sources: Source strings, optional: with them an unknown token is replaced by the
                source token with the most attention; the hypotheses must have alignments.
        """
        given = None if sources is None else tf.constant(list(sources), tf.string)
        return [
            [text.decode("utf-8", "replace") for text in row]
            for row in self.detokenize(hypotheses, given).numpy()
        ]

    def detokenize(self, hypotheses: Hypotheses, sources: tf.Tensor | None = None) -> tf.Tensor:
        """`texts` in the graph: `(batch, hypotheses)` strings."""
        if sources is None:
            return self._target.detokenize(hypotheses.token_ids)
        tokenizer = self.preprocessor.source_tokenizer
        pieces = tokenizer.split_strings(sources, tokenizer.lowercase)
        lengths = tf.cast(pieces.row_lengths(), tf.int32)
        dense = pieces.to_tensor("")
        # The end of the source is no token to copy, and sources may be padded further.
        weights = tf.convert_to_tensor(hypotheses.alignments)[..., : tf.shape(dense)[1]]
        is_token = tf.sequence_mask(lengths, tf.shape(weights)[-1])[:, None, None]
        best = tf.argmax(tf.where(is_token, weights, -1.0), -1, output_type=tf.int32)
        replacements = tf.gather(dense, best, batch_dims=1)
        return self._target.detokenize(hypotheses.token_ids, replacements)

    def _build_decode_function(
        self, settings: GenerationSettings, with_prefixes: bool, jit_compile: bool
    ) -> Any:
        # One trace for every batch size and length.
        spec = [self.encoder_spec(), tf.TensorSpec([None], tf.string)][: 1 + with_prefixes]

        @tf.function(input_signature=spec, autograph=False)
        def function(inputs, prefixes=None):
            if jit_compile:
                return self.generate_ids_compiled(inputs, settings, num_threads())
            prefix_ids = self._target.tokenize(prefixes) if with_prefixes else None
            return self.generate_ids(inputs, settings, prefix_ids=prefix_ids)

        return function


def _join_padded(tensors: Sequence[tf.Tensor]) -> np.ndarray:
    """Concatenates batches whose last axes may differ, padded with zeros."""
    widest = max(tensor.shape[-1] for tensor in tensors)
    return np.concatenate(
        [
            np.pad(
                tensor.numpy(),
                [(0, 0)] * (len(tensor.shape) - 1) + [(0, widest - tensor.shape[-1])],
            )
            for tensor in tensors
        ]
    )
