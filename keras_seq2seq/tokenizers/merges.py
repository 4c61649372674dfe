"""Byte-pair encoding by a list of merges, in the graph."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from keras_seq2seq.errors import InputError

# What stands for a symbol that no merge names.
_STRANGE = 0


class Merges:
    """Joins neighbours of a word as a list of merges says: of all pairs that it names the
    first in the list, of equal ones the leftmost, again and again.

    Args:
        merges: Two pieces with a space between each, the most wanted first; of equal ones the
            last counts.

    Attributes:
        tables: What an exporter must track.

    Raises:
        InputError: If a merge is not two pieces.

    Reference: [Sennrich et al., 2016](https://arxiv.org/abs/1508.07909).
    """

    def __init__(self, merges: Sequence[str]):
        pairs = _pairs(merges)
        # By its text: two merges may give the same symbol.
        ids: dict[str, int] = {}
        for left, right in pairs:
            for symbol in (left, right, left + right):
                ids.setdefault(symbol, len(ids) + 1)
        self._ids, self._count = ids, len(ids) + 1
        self._last = len(pairs)
        keys = {
            ids[left] * self._count + ids[right]: rank
            for rank, (left, right) in enumerate(pairs)
        }
        # One pair at least, which no neighbours are: a table cannot be empty.
        keys.setdefault(_STRANGE, self._last)
        self._joined = [ids[left + right] for left, right in pairs] or [_STRANGE]
        self._ranks = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(list(keys), tf.int64), tf.constant(list(keys.values()), tf.int64)
            ),
            default_value=self._last,
        )

        self._symbols = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(["", *ids]), tf.constant([_STRANGE, *ids.values()], tf.int64)
            ),
            default_value=_STRANGE,
        )
        self.tables = [self._ranks, self._symbols]

    def split(self, words: tf.RaggedTensor, characters_of: Callable) -> tf.RaggedTensor:
        """Ragged `(batch, None)` words -> ragged `(batch, None, None)` pieces.

        Args:
            words: Strings.
            characters_of: From `(words,)` strings to the symbols that each begins as, ragged
                `(words, None)`; asked once for each different word.
        """
        unique, place = tf.unique(words.flat_values, tf.int64)
        characters = characters_of(unique)
        word_of = characters.value_rowids()
        begins = self._apply(self._symbols.lookup(characters.flat_values), word_of)
        pieces = tf.RaggedTensor.from_row_starts(characters.flat_values, begins)
        split = tf.RaggedTensor.from_value_rowids(
            tf.strings.reduce_join(pieces, axis=-1),
            tf.gather(word_of, begins),
            tf.size(unique, tf.int64),
        )
        return words.with_flat_values(tf.gather(split, place))

    def _apply(self, symbols: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
        """Symbols of many words, one after the other -> the places where the pieces begin.

        Args:
            symbols: `(symbols,)` int64.
            words: `(symbols,)` int64, ascending: the word that each belongs to.

        Returns:
            `(pieces,)` int64.
        """
        joined = tf.constant(self._joined, tf.int64)
        number_of_words = tf.reduce_max(tf.concat([words, [-1]], 0)) + 1

        def step(symbols, words, places, _):
            pairs = symbols[:-1] * self._count + symbols[1:]
            pairs = tf.where(words[:-1] == words[1:], pairs, _STRANGE)
            room = tf.size(symbols, tf.int64)
            # Rank first, then place: the least is the leftmost of the best.
            order = self._ranks.lookup(pairs) * room + tf.range(room - 1)
            best = tf.math.unsorted_segment_min(order, words[:-1], number_of_words)
            best = tf.boolean_mask(best, best < self._last * room)
            left = best % room
            symbols = tf.tensor_scatter_nd_update(
                symbols, left[:, None], tf.gather(joined, best // room)
            )
            stays = tf.tensor_scatter_nd_update(
                tf.ones_like(symbols, tf.bool), left[:, None] + 1, tf.zeros_like(left, tf.bool)
            )
            kept = (tf.boolean_mask(one, stays) for one in (symbols, words, places))
            return *kept, tf.size(best) > 0

        many = tf.TensorShape([None])
        *_, places, _ = tf.while_loop(
            lambda symbols, words, places, goes_on: goes_on & (tf.size(symbols) > 1),
            step,
            (symbols, words, tf.range(tf.size(symbols, tf.int64)), tf.constant(True)),
            (many, many, many, tf.TensorShape([])),
        )
        return places


def _pairs(merges: Sequence[str]) -> list[list[str]]:
    pairs = [merge.split(" ") for merge in merges]
    for number, pair in enumerate(pairs, 1):
        if len(pair) != 2 or not all(pair):
            raise InputError(
                f"A merge must be two pieces with a space between. Received: merge {number}, "
                f"{merges[number - 1][:40]!r}."
            )
    return pairs
