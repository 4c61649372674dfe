"""The tokens of a vocabulary that the sources of a batch allow: a smaller vocabulary."""

from typing import Any, NamedTuple

import tensorflow as tf

from keras_seq2seq.arguments import checked
from keras_seq2seq.decoding.pieces import round_up
from keras_seq2seq.decoding.rules import IMPOSSIBLE

# Lists whose size need not be known ahead are rounded up to a multiple of it.
ROUNDING = 64


class Listed(NamedTuple):
    """Tokens among which a search chooses in the place of all.

    The list is one for the batch, so that one product gives the logits of all rows; what it
    holds for the sake of others is impossible in a row. So a target does not depend on the
    sources beside it.

    Attributes:
        ids: `(size,)`, int32: the ids of the tokens, ascending. The search knows a token by
            its place here.
        own: `(batch, size)`, float32: 0 for the tokens of the row's own list, else
            `IMPOSSIBLE`.
    """

    ids: tf.Tensor
    own: tf.Tensor

    def entries(self, vector: Any) -> tf.Tensor:
        """`(vocabulary_size,)` -> `(size,)`: those of the tokens."""
        return tf.gather(tf.convert_to_tensor(vector), self.ids)

    def places(self, token_ids: Any, vocabulary_size: int) -> tf.Tensor:
        """Ids -> their places in the list, int32, of the same shape; all must be in it."""
        size = tf.shape(self.ids)[0]
        table = tf.scatter_nd(self.ids[:, None], tf.range(size), [vocabulary_size])
        return tf.gather(table, tf.convert_to_tensor(token_ids))


@checked
def listed_tokens(
    source_ids: tf.Tensor,
    table: tf.Tensor,
    always: tf.Tensor,
    vocabulary_size: int,
    *,
    others: tf.Tensor | None = None,
    size: int | None = None,
    few_sizes: bool = False,
) -> Listed:
    """The list of a batch: what is always in it, and what the tokens of the sources allow.

    Args:
        source_ids: `(batch, source_length)`, int32, padded with 0.
        table: `(source vocabulary, candidates)`, int32: target ids that each source token
            allows, padded with 0.
        always: `(count,)`, int32: ids of every list, those of the special tokens among them.
        vocabulary_size: int. Of the target.
        others: `(batch, count)`, int32: more ids of each row's list, padded with 0, optional.
        size: int, optional: how many tokens the list has, where shapes must be known. Of more,
            those of `always` and then of the most rows stay. Defaults to all of them, rounded
            up with tokens that are impossible in every row.
        few_sizes: bool. Whether the size is rounded up further, as those of batches are for
            XLA. Defaults to `False`.
    """
    batch_size = source_ids.shape[0] or tf.shape(source_ids)[0]
    is_token = tf.cast(source_ids > 0, tf.int32)[:, :, None]
    candidates = tf.reshape(tf.gather(table, source_ids) * is_token, [batch_size, -1])
    if others is not None:
        candidates = tf.concat([candidates, others], 1)
    shape = tf.stack([batch_size, vocabulary_size])
    rows = tf.broadcast_to(tf.range(batch_size)[:, None], tf.shape(candidates))
    places = tf.stack([rows, candidates], -1)
    allowed = tf.minimum(tf.scatter_nd(places, tf.ones_like(candidates), shape), 1)
    in_all = tf.scatter_nd(always[:, None], tf.ones_like(always), [vocabulary_size])
    # Padding is a special token, which is in all.
    allowed = tf.minimum(allowed + in_all[None], 1)
    counts = tf.reduce_sum(allowed, 0) + in_all * (batch_size + 1)
    if size is None:
        found = tf.math.count_nonzero(counts, dtype=tf.int32)
        rounded = round_up(found) if few_sizes else -(-found // ROUNDING) * ROUNDING
        size = tf.minimum(rounded, vocabulary_size)
    _, chosen = tf.math.top_k(counts, size)
    # Ascending, so that of equal values the first stays the first.
    ids = -tf.math.top_k(-chosen, size).values
    own = (1.0 - tf.cast(tf.gather(allowed, ids, axis=1), tf.float32)) * IMPOSSIBLE
    return Listed(ids, own)
