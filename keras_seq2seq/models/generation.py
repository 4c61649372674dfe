"""Generation of strings: sources and settings to targets, streams and search trees.

A source is what the model's preprocessor takes: a string, or an array or file of frames or
sound.
"""

import dataclasses
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.data.preprocessor import raise_problems
from keras_seq2seq.decoding import (
    Hypotheses,
    SearchTree,
    Snapshot,
)
from keras_seq2seq.decoding.values import numbers_of
from keras_seq2seq.errors import InputError, check_counts
from keras_seq2seq.models.answers import Answer, answers_of, why_none
from keras_seq2seq.models.constraints import length_range, prefix_problems
from keras_seq2seq.models.input_check import list_of_sources, list_of_texts
from keras_seq2seq.models.model_settings import check_settings_type
from keras_seq2seq.models.scoring import TextScoring
from keras_seq2seq.models.search_graphs import first_of
from keras_seq2seq.settings import GenerationSettings


class TextGeneration(TextScoring):
    """What a model that can `encode` and `step` gains; mixed into `Seq2Seq`."""

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
        settings = chosen_settings(settings, changes)
        _warn_of_one(changes, "stream")
        steps = self._snapshots(source, settings, prefix)

        def texts() -> Iterator[str]:
            snapshot = None
            for snapshot in steps:
                yield self.texts(snapshot.live)[0][0]
            if snapshot is not None:
                _warn_of_none(snapshot.ended.log_probs.numpy())
                sources = [source] if settings.replace_unknown else None
                yield self.texts(snapshot.ended, sources)[0][0]

        return texts()

    def _snapshots(
        self, source: Any, settings: GenerationSettings, prefix: str = ""
    ) -> Iterator[Snapshot]:
        # A prefix that is no string is not to pass for none.
        prefixes = None if prefix == "" else [prefix]
        self._check_sources([source], settings, prefixes)
        arguments = [self.preprocessor.encoder_inputs([source]), self._fed_values(settings)]
        if prefixes is not None:
            arguments.append(tf.constant(prefixes))
        structure = self._structure_of(settings, False)
        steps = self._steppings(structure, prefixes is not None).run(*arguments)
        size = self._max_length(settings)
        return (
            one._replace(ended=first_of(one.ended, settings.num_hypotheses, size))
            for one in steps
        )

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
        settings = chosen_settings(settings, changes, num_beams=4)
        # All that end, not the n best alone.
        settings = dataclasses.replace(settings, num_hypotheses=settings.num_beams)
        return SearchTree.of(self._snapshots(source, settings, prefix), self.end_id)

    def source_problems(
        self,
        sources: Sequence[Any],
        settings: GenerationSettings | None = None,
        prefixes: Sequence[str] | None = None,
    ) -> tuple[np.ndarray, dict[int, str]]:
        """The lengths of the sources, and of each that cannot be generated from, by its
        index, why: what follows "the source".

        Args:
            sources: A list of sources.
            settings: `GenerationSettings`. Defaults to greedy search.
            prefixes: One string a source, optional.

        Raises:
            InputError: If the settings do not fit this model, or the numbers of sources and
                prefixes differ.
        """
        settings = settings or GenerationSettings()
        max_length = self.check_settings(settings)
        lengths, problems = self.preprocessor.source_problems(sources)
        most = np.full(len(sources), max_length - 1)
        if settings.has_length_ratio and len(sources):
            values = {**numbers_of(settings), "max_length": max_length - 1}
            least, most = (
                tensor.numpy()
                for tensor in length_range(settings, values, lengths.astype(np.int32))
            )
            for index in map(int, np.flatnonzero(least > most)):
                problems.setdefault(
                    index,
                    f"has {lengths[index]} {self.preprocessor.unit}, so its target would need "
                    f"at least {least[index]} and at most {most[index]} tokens.",
                )
        if prefixes is None:
            return lengths, problems
        if len(prefixes) != len(sources):
            raise InputError(
                "There must be one prefix a source, empty for none. Received: "
                f"{len(prefixes)} prefixes, {len(sources)} sources."
            )
        allowed = self._allowed(settings, max_length)
        found = prefix_problems(prefixes, most, self._target, allowed)
        return lengths, dict(sorted({**found, **problems}.items()))

    def _check_sources(
        self,
        sources: Sequence[Any],
        settings: GenerationSettings,
        prefixes: Sequence[str] | None,
    ) -> np.ndarray:
        """The lengths of the sources; `InputError` for what cannot be generated from, before
        any work."""
        lengths, problems = self.source_problems(sources, settings, prefixes)
        raise_problems(problems, len(sources))
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
            InputError: If a source is empty, too long or none that the model reads (all of
                them are named, before any work; `answers` goes on with the others), or a
                setting is out of range.

        Warns:
            If a source has no target: the rules leave none, or a probability is NaN; if more
            is asked for in `changes` than the best target.
        """
        settings = chosen_settings(settings, changes)
        _warn_of_one(changes, "generate")
        is_one = self.preprocessor.is_one(sources)
        lines = [sources] if is_one else list_of_sources(sources)
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
            are as wide as the longest source. Of a source that has no target, because the
            rules leave none, the log probability is below -5e8; because a probability is not
            a number, it is NaN. It warns of both.
        """
        settings = chosen_settings(settings, changes)
        if self.preprocessor.is_one(sources):
            raise InputError(
                f"`search` takes a list of sources. Received one: {sources!r:.60}. Put it "
                "into a list."
            )
        sources = list_of_sources(sources)
        if isinstance(prefixes, str):
            prefixes = [prefixes] * len(sources)
        elif prefixes is not None:
            prefixes = list_of_texts("prefixes", prefixes)
        check_batches(batch_size, jit_compile, prefixes)
        lengths = self._check_sources(sources, settings, prefixes)
        if not len(sources):
            return self._no_hypotheses(settings)
        found = self._decode(sources, lengths, settings, prefixes, batch_size, jit_compile)
        _warn_of_none(found.log_probs)
        return found

    def answers(
        self,
        sources: Iterable[Any],
        settings: GenerationSettings | None = None,
        *,
        prefixes: str | Iterable[str] | None = None,
        window: int = 2048,
        batch_size: int | None = None,
        jit_compile: bool = False,
        **changes: Any,
    ) -> Iterator[Answer]:
        """An answer for each source, in order, as they come: one that cannot be answered
        says why and costs the others nothing.

        The sources are read as the answers are taken, a window at a time, and within it those
        of similar length are decoded together: memory does not grow with their number.

        Args:
            sources: Any iterable of sources.
            settings: `GenerationSettings`. Defaults to greedy search.
            prefixes: What each target begins with: one string for all, or one a source.
                Defaults to nothing.
            window: int. Sources that are read ahead at most; the first windows are smaller.
                Defaults to 2048.
            batch_size: int. Sources that are decoded together at most. Defaults to as many as
                make 1024 hypotheses.
            jit_compile: bool. As of `generate`.
            **changes: Fields of `GenerationSettings`.

        Yields:
            `Answer`: texts, the best first, and their log probabilities; or an error.

        Raises:
            InputError: If the settings do not fit this model, before the first answer; or
                if there are fewer prefixes than sources, when they end.
        """
        settings = chosen_settings(settings, changes)
        if self.preprocessor.is_one(sources) or not isinstance(sources, Iterable):
            raise InputError(
                f"`answers` takes many sources. Received one: {sources!r:.60}. Put it into a "
                "list."
            )
        check_batches(1 if batch_size is None else batch_size, jit_compile, prefixes)
        check_counts(window=window)
        max_length = self.check_settings(settings)
        if isinstance(prefixes, str):
            allowed = self._allowed(settings, max_length)
            every = prefix_problems([prefixes], [max_length - 1], self._target, allowed)
            if every:
                raise InputError(f"Every target {every[0]}")
        return answers_of(
            self, iter(sources), settings, prefixes, window, batch_size, jit_compile
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


def chosen_settings(
    settings: GenerationSettings | None, changes: dict[str, Any], **defaults: Any
) -> GenerationSettings:
    """The settings with changes by name; `InputError` for what are none."""
    if settings is None:
        settings = GenerationSettings(**defaults)
    check_settings_type(settings)
    return dataclasses.replace(settings, **changes)


def check_batches(batch_size: int, jit_compile: bool, prefixes: Any) -> None:
    """Raises `InputError` for a batch of nothing, and for prefixes with XLA."""
    check_counts(batch_size=batch_size)
    if not isinstance(jit_compile, bool):
        raise InputError(f"`jit_compile` must be a bool. Received: {jit_compile!r:.60}.")
    if jit_compile and prefixes is not None:
        raise InputError(
            "A search with prefixes cannot be compiled. Received: jit_compile=True and "
            "prefixes. Leave one of them out."
        )


def _warn_of_one(changes: dict[str, Any], method: str) -> None:
    """Warns of what is asked for and does not come out."""
    for name, default in (("num_hypotheses", 1), ("alignments", False)):
        if changes.get(name, default) != default:
            warnings.warn(
                f"`{method}` gives the best target alone; `search` and `answers` give what "
                f"{name}={changes[name]} asks for.",
                UserWarning,
                stacklevel=3,
            )


def _warn_of_none(log_probs: np.ndarray) -> None:
    best = log_probs[:, 0]
    for reason in dict.fromkeys(why for one in best[~(best > -5e8)] if (why := why_none(one))):
        wrong = [i for i, one in enumerate(best) if why_none(one) == reason]
        message = f"Source {wrong[0] + 1} of {len(best)} has no target: {reason}."
        if len(wrong) > 1:
            message += f" The same of {len(wrong) - 1} more."
        warnings.warn(message, UserWarning, stacklevel=3)
