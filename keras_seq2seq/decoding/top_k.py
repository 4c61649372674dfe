"""The best continuations of all beams, without sorting through all of them."""

import tensorflow as tf

from keras_seq2seq.decoding.rules import size_of

# Size of a chunk where a batch decides how many tokens there are.
LISTED_CHUNK = 32
# Below this many continuations a row, one plain search is quicker.
FEW = 4096


def best_continuations(
    totals: tf.Tensor, log_probs: tf.Tensor, count: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The `count` highest of `totals[:, :, None] + log_probs` in each row.

    The vocabulary is cut into chunks. The best continuations lie in the `count` chunks with
    the highest maxima, so one pass finds these and the search goes through them alone; the
    result, equal values included, is that of `tf.math.top_k` over everything.

    Args:
        totals: `(batch, num_beams)`, float32.
        log_probs: `(batch, num_beams, vocabulary_size)`, float32.
        count: int, at most `num_beams * vocabulary_size`; where that is not static, at most
            `2 * num_beams`.

    Returns:
        Values `(batch, count)`, the highest first, and their indices `(batch, count)`, int32,
        into beams times vocabulary.
    """
    _, num_beams, vocabulary_size = log_probs.shape
    unpadded = size_of(log_probs)
    if vocabulary_size is None:
        log_probs, size = _in_chunks(log_probs), LISTED_CHUNK
    else:
        size = chunk_size(num_beams * vocabulary_size, vocabulary_size, count)
    if size == vocabulary_size:
        every = totals[:, :, None] + log_probs
        return tf.math.top_k(tf.reshape(every, [-1, num_beams * vocabulary_size]), count)
    per_beam = size_of(log_probs) // size
    num_chunks = num_beams * per_beam
    chunks = tf.reshape(log_probs, [-1, num_beams, per_beam, size])
    highest = tf.reshape(tf.reduce_max(chunks, -1) + totals[:, :, None], [-1, num_chunks])
    _, chosen = tf.math.top_k(highest, count)
    # In ascending order, so that of equal values the first stays the first.
    chosen = -tf.math.top_k(-chosen, count).values
    beams = chosen // per_beam
    # By beam and chunk: of other shapes LiteRT copies all of them.
    places = tf.stack([beams, chosen - beams * per_beam], -1)
    candidates = tf.gather_nd(chunks, places, batch_dims=1)
    candidates += tf.gather(totals, beams, batch_dims=1)[:, :, None]
    values, place = tf.math.top_k(tf.reshape(candidates, [-1, count * size]), count)
    chunk = tf.gather(chosen, place // size, batch_dims=1)
    index = chunk * size + place % size
    if vocabulary_size is None:
        beam = chunk // per_beam
        index += beam * (unpadded - per_beam * size)
    return values, index


def _in_chunks(log_probs: tf.Tensor) -> tf.Tensor:
    """Padded with what is chosen last, to two chunks or more."""
    size = size_of(log_probs)
    whole = tf.maximum(-(-size // LISTED_CHUNK), 2) * LISTED_CHUNK
    padding = [[0, 0], [0, 0], [0, whole - size]]
    return tf.pad(log_probs, padding, constant_values=log_probs.dtype.min)


def chunk_size(num_continuations: int, vocabulary_size: int, count: int) -> int:
    """The divisor of the vocabulary that leaves the least to search through; the vocabulary
    itself where chunks do not pay."""

    def work(size: int) -> int:
        return num_continuations // size + count * size

    possible = [
        size
        for size in range(2, vocabulary_size)
        if vocabulary_size % size == 0 and num_continuations // size >= count
    ]
    best = min(possible, key=work, default=vocabulary_size)
    pays = num_continuations > FEW and work(best) < num_continuations // 4
    return best if pays else vocabulary_size
