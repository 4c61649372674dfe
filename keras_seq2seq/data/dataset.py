"""The training pipeline: shuffle, length buckets, padded batches, the same after a resume.

A batch begins as the numbers of its pairs. Their texts are read, wherever they are, and
tokenized when the batch is made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.augmentation import Augmentation
from keras_seq2seq.data.order import Repeats, batches_of, steps_of
from keras_seq2seq.data.preprocessor import Preprocessor
from keras_seq2seq.data.readers import check_equal_length
from keras_seq2seq.data.token_swaps import TokenSwaps
from keras_seq2seq.errors import InputError, check_counts

# `tf.data` rewrites the Python that it calls, which takes a second and changes nothing here.
_as_written = tf.autograph.experimental.do_not_convert


@dataclass(frozen=True)
class Buckets:
    """Groups of pairs of similar length; a batch comes from one group.

    Attributes:
        source_lengths: `(buckets,)`, int: what sources of the bucket are padded to.
        target_lengths: `(buckets,)`, int: likewise for targets.
        index: `(pairs,)`, int: bucket of each pair.
        batch_sizes: `(buckets,)`, int: pairs a batch.
    """

    source_lengths: np.ndarray
    target_lengths: np.ndarray
    index: np.ndarray
    batch_sizes: np.ndarray

    @property
    def steps(self) -> int:
        """Batches an epoch: the last batch of a bucket may be smaller, none is dropped."""
        return steps_of(self.counts, self.batch_sizes)

    @property
    def counts(self) -> np.ndarray:
        """`(buckets,)`, int: pairs of each bucket."""
        # Not `bincount`, which makes 8 bytes of each number.
        buckets = range(len(self.batch_sizes))
        return np.array([np.count_nonzero(self.index == bucket) for bucket in buckets])


@checked
def make_buckets(
    source_lengths: np.ndarray,
    target_lengths: np.ndarray,
    batch_size: int,
    num_buckets: int,
    batch_tokens: int | None = None,
) -> Buckets:
    """Cuts the pairs, ordered by the longer of both sides, into buckets of equal count.

    ```
    lengths (source, target)   (3, 3) (3, 4) (9, 7) (8, 9)     num_buckets=2
    bucket                       0      0      1      1
    padded to                   3, 4          9, 9
    ```

    Args:
        source_lengths: `(pairs,)`, int, tokens with the end token, frames or samples.
        target_lengths: `(pairs,)`, int, tokens with the end token.
        batch_size: int. Pairs a batch.
        num_buckets: int. Buckets at most; pairs of equal length share one.
        batch_tokens: int. In place of `batch_size`: tokens a batch at most, padding
            included, of the longer side of its bucket; one pair at least.

    Raises:
        InputError: If `batch_tokens` is below 1.
    """
    if batch_tokens is not None:
        check_counts(batch_tokens=batch_tokens)
    longer = np.maximum(source_lengths, target_lengths)
    quantiles = np.quantile(
        longer, np.linspace(0, 1, num_buckets + 1)[1:], method="inverted_cdf"
    )
    edges = np.unique(quantiles)
    # Lengths are looked up, not searched for, and a bucket is a small number: pairs are many.
    bucket_of = np.searchsorted(edges, np.arange(int(edges[-1]) + 1))
    index = bucket_of.astype(np.min_scalar_type(num_buckets))[longer]
    count = int(bucket_of[-1]) + 1
    source_longest, target_longest = (
        np.array([int((lengths * (index == bucket)).max()) for bucket in range(count)])
        for lengths in (source_lengths, target_lengths)
    )
    batch_sizes = (
        np.full(count, batch_size)
        if batch_tokens is None
        else np.maximum(1, batch_tokens // np.maximum(source_longest, target_longest))
    )
    return Buckets(source_longest, target_longest, index, batch_sizes)


@dataclass(frozen=True)
class TrainingData:
    """A pipeline for `model.fit(data.dataset, steps_per_epoch=data.steps)`.

    Attributes:
        dataset: Endless `tf.data.Dataset` of `(inputs, labels, weights)`.
        steps: int. Batches an epoch.
        buckets: `Buckets`.
    """

    dataset: tf.data.Dataset
    steps: int
    buckets: Buckets

    def twice(self) -> "TrainingData":
        """Batches that hold their rows twice, one half after the other, for
        `keras_seq2seq.losses.RDropCrossentropy`."""

        def double(*batch):
            return tf.nest.map_structure(lambda tensor: tf.concat([tensor] * 2, 0), batch)

        return TrainingData(self.dataset.map(double), self.steps, self.buckets)


def training_data(
    preprocessor: Any,
    sources: Sequence[Any],
    targets: Sequence[str],
    *,
    batch_size: int = 64,
    batch_tokens: int | None = None,
    num_buckets: int = 8,
    seed: int = 0,
    initial_epoch: int = 0,
    initial_step: int = 0,
    weights: np.ndarray | None = None,
    repeats: np.ndarray | None = None,
    augmentation: Augmentation | None = None,
    swaps: TokenSwaps | None = None,
) -> TrainingData:
    """Builds the shuffled, bucketed pipeline of a training run.

    The order of epoch `e` depends on `seed` and `e` alone: a run resumed with
    `initial_epoch=e` and `initial_step=s` sees the batches that it would have seen
    uninterrupted.

    Args:
        preprocessor: `TextPreprocessor`, `FramePreprocessor` or `WaveformPreprocessor`.
        sources: What it takes; files, and texts on the disk, are read when their batch is
            made.
        targets: Target strings.
        batch_size: int. Pairs a batch. Defaults to 64.
        batch_tokens: int. Tokens a batch at most (`make_buckets`), in place of `batch_size`.
        num_buckets: int. Length buckets at most. Defaults to 8.
        seed: int. Defaults to 0.
        initial_epoch: int. The epoch to begin with. Defaults to 0.
        initial_step: int. Batches to leave out from there on, of that epoch and others.
            Defaults to 0.
        weights: `(pairs,)`, float, optional: what each pair weighs in the loss. Defaults to
            the same.
        repeats: `(pairs,)`, float, optional: how often each pair comes in an epoch, as of
            `Repeats`. Defaults to once.
        augmentation: What each epoch changes in sources of sound and frames, by `seed`, epoch
            and row. Defaults to nothing.
        swaps: Tokens that are swapped with their translations, anew every epoch, of
            `learn_token_swaps`. Defaults to none.

    Returns:
        `TrainingData`. Without `repeats` every pair occurs once an epoch.

    Raises:
        InputError: If there is no pair, not one target a source, or one is no text; or if
            sources of this kind cannot be changed so.
    """
    _check_pairs(preprocessor, sources, targets, "train on")
    check_counts(batch_size=batch_size, num_buckets=num_buckets)
    check_counts(0, seed=seed, initial_epoch=initial_epoch, initial_step=initial_step)
    if max(seed, initial_epoch, initial_step) >= 2**63:
        raise InputError("`seed`, `initial_epoch` and `initial_step` must be below 2 ** 63.")
    weights = _factors("weights", weights, len(sources))
    repeats = _factors("repeats", repeats, len(sources))
    source_index = preprocessor.index_sources(sources, augmentation, seed)
    target_index = preprocessor.index_targets(targets)
    buckets = make_buckets(
        source_index.lengths, target_index.lengths, batch_size, num_buckets, batch_tokens
    )
    # All that a batch needs of them: their lengths, of so many pairs, need not be held.
    source_batch, target_ids = source_index.batch, target_index.ids
    times = None if repeats is None else Repeats(repeats, buckets.index)
    counts = buckets.counts if times is None else times.counts
    steps = steps_of(counts, buckets.batch_sizes)
    initial_epoch += initial_step // steps
    initial_step %= steps
    row_type = tf.int32 if len(sources) < 2**31 else tf.int64
    shapes = tf.constant(
        np.stack([buckets.source_lengths, buckets.target_lengths], 1), tf.int32
    )
    bucket_of = tf.constant(buckets.index)
    weight_of = None if weights is None else tf.constant(weights, tf.float32)

    def rows_of(epoch: np.ndarray) -> np.ndarray:
        if times is None:
            return np.arange(len(sources), dtype=row_type.as_numpy_dtype)
        return times.rows(seed, int(epoch)).astype(row_type.as_numpy_dtype)

    def split(order: np.ndarray) -> list[np.ndarray]:
        batches = batches_of(order, buckets.index, buckets.batch_sizes)
        return [batches.rows, batches.begins, batches.ends]

    @_as_written
    def epoch_batches(epoch):
        rows = tf.numpy_function(rows_of, [epoch], row_type)
        order = tf.random.experimental.stateless_shuffle(rows, seed=[seed, epoch])
        rows, begins, ends = tf.numpy_function(split, [order], [row_type, tf.int64, tf.int64])
        first = tf.where(epoch == initial_epoch, tf.constant(initial_step, tf.int64), 0)
        places = tf.data.Dataset.range(first, tf.size(ends, tf.int64))
        return places.map(lambda i: (tf.ensure_shape(rows[begins[i] : ends[i]], [None]), epoch))

    @_as_written
    def pack(rows, epoch):
        source_length, target_length = tf.unstack(shapes[tf.cast(bucket_of[rows[0]], tf.int32)])
        inputs, labels, token_weights = preprocessor.pack_inputs(
            source_batch(rows, source_length, epoch), target_ids(rows), target_length
        )
        if weight_of is not None:
            token_weights *= tf.gather(weight_of, rows)[:, None]
        if swaps is not None:
            # Of a batch's rows the first is in no other batch of the epoch, or as often drawn.
            drawn = tf.random.experimental.stateless_fold_in([seed, epoch], rows[0])
            inputs, labels = swaps(inputs, labels, drawn)
        return inputs, labels, token_weights

    rows = tf.data.Dataset.counter(initial_epoch).flat_map(epoch_batches)
    return TrainingData(_packed(rows, pack), steps, buckets)


def validation_data(
    preprocessor: Any,
    sources: Sequence[Any],
    targets: Sequence[str],
    *,
    batch_size: int = 256,
) -> tf.data.Dataset:
    """All pairs once, in the order of their length, for `validation_data` of `fit`; fewer
    than `batch_size` in a batch where sources are very long.

    Raises:
        InputError: If there is not one target a source, or one is no text.
    """
    _check_pairs(preprocessor, sources, targets, "validate on")
    check_counts(batch_size=batch_size)
    source_index = preprocessor.index_sources(sources)
    target_index = preprocessor.index_targets(targets)

    @_as_written
    def pack(rows):
        return preprocessor.pack_inputs(source_index.batch(rows, -1, 0), target_index.ids(rows))

    order = np.argsort(source_index.lengths, kind="stable")
    rows = min(batch_size, preprocessor.rows_at_most(source_index.lengths))
    return _packed(tf.data.Dataset.from_tensor_slices(order).batch(rows), pack)


def _check_pairs(preprocessor: Any, sources: Any, targets: Any, purpose: str) -> None:
    if not isinstance(preprocessor, Preprocessor):
        raise InputError(
            "`preprocessor` must be a Preprocessor, such as TextPreprocessor. Received: "
            f"{preprocessor!r:.60}."
        )
    check_equal_length(sources, targets)
    if not len(sources):
        raise InputError(f"There is no pair to {purpose}.")


def _factors(name: str, factors: Any, count: int) -> np.ndarray | None:
    """A number for each pair; `InputError` for others, and for those that are no factors."""
    if factors is None:
        return None
    try:
        array = np.asarray(factors, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"`{name}` must be numbers: {error}.") from error
    if array.shape != (count,):
        raise InputError(
            f"`{name}` must have the shape ({count},), a number a pair. Received: "
            f"{array.shape}."
        )
    if not (np.isfinite(array).all() and (array >= 0).all()):
        row = int(np.flatnonzero(~(np.isfinite(array) & (array >= 0)))[0])
        raise InputError(
            f"`{name}` must be finite and at least 0. Received: {array[row]:g} for pair "
            f"{row + 1}."
        )
    return array


def _packed(rows: tf.data.Dataset, pack: Callable[..., Any]) -> tf.data.Dataset:
    """Batches of the numbers of pairs -> batches of their tensors, made ahead."""
    return untuned(rows.map(pack, num_parallel_calls=2, deterministic=True).prefetch(4))


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """A pipeline that does not tune itself: one that does can wait at its end until its tuner
    looks again, up to as long as the epoch took."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
