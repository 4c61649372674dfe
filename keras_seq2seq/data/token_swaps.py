"""Training pairs with a token and its translation in the place of others: new combinations."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.data.lexical_translation import TokenPairs, occurring_together, token_pairs
from keras_seq2seq.errors import InputError
from keras_seq2seq.wording import counted, names

# Pairs that are looked at: memory and time end with them.
MOST_PAIRS = 1_000_000
# Of the pairs that have a token or its translation, the share that has both, at least.
CERTAINTY = 0.98
# The id of a place that was left open, and what ids of targets are raised by.
OPEN, TARGET = 2**40, 2**41
# Classes, and tokens of a class, that are named.
NAMED = 8

Batches = Callable[[], Iterable[TokenPairs]]


@dataclass(frozen=True)
class TokenSwaps:
    """Tokens and their translations, in classes whose members stand for each other.

    ```
    learned          jump -> I_JUMP       run twice -> I_RUN I_RUN
    swap             run, I_RUN           for jump, I_JUMP
    trained on       jump twice -> I_JUMP I_JUMP
    ```

    Attributes:
        share: float. Of the pairs of an epoch in which two are swapped, if one occurs there.
        source: `(entries,)`, int32: source tokens.
        target: `(entries,)`, int32: the target token of each.
        classes: `(entries,)`, int32, ascending: at least two entries have the same.
    """

    share: float
    source: np.ndarray
    target: np.ndarray
    classes: np.ndarray

    def __call__(
        self, inputs: dict[str, tf.Tensor], labels: tf.Tensor, seed: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """A batch with swaps, of the same lengths.

        Args:
            inputs: `encoder_token_ids` and `decoder_token_ids`.
            labels: `(batch, target_length)`, int32.
            seed: `(2,)`, int: what is drawn depends on it alone.
        """
        source = inputs["encoder_token_ids"]
        entry_of = np.full(int(self.source.max()) + 2, -1, np.int32)
        entry_of[self.source] = np.arange(len(self.source))
        # All greater ids are no entries.
        entries = tf.gather(entry_of, tf.minimum(source, len(entry_of) - 1))
        places, draws = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
        order = tf.random.stateless_uniform(tf.shape(source), places)
        place = tf.argmax(tf.where(entries >= 0, order, -1.0), 1)
        one = tf.gather(entries, place, batch_dims=1)
        is_drawn, which = tf.unstack(
            tf.random.stateless_uniform([2, tf.shape(source)[0]], draws)
        )
        is_swapped = (one >= 0) & (is_drawn < self.share)
        one = tf.maximum(one, 0)
        first = np.searchsorted(self.classes, self.classes).astype(np.int32)
        size = np.bincount(self.classes)[self.classes].astype(np.int32)
        first, size = tf.gather(first, one), tf.gather(size, one)
        others = tf.cast(which * tf.cast(size - 1, tf.float32), tf.int32)
        other = first + (one - first + 1 + others) % size
        pairs = [tf.gather(ids, [one, other])[..., None] for ids in (self.source, self.target)]
        has_source, has_target = (
            tf.reduce_any(ids == pair, -1)
            for ids, pair in zip((source, labels), pairs, strict=True)
        )
        # Where one stands without its translation another word may have written it.
        is_swapped &= tf.reduce_all(has_source == has_target, 0)

        def swapped(ids: tf.Tensor, pair: tf.Tensor) -> tf.Tensor:
            a, b = tf.unstack(tf.where(is_swapped[:, None], pair, -1))
            return tf.where(ids == a, b, tf.where(ids == b, a, ids))

        changed = {
            "encoder_token_ids": swapped(source, pairs[0]),
            "decoder_token_ids": swapped(inputs["decoder_token_ids"], pairs[1]),
        }
        return {**inputs, **changed}, swapped(labels, pairs[1])

    def describe(self, preprocessor: Any) -> str:
        """The classes, such as `jump -> I_JUMP and run -> I_RUN; left -> L and right -> R`."""
        source, target = (
            preprocessor.tokenizers[side].get_vocabulary() for side in ("source", "target")
        )
        pairs = [
            f"{source[a]} -> {target[b]}" for a, b in zip(self.source, self.target, strict=True)
        ]
        begins = np.flatnonzero(np.diff(self.classes, prepend=-1))
        classes = np.split(np.array(pairs, object), begins[1:])
        more = [f"{len(classes) - NAMED:,} classes more"] if len(classes) > NAMED else []
        return "; ".join([names(list(one), NAMED) for one in classes[:NAMED]] + more)


@checked
def learn_token_swaps(
    preprocessor: Any, sources: Sequence[str], targets: Sequence[str], *, share: float
) -> TokenSwaps:
    """Learns which tokens can be swapped, each together with its translation.

    A token and its translation are two that occur in the same pairs, all but 2 in 100, and
    each in those of no other. Two of them are of one class where a training pair has one, and
    with the other in its place is a training pair too: they occur in the same environment.
    Looks at the first million pairs.

    Args:
        preprocessor: `TextPreprocessor`.
        sources: Texts.
        targets: As many.
        share: float in (0, 1]. Of the pairs of an epoch in which two are swapped.

    Raises:
        InputError: If the sources are no texts, `share` is out of range, or no two can be
            swapped.

    Reference:
        [Andreas, 2020](https://arxiv.org/abs/1904.09545) (the same environment);
        [Akyürek and Andreas, 2023](https://arxiv.org/abs/2201.12926) (pairs of tokens).
    """
    if preprocessor.kind != "text":
        raise InputError(
            "Aligned tokens are swapped in texts on both sides, and the sources of this model "
            f"are {preprocessor.kind}."
        )
    if not 0 < share <= 1:
        raise InputError(f"`share` must be in (0, 1]. Received: {share}.")

    def batches() -> Iterator[TokenPairs]:
        return token_pairs(preprocessor, sources[:MOST_PAIRS], targets[:MOST_PAIRS])

    source, target = _translations(preprocessor, batches)
    classes = _classes(batches, source, target) if len(source) else source
    is_kept = np.bincount(classes, minlength=1)[classes] > 1
    if not is_kept.any():
        found = counted(len(source), "token")
        raise InputError(
            f"No aligned tokens can be swapped: {found} of the sources always came with a "
            "target token of their own, and no two of them in pairs that are otherwise the "
            "same. Give --swap-aligned 0, or split the texts into words or symbols."
        )
    order = np.argsort(classes[is_kept], kind="stable")
    _, numbers = np.unique(classes[is_kept][order], return_inverse=True)
    first, second = (side[is_kept][order].astype(np.int32) for side in (source, target))
    return TokenSwaps(share, first, second, numbers.astype(np.int32))


def _translations(preprocessor: Any, batches: Batches) -> tuple[np.ndarray, np.ndarray]:
    """Source and target tokens that occur in the same pairs, one to one."""
    sizes = [preprocessor.tokenizers[side].vocabulary_size() for side in ("source", "target")]
    alone = [np.zeros(size, np.int64) for size in sizes]

    def once() -> Iterator[TokenPairs]:
        for batch in batches():
            different = batch.different()
            for count, ids in zip(alone, (different.source, different.target), strict=True):
                count += np.bincount(ids, minlength=len(count))
            yield different

    keys, together = occurring_together(once(), sizes[1])
    source, target = keys // sizes[1], keys % sizes[1]
    either = alone[0][source] + alone[1][target] - together
    certain = together >= CERTAINTY * either
    for side, ids in (("source", source), ("target", target)):
        certain &= ~np.isin(ids, _special_ids(preprocessor.tokenizers[side]))
    source, target = source[certain], target[certain]
    is_own = (np.bincount(source)[source] == 1) & (np.bincount(target)[target] == 1)
    return source[is_own], target[is_own]


def _special_ids(tokenizer: Any) -> list[int]:
    around = [id for name in ("begin_ids", "finish_ids") for id in getattr(tokenizer, name, ())]
    own = [tokenizer.unknown_token_id, tokenizer.start_token_id, tokenizer.end_token_id]
    return [0, *own, *around]


def _classes(batches: Batches, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The class of each entry: the least number of those that it is connected with."""
    found = [_environments(batch, source, target) for batch in batches()]
    environment, entry = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    order = np.argsort(environment)
    environment, entry = environment[order], entry[order]
    is_first = np.ones(len(environment), bool)
    is_first[1:] = environment[1:] != environment[:-1]
    begins = np.flatnonzero(is_first)
    group = np.cumsum(is_first) - 1
    classes = np.arange(len(source))
    while True:
        least = np.minimum.reduceat(classes[entry], begins)
        joined = classes.copy()
        np.minimum.at(joined, entry, least[group])
        joined = joined[joined]
        if np.array_equal(joined, classes):
            return classes
        classes = joined


def _environments(
    batch: TokenPairs, source: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the pairs of a batch with one of their entries left open on both sides,
    uint64, equal where the rest is; and which entry it is, int."""
    entries = len(source)
    whole = np.zeros(len(batch.source_splits) - 1, np.uint64)
    keys, changes = [], []
    sides = (
        (batch.source, batch.source_splits, source),
        (batch.target, batch.target_splits, target),
    )
    for raised, row, (ids, splits, of_entries) in zip(
        (0, TARGET), batch.rows(), sides, strict=True
    ):
        place = np.arange(len(ids)) - splits[row]
        number = _mixed(place, ids.astype(np.int64) + raised)
        np.add.at(whole, row, number)
        entry_of = np.full(max(ids.max(initial=0), of_entries.max()) + 1, -1)
        entry_of[of_entries] = np.arange(entries)
        has = np.flatnonzero(entry_of[ids] >= 0)
        keys.append(row[has] * entries + entry_of[ids[has]])
        changes.append(_mixed(place[has], np.full(len(has), OPEN + raised)) - number[has])
    # Of a pair that has an entry on one side alone nothing is said.
    both = np.intersect1d(*keys)
    change = np.zeros(len(both), np.uint64)
    for key, number in zip(keys, changes, strict=True):
        is_both = np.isin(key, both)
        np.add.at(change, np.searchsorted(both, key[is_both]), number[is_both])
    return whole[both // entries] + change, both % entries


def _mixed(place: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """A number of 64 bits for an id at a place: the finalizer of SplitMix64."""
    number = place.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + ids.astype(np.uint64)
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))
