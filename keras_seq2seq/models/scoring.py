"""Scores and alignments of given targets, by teacher forcing."""

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.data.preprocessor import raise_problems
from keras_seq2seq.data.text import why_no_text
from keras_seq2seq.decoding import score_tokens
from keras_seq2seq.errors import InputError, check_counts
from keras_seq2seq.models.answers import NOT_A_NUMBER
from keras_seq2seq.models.input_check import list_of_sources, list_of_texts
from keras_seq2seq.models.search_graphs import SearchGraphs
from keras_seq2seq.special_tokens import PAD_ID


class TextScoring(SearchGraphs):
    """Adds the log probabilities and alignments of given pairs of strings."""

    # A cache around `_build_score_function`.
    _score_function: Any

    def _begin_caches(self) -> None:
        super()._begin_caches()
        self._score_function = lru_cache(1)(self._build_score_function)

    def score(
        self, sources: Sequence[Any], targets: Sequence[str], *, batch_size: int = 256
    ) -> np.ndarray:
        """`log P(target | source)` of each pair, `(pairs,)`, float32."""
        parts = self.token_log_probs(sources, targets, batch_size=batch_size)
        return np.array([part.sum() for part in parts], np.float32)

    def token_log_probs(
        self, sources: Sequence[Any], targets: Sequence[str], *, batch_size: int = 256
    ) -> list[np.ndarray]:
        """Log probability of every token of given targets, with teacher forcing.

        Args:
            sources: What the model's preprocessor takes.
            targets: As many target strings.
            batch_size: int. Pairs that are scored together. Defaults to 256.

        Returns:
            Of each pair `(target_length + 1,)`, float32: its tokens and the end token.

        Raises:
            InputError: If a source is empty or too long, a target has more tokens than the
                decoder has room for, one of them is no string, or the numbers differ; all bad
                ones are named, before any work.

        Warns:
            If a log probability is not a number.
        """
        if self.preprocessor.is_one(sources):
            raise InputError(
                f"Lists are scored. Received one source: {sources!r:.60}. Put it and its "
                "target into lists."
            )
        check_counts(batch_size=batch_size)
        sources, targets = list_of_sources(sources), list_of_texts("targets", targets)
        lengths, problems = self.pair_problems(sources, targets)
        raise_problems(problems, len(sources), "Pair")
        batch_size = min(batch_size, self.preprocessor.rows_at_most(lengths))
        parts: list[np.ndarray] = [np.zeros(0)] * len(sources)
        order = np.argsort([len(target) for target in targets], kind="stable")
        for begin in range(0, len(order), batch_size):
            batch = order[begin : begin + batch_size]
            log_probs, sizes = self._score_function()(
                self.preprocessor.encoder_inputs([sources[i] for i in batch]),
                tf.constant([targets[i] for i in batch]),
            )
            for index, row, length in zip(batch, log_probs.numpy(), sizes.numpy(), strict=True):
                parts[index] = row[:length]
        wrong = [index for index, part in enumerate(parts) if np.isnan(part).any()]
        if wrong:
            warnings.warn(
                f"Pair {wrong[0] + 1} of {len(parts)} has no score: {NOT_A_NUMBER}. "
                f"{len(wrong)} in all.",
                UserWarning,
                stacklevel=2,
            )
        return parts

    def pair_problems(
        self, sources: Sequence[Any], targets: Sequence[str]
    ) -> tuple[np.ndarray, dict[int, str]]:
        """The lengths of the sources, and of each pair that cannot be scored, by its index,
        why: what follows "the pair".

        Raises:
            InputError: If the numbers of sources and targets differ.
        """
        if len(sources) != len(targets):
            raise InputError(
                "There must be one target a source. Received: "
                f"{len(sources)} sources, {len(targets)} targets."
            )
        lengths, found = self.preprocessor.source_problems(sources)
        problems = {index: f"has a source that {why}" for index, why in found.items()}
        for index, target in enumerate(targets):
            if why := why_no_text(target):
                problems.setdefault(index, f"has a target that {why}")
        most = self.decoder.max_length
        readable = [index for index in range(len(targets)) if index not in problems]
        if most is not None and readable:
            sizes = self._target.tokenize([targets[i] for i in readable]).row_lengths().numpy()
            for index, size in zip(readable, sizes, strict=True):
                if size >= most:
                    problems[index] = (
                        f"has a target of {size} tokens; the decoder takes at most {most - 1}."
                    )
        return lengths, dict(sorted(problems.items()))

    def _build_score_function(self) -> Any:
        spec = [self.encoder_spec(), tf.TensorSpec([None], tf.string)]

        @tf.function(input_signature=spec, autograph=False)
        def function(encoder_inputs, targets):
            target_ids = self.preprocessor.tokenize_target(targets)
            inputs, labels, _ = self.preprocessor.pack_inputs(encoder_inputs, target_ids)
            lengths = tf.reduce_sum(tf.cast(labels != PAD_ID, tf.int32), 1)
            return self.score_tokens(inputs, labels), lengths

        return function

    def score_tokens(self, inputs: dict[str, Any], labels: Any) -> tf.Tensor:
        """Training inputs and labels -> log probability of each label `(batch, length)`."""
        logits = self(inputs, training=False)  # type: ignore[operator]
        return score_tokens(logits, labels)

    def align(self, sources: Sequence[Any], targets: Sequence[str]) -> np.ndarray:
        """Attention weights with teacher forcing, `(batch, target_length,
        source_length)`: the weights that stepping through the same target gives.

        Raises:
            InputError: If the model has no attention.
        """
        if self.alignment_model is None:
            raise InputError("This model has no attention, so there is no alignment to show.")
        sources, targets = list_of_sources(sources), list_of_texts("targets", targets)
        _, problems = self.pair_problems(sources, targets)
        raise_problems(problems, len(sources), "Pair")
        inputs, _, _ = self.preprocessor(sources, targets)
        return np.asarray(self.alignment_model(inputs, training=False))
